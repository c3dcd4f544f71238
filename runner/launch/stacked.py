"""Many runs as one model, on this machine."""

from collections.abc import Callable, Sequence
from typing import Literal

from runner.launch.launcher import Launcher
from runner.options.option import Count
from runner.runs.rung import Rung
from runner.training.groups import Assignment


class Stacked(Launcher):
    """Trains runs that fit together as one.

    Attributes:
        width: Runs at a time; null measures which is fastest.
        max_width: The largest width to try.
    """

    name: Literal["stacked"] = "stacked"
    width: Count | None = None
    max_width: Count = 256

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
        train_all(runs, tell, finished, refused, self.width, self.max_width, **how)
