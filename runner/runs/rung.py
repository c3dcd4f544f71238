"""Where runs of a search stop for now: each keeps its state, and goes on from it when it is asked for again."""

from dataclasses import dataclass

from runner.runs.folder import FINISHED, RunFolder


@dataclass(frozen=True)
class Rung:
    """A stop on the way. A run that stops here is `pruned`; it never becomes a run of fewer epochs.

    Attributes:
        epoch: Runs stop after it; those that have no more epochs go on to their end.
        abort: A run whose training loss is above this many times its initial one ends; None ends none.
        headline: What the progress bars show of the search; it decides nothing.
    """

    epoch: int
    abort: float | None = None
    headline: str = ""

    def reached(self, folder: RunFolder) -> bool:
        """Whether a run has nothing left to do up to here: it stopped here or later, or has ended."""
        if folder.status == "pruned":
            return folder.epoch >= self.epoch or bool(folder.reason)
        return folder.status in FINISHED
