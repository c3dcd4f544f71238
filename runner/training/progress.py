"""Progress: one line for a run, or for a whole sweep or study; nothing where there is no terminal."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

EPOCHS = "epoch {task.fields[epoch]}/{task.total:g}  {task.fields[metrics]}"
RUNS = "{task.fields[done]}/{task.total:g} runs  {task.fields[metrics]}"
RUNS_ALONE = "{task.fields[done]}/{task.total:g} runs"


def _line(what: str, timed: bool = True) -> Progress:
    """A line on the terminal that vanishes at the end, with the time left unless the stage tells it."""
    console = Console(stderr=True)
    columns: list[ProgressColumn | str] = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
    ]
    columns.append(TextColumn(what))
    if timed:
        columns += [TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()]
    return Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        disable=not (console.is_terminal and sys.stdout.isatty()),
    )


class Whole:
    """The line of a whole sweep or study.

    Args:
        runs: How many runs it will take, as far as is known.
        shown: False never shows it.
        told: Whether its stages say how well it does and the time left: then there is room for no more.
    """

    def __init__(self, runs: int, shown: bool, told: bool = False) -> None:
        self.progress = _line(RUNS_ALONE, timed=False) if told else _line(RUNS)
        self.ended = 0
        self.lock = threading.Lock()
        self.task = self.progress.add_task(
            "starting", total=runs, done=0, metrics="", visible=shown
        )
        if shown:
            self.progress.start()

    def begin(self, stage: str, runs: int, already: int) -> None:
        """A stage begins: so many runs are to be trained, and so many of it were finished before."""
        self.ended += already
        total = max(self.progress.tasks[0].total or 0, self.ended + runs)
        self.progress.update(
            self.task,
            description=stage or "training",
            total=total,
            done=self.ended,
            completed=self.ended,
        )

    def advance(self, runs: float) -> None:
        """A part of a run, or of several, is done."""
        self.progress.advance(self.task, runs)

    def run_ended(self) -> None:
        """Another run has ended, maybe before its last epoch."""
        with self.lock:
            self.ended += 1
            completed = max(self.progress.tasks[0].completed, self.ended)
            self.progress.update(self.task, done=self.ended, completed=completed)

    def tell(self, metrics: str) -> None:
        self.progress.update(self.task, metrics=metrics)


_open: list[Whole] = []


@contextmanager
def whole(runs: int, shown: bool, told: bool = False) -> Iterator[Whole]:
    """A block in which all runs share one line."""
    line = Whole(runs, shown, told)
    _open.append(line)
    try:
        yield line
    finally:
        _open.remove(line)
        line.progress.stop()


def current() -> Whole | None:
    """The line that all runs share, if they do."""
    return _open[-1] if _open else None


class Bars:
    """The lines of all stacks that are being trained, where they do not share one.

    Args:
        last: Where they stop before their last epoch, if they do.
    """

    def __init__(self, last: int | None = None) -> None:
        self.last = last
        self.whole = current()
        self.progress = _line(EPOCHS)

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
        runs: How many runs that is.
        epochs: Its epochs.
        begun: How many of them an earlier process has finished.
        shown: False never shows it.
    """

    def __init__(
        self, bars: Bars, label: str, runs: int, epochs: int, begun: int, shown: bool
    ) -> None:
        self.progress, self.whole = bars.progress, bars.whole
        total = min(epochs, bars.last or epochs)
        self.share = runs / total  # of an epoch
        shown = shown and not self.whole
        self.task = self.progress.add_task(
            label, total=total, completed=begun, epoch=begun, metrics="", visible=shown
        )
        if shown:
            self.progress.start()
        if self.whole:
            self.whole.advance(begun * self.share)

    def advance(self, epochs: float) -> None:
        """A part of an epoch is done."""
        self.progress.advance(self.task, epochs)
        if self.whole:
            self.whole.advance(epochs * self.share)

    def epoch_ended(self, epoch: int, metrics: str) -> None:
        """So many epochs are done, with this outcome."""
        self.progress.update(self.task, completed=epoch, epoch=epoch, metrics=metrics)
        if self.whole:
            self.whole.tell(metrics)

    def close(self) -> None:
        """The line vanishes."""
        self.progress.remove_task(self.task)
