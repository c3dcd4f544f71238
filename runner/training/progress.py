"""The progress of a run or a stack: a line on a terminal, and nothing elsewhere."""

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bar:
    """What is trained, its epoch, how well it does, and the time left.

    Args:
        label: What is trained.
        epochs: Its epochs.
        begun: How many of them an earlier process has finished.
        shown: False never shows it.
    """

    def __init__(self, label: str, epochs: int, begun: int, shown: bool = True) -> None:
        console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("epoch {task.fields[epoch]}/{task.total:g}  {task.fields[metrics]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
            disable=not (console.is_terminal and shown),
        )
        self.task = self.bar.add_task(label, total=epochs, completed=begun, epoch=begun, metrics="")
        self.bar.start()

    def close(self) -> None:
        """The line vanishes."""
        self.bar.stop()

    def advance(self, epochs: float) -> None:
        """A part of an epoch is done."""
        self.bar.advance(self.task, epochs)

    def epoch_ended(self, epoch: int, metrics: str) -> None:
        """So many epochs are done, with this outcome."""
        self.bar.update(self.task, completed=epoch, epoch=epoch, metrics=metrics)
