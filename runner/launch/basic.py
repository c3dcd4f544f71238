"""One run after the other."""

from collections.abc import Callable, Sequence
from typing import Literal

from runner.launch.launcher import Launcher
from runner.runs.rung import Rung
from runner.training.groups import Assignment


class Basic(Launcher):
    """Trains every run by itself, as a single run is trained; their times can be compared."""

    name: Literal["basic"] = "basic"

    def train(
        self,
        runs: Sequence[Assignment],
        tell: Callable[[str], object],
        finished: Callable[[int, str], object],
        refused: Callable[[int, Exception], object],
        rung: Rung | None = None,
    ) -> None:
        from runner.training.rungs import to_rung  # imports torch
        from runner.training.train import train_all

        how = to_rung(rung, runs) if rung else {}
        train_all(runs, lambda how: None, finished, refused, width=1, **how)
