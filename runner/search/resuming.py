"""Where a search goes on: the record of the same search, without decisions that had to do without a run."""

from pathlib import Path

from runner.errors import DataError
from runner.runs.folder import FINISHED, RunFolder
from runner.search.record import RECORD, Record

SAME = (
    "search",
    "seed",
    "epochs",
    "experiment",
    "given",
    "optuna",
)  # what makes it the same search


def resumed(new: Record, folder: Path, name: str = RECORD) -> Record:
    """The record of this very search where it was begun, else the new one.

    Args:
        new: The search, of which nothing is done.
        folder: Where its runs lie.
        name: The file of its record.

    Raises:
        DataError: The record that is there is damaged.
    """
    if not (folder / name).exists():
        return new
    try:
        old = Record.read(folder, name)
    except DataError as error:
        raise DataError(f"{error}; resume=false searches afresh") from None
    if any(getattr(old, key) != getattr(new, key) for key in SAME):
        return new
    return without_failures(old, folder).with_(command=new.command)


def without_failures(record: Record, folder: Path) -> Record:
    """The record up to the first decision that had to do without a run that failed: it is tried again."""
    for number, decision in enumerate(record.decisions):
        runs = [
            run for n, v in decision.values.items() if v is None for run in record.trials[n].runs
        ]
        if any(RunFolder(folder / run).status not in (*FINISHED, "pruned") for run in runs):
            kept = [trial for trial in record.trials if trial.bracket <= decision.bracket]
            return record.with_(
                trials=kept, decisions=record.decisions[:number],
                audited=None, final=None, best=None, complete=False,
            )  # fmt: skip
    return record
