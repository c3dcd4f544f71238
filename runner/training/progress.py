"""Progress bars: a line for each stack on a terminal, and nothing where there is no terminal."""

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bars:
    """The lines of all stacks that are being trained; they vanish at the end.

    Args:
        headline: What they are a part of; it stands before what is trained.
        last: Where they stop before their end, if they do.
    """

    def __init__(self, headline: str = "", last: int | None = None) -> None:
        self.headline = headline
        self.last = last
        console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("epoch {task.fields[epoch]}/{task.total:g}  {task.fields[metrics]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "Bars":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.progress.stop()


class Bar:
    """What is trained, its epoch, how well it does, and the time left.

    Args:
        bars: Where it is shown.
        label: What is trained.
        epochs: Its epochs.
        begun: How many of them an earlier process has finished.
        shown: False never shows it.
    """

    def __init__(self, bars: Bars, label: str, epochs: int, begun: int, shown: bool) -> None:
        self.progress = bars.progress
        label = f"{bars.headline}: {label}" if bars.headline else label
        total = min(epochs, bars.last or epochs)
        self.task = self.progress.add_task(
            label, total=total, completed=begun, epoch=begun, metrics="", visible=shown
        )
        if shown:
            self.progress.start()

    def advance(self, epochs: float) -> None:
        """A part of an epoch is done."""
        self.progress.advance(self.task, epochs)

    def epoch_ended(self, epoch: int, metrics: str) -> None:
        """So many epochs are done, with this outcome."""
        self.progress.update(self.task, completed=epoch, epoch=epoch, metrics=metrics)

    def close(self) -> None:
        """The line vanishes."""
        self.progress.remove_task(self.task)
