"""What every launcher is, and which ones there are: one file of this folder each.

A launcher is chosen on the command line by `hydra/launcher=<name>`; its settings are the keys below
`hydra.launcher`. A new one is a new file with a subclass of `Launcher`.
"""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from runner.options.option import Option
from runner.runs.rung import Rung
from runner.training.groups import Assignment


class Launcher(Option, ABC):
    """Where and how runs are trained, with its settings. Every setting has a default."""

    name: str

    @abstractmethod
    def train(
        self,
        runs: Sequence[Assignment],
        tell: Callable[[str], object],
        finished: Callable[[int, str], object],
        refused: Callable[[int, Exception], object],
        rung: Rung | None = None,
    ) -> None:
        """Trains the runs to their end, or to a rung.

        Args:
            runs: Checked configurations and the folders of their runs; none of them is finished.
            tell: Is told in a line how runs are trained, where that is the launcher's choice.
            finished: Is called with a run's place in `runs` as soon as it has ended, and how it was
                trained.
            refused: Is called for a run that cannot begin: locked by a process, or damaged.
            rung: Where runs stop for now; None trains them to their end.
        """


def launchers() -> dict[str, type[Launcher]]:
    """Every launcher of this folder by its name."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        import_module(f"runner.launch.{module.name}")
    return {kind.model_fields["name"].default: kind for kind in Launcher.__subclasses__()}
