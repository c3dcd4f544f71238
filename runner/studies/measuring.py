"""What a run says: its numbers, checked as they are read, and the value of a measure.

A run that diverged counts as the worst value where there is one: −∞ where more is better (accuracy,
throughput), ∞ where less is (loss, error, seconds). So does a target that was never reached. What has no
better or worse (a layer's statistics, say) has no value then, nor has anything of a run that failed or was
not trained yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import copysign, inf, isfinite
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from runner.config.claims import BEST, LARGEST, LAST, RANGE, RESULTS, TARGETS, Measure, Quantity
from runner.errors import DataError
from runner.runs.folder import FINISHED, RunFolder

Number = Annotated[int, Field(ge=-(2**63), lt=2**63)] | float | None
CHECKED = ConfigDict(strict=True, allow_inf_nan=False)


class EpochLine(BaseModel):
    """A line of metrics.jsonl: besides these two, every metric."""

    model_config = CHECKED | {"extra": "allow"}
    __pydantic_extra__: dict[str, Number]

    epoch: Annotated[int, Field(ge=0, lt=2**63)] | Annotated[float, Field(ge=0)]
    step: Annotated[int, Field(ge=0, lt=2**63)]


LINES = TypeAdapter(list[EpochLine])
FINAL = TypeAdapter(dict[str, Number], config=CHECKED)


@dataclass(frozen=True)
class RunNumbers:
    """One run's numbers.

    Attributes:
        status: None before it was begun.
        final: What result.json measures, by name.
        curve: epoch, step, seconds and every metric of each epoch, and of the moments between, whose epoch has
            a fraction.
    """

    status: str | None
    final: dict[str, float | None]
    curve: list[dict[str, Any]]

    @property
    def by_epoch(self) -> list[dict[str, Any]]:
        """Of each epoch alone."""
        return [line for line in self.curve if isinstance(line["epoch"], int)]


def numbers_of(folder: RunFolder) -> RunNumbers:
    """The numbers of a run, read again only when its status has changed.

    Raises:
        DataError: A file is damaged.
    """
    file = folder.path / "status.json"
    return _numbers_of(folder.path, file.stat().st_mtime_ns if file.exists() else 0)


@cache
def _numbers_of(path: Path, _: int) -> RunNumbers:
    folder = RunFolder(path)
    status, result = folder.status, folder.result
    if status in FINISHED and result is None:
        raise DataError(f"{path}: {status}, but there is no result.json")
    measured = {k: v for k, v in (result or {}).items() if "/" in k or k in RESULTS}
    try:
        final = FINAL.validate_python(measured)
        curve = [line.model_dump() for line in LINES.validate_python(folder.curve())]
    except ValidationError as error:
        where = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in where["loc"])
        raise DataError(f"{path}: {place}: {where['msg']}") from None
    except ValueError as error:
        raise DataError(f"{path}/metrics.jsonl: {error}") from None
    if status == "complete" and (not curve or curve[-1]["epoch"] != (result or {}).get("epochs")):
        raise DataError(f"{path}/metrics.jsonl: the last epoch is missing")
    return RunNumbers(status, final, curve)


def value_in(folder: RunFolder, measure: Measure) -> float | None:
    """The value of a measure in a run that has ended; None where it has none."""
    run = numbers_of(folder)
    if run.status not in FINISHED:
        return None
    first = _quantity(run, measure.first)
    if measure.second is None or first is None:
        return first
    second = _quantity(run, measure.second)
    if second is None or not isfinite(second):
        return None
    if measure.operator == "-":
        return first - second
    return first / second if second else None


def value_over(runs: Sequence[tuple[dict[str, Any], RunFolder]], measure: Measure) -> float | None:
    """The value of a swept measure over runs that differ in the swept settings alone.

    Where no value of the setting satisfies the condition, that is the worst value.

    Args:
        runs: The swept settings of each, and its folder.
        measure: With a sweep.

    Returns:
        None if one of the runs failed or was not trained yet.
    """
    sweep = measure.sweep
    assert sweep
    numbers = [numbers_of(folder) for _, folder in runs]
    if any(run.status not in FINISHED for run in numbers):
        return None
    found = [(_quantity(run, sweep.by), n) for n, run in enumerate(numbers)]
    known = [(value, n) for value, n in found if value is not None]
    if sweep.function == BEST:
        if not known:
            return None
        sign = sweep.by.direction
        value, best = max(known, key=lambda pair: sign * pair[0])
        if not isfinite(value):  # none of them is any good
            return _worst(measure.direction)
        return (
            float(runs[best][0][sweep.key])
            if sweep.key
            else _quantity(numbers[best], measure.first)
        )
    reached = [float(runs[n][0][sweep.key]) for value, n in known if sweep.by.holds(value)]
    if not reached:
        return _worst(measure.direction)
    return max(reached) if sweep.function == LARGEST else min(reached)


def _worst(direction: int) -> float | None:
    return -copysign(inf, direction) if direction else None


def _quantity(run: RunNumbers, quantity: Quantity) -> float | None:
    """A quantity's value: the worst, or none, where the run has none."""
    metric, worst = quantity.metric, _worst(quantity.direction)
    if quantity.function in TARGETS:
        for line in run.curve:
            value = line.get(metric)
            if value is not None and line["epoch"] > 0 and quantity.holds(value):
                reached = line.get(TARGETS[quantity.function])
                return worst if reached is None else float(reached)
        return worst
    diverged = run.status == "diverged"
    if quantity.function == RANGE:
        since = max(quantity.epoch or 0, 0)
        seen = [line[metric] for line in run.curve if line["epoch"] >= since and metric in line]
        if diverged or not seen or None in seen:
            return worst
        return float(max(seen) - min(seen))
    if diverged and metric != "parameters" and quantity.epoch in (None, LAST):
        return worst
    if quantity.epoch is None:
        value = run.final.get(metric)
    else:
        by_epoch = run.by_epoch
        last = by_epoch[-1]["epoch"] if by_epoch else 0
        wanted = last if quantity.epoch == LAST else quantity.epoch
        value = next((n.get(metric) for n in by_epoch if n["epoch"] == wanted), None)
    return worst if value is None else float(value)


def formatted(measure: Measure, value: float) -> str:
    """A value of a measure for people."""
    if not isfinite(value):
        if value != value:
            return "–"
        return "never" if measure.first.function or measure.sweep else "diverged"
    return f"{value:.2%}" if measure.is_share else f"{value:.4g}"
