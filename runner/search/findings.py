"""What a search has found, in numbers: the border, the price, and how often dropping was wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.runs.folder import RunFolder
from runner.search.record import Decision, Record
from runner.search.space import Draw, place_of

BORDER = 0.05  # of a range, on the scale on which it is drawn


def at_border(record: Record, draw: Draw) -> Iterator[str]:
    """The settings of a draw that lie at an end of their range, so that better ones may lie beyond."""
    for key, value in draw.items():
        domain = record.search.space[key]
        if domain.choice is not None or not domain.ends[0] <= value <= domain.ends[1]:
            continue
        place = place_of(domain, value)
        low, high = domain.ends
        end = "lower" if place < 0.5 else "upper"
        natural = end == "lower" and low == 0  # no dropout, no penalty: nothing lies beyond
        if min(place, 1 - place) <= BORDER and not natural:
            yield f"{key}={value:g} lies at the {end} end of its range [{low:g}, {high:g}]: widen it"


@dataclass(frozen=True)
class Progress:
    """How far a search had come when a rung was decided.

    Attributes:
        run_epochs: Trained by then.
        seconds: In training steps by then; runs of a stack share theirs.
        best: The best value seen so far, of any rung; None if there was none.
    """

    run_epochs: int
    seconds: float
    best: float | None


def progress_of(record: Record, folder: Path) -> list[Progress]:
    """After every decision, in order."""
    better = max if record.search.higher_is_better else min
    found: list[Progress] = []
    epochs, seconds, best = 0, 0.0, None
    for decision in record.decisions:
        before = epoch_before(record, decision)
        for number, value in decision.values.items():
            for run in record.trials[number].runs:
                lines = RunFolder(folder / run).metrics()
                last = min(decision.epoch, len(lines) - 1)
                if last > before:
                    epochs += last - before
                    seconds += lines[last]["seconds"] - lines[before]["seconds"]
            if value is not None:
                best = value if best is None else better(best, value)
        found.append(Progress(epochs, seconds, best))
    return found


def epoch_before(record: Record, decision: Decision) -> int:
    """The epoch of the rung before, of the same bracket; 0 for the first."""
    epochs = [d.epoch for d in record.decisions if d.bracket == decision.bracket]
    return max((epoch for epoch in epochs if epoch < decision.epoch), default=0)


def wrongly_dropped(record: Record) -> list[int]:
    """The dropped trials that, trained on to the end, are better than the best that was kept."""
    ended = record.ended()
    sign = -1 if record.search.higher_is_better else 1
    best = record.value(ended[0]) if ended else None
    return [
        number
        for number, value in (record.audited or {}).items()
        if value is not None and (best is None or sign * value < sign * best)
    ]


def cautions(record: Record, folder: Path) -> Iterator[str]:
    """What makes the result less than certain."""
    if record.best is not None:
        yield from at_border(record, record.draw(record.best))
    if not record.complete:
        yield "the search is not finished; the same command goes on"
    statuses: dict[str, list[int]] = {}
    for number, trial in enumerate(record.trials):
        for run in trial.runs:
            status = RunFolder(folder / run).status or "not trained"
            if status not in ("complete", "pruned"):
                statuses.setdefault(status, []).append(number)
    for status, numbers in statuses.items():
        named = ", ".join(map(str, dict.fromkeys(numbers)))
        effect = "counts as the worst" if status == "diverged" else "was left out"
        yield f"{status} ({effect}): trial {named}"
    if record.audited:
        wrong = wrongly_dropped(record)
        which = f": trial {', '.join(map(str, wrong))}" if wrong else ""
        yield (
            f"dropped trials that were trained on to the end: {len(record.audited)}, of which"
            f" {len(wrong)} would have been the best{which}"
        )
