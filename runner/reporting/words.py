"""How reports write settings and measured numbers."""

from collections.abc import Sequence
from math import isfinite
from statistics import mean, stdev
from typing import Any

from runner.options.task import Metric
from runner.studies.statistics import mean_interval


def shown(value: Any) -> str:
    """A setting as it is typed, a number to six digits."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(shown, value))}]"
    plain = {True: "true", False: "false", None: "null"}
    if value is None or isinstance(value, bool):
        return plain[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def with_spread(values: Sequence[float], metric: Metric) -> str:
    """The mean ± the standard deviation."""
    spread = f" ± {metric.shown(stdev(values))}" if len(values) > 1 else ""
    return metric.shown(mean(values)) + spread


def with_interval(values: Sequence[float], metric: Metric) -> str:
    """The mean ± half its 95% interval."""
    middle, low, high = mean_interval(values)
    spread = f" ± {metric.shown((high - low) / 2)}" if isfinite(high - low) else ""
    return metric.shown(middle) + spread
