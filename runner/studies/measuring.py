"""What a run says: its numbers, checked as they are read, and the value of a measure.

A run that diverged, and a target that was never reached, count as the worst value: −∞ where more is
better (accuracy, psnr, throughput), ∞ everywhere else. A run that failed, or was not trained yet, has no
value at all.
"""

from dataclasses import dataclass
from functools import cache
from math import inf, isfinite
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from runner.config.claims import RANGE, RESULTS, TARGETS, Measure, Quantity, measured_metric
from runner.errors import DataError
from runner.runs.folder import FINISHED, RunFolder

Number = Annotated[int, Field(ge=-(2**63), lt=2**63)] | float | None
CHECKED = ConfigDict(strict=True, allow_inf_nan=False)


class EpochLine(BaseModel):
    """A line of metrics.jsonl: besides these two, every metric."""

    model_config = CHECKED | {"extra": "allow"}
    __pydantic_extra__: dict[str, Number]

    epoch: Annotated[int, Field(ge=0, lt=2**63)]
    step: Annotated[int, Field(ge=0, lt=2**63)]


LINES = TypeAdapter(list[EpochLine])
FINAL = TypeAdapter(dict[str, Number], config=CHECKED)


@dataclass(frozen=True)
class RunNumbers:
    """One run's numbers.

    Attributes:
        status: None before it was begun.
        final: What result.json measures, by name.
        by_epoch: epoch, step, seconds and every metric of each epoch.
    """

    status: str | None
    final: dict[str, float | None]
    by_epoch: list[dict[str, Any]]


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
        by_epoch = [line.model_dump() for line in LINES.validate_python(folder.metrics())]
    except ValidationError as error:
        where = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in where["loc"])
        raise DataError(f"{path}: {place}: {where['msg']}") from None
    except ValueError as error:
        raise DataError(f"{path}/metrics.jsonl: {error}") from None
    if status == "complete" and (
        not by_epoch or by_epoch[-1]["epoch"] != (result or {}).get("epochs")
    ):
        raise DataError(f"{path}/metrics.jsonl: the last epoch is missing")
    return RunNumbers(status, final, by_epoch)


def value_in(folder: RunFolder, measure: Measure) -> float | None:
    """The value of a measure in a run that has ended; None if it failed or was not trained."""
    run = numbers_of(folder)
    if run.status not in FINISHED:
        return None
    worst = -inf if measure.higher_is_better else inf
    values = [_quantity(run, quantity) for quantity in measure.quantities]
    if not all(isfinite(value) for value in values):
        return worst
    if measure.operator == "-":
        return values[0] - values[1]
    if measure.operator == "/":
        return values[0] / values[1] if values[1] else worst
    return values[0]


def _quantity(run: RunNumbers, quantity: Quantity) -> float:
    """A quantity's value, or an infinite one where there is none."""
    metric = quantity.metric
    worst = -inf if quantity.higher_is_better else inf
    if quantity.function in TARGETS:
        for line in run.by_epoch:
            value = line.get(metric)
            if value is None:
                continue
            if value >= quantity.target if quantity.rising else value <= quantity.target:
                reached = line.get(TARGETS[quantity.function])
                return worst if reached is None else float(reached)
        return worst
    if quantity.function == RANGE:
        seen = [m.get(metric) for m in run.by_epoch if m["epoch"] >= (quantity.epoch or 0)]
        numbers = [value for value in seen if value is not None]
        if run.status == "diverged" or not seen or len(numbers) < len(seen):
            return worst
        return float(max(numbers) - min(numbers))
    if quantity.epoch is not None:
        at_epoch = [line for line in run.by_epoch if line["epoch"] == quantity.epoch]
        value = at_epoch[0].get(metric) if at_epoch else None
    else:
        value = run.final.get(metric)
    return worst if value is None else float(value)


def _is_share(measure: Measure) -> bool:
    """Whether a measure is in [0, 1] and read as a percentage."""
    metrics = [None if q.function else measured_metric(q.metric) for q in measure.quantities]
    return measure.operator != "/" and all(metric and metric.percent for metric in metrics)


def formatted(measure: Measure, value: float) -> str:
    """A value of a measure for people."""
    if not isfinite(value):
        return "–" if value != value else "never" if measure.first.function else "worst"
    return f"{value:.2%}" if _is_share(measure) else f"{value:.4g}"
