"""The metric that ranks runs, as people read it."""

from dataclasses import dataclass
from math import isfinite

from runner.config.schema import Config


@dataclass(frozen=True)
class MainMetric:
    """A number of a split: its name, which way is better, and how it is shown."""

    name: str
    higher_is_better: bool
    percent: bool

    @property
    def worst(self) -> float:
        """What a run that diverged counts as."""
        return -float("inf") if self.higher_is_better else float("inf")

    def shown(self, value: float | None) -> str:
        if value is None or not isfinite(value):
            return "–"
        return f"{value:.2%}" if self.percent else f"{value:.4g}"


def main_metric(_: Config) -> MainMetric:
    """What runs with such a configuration are ranked by; `val/` and `test/` come before its name."""
    return MainMetric("accuracy", higher_is_better=True, percent=True)
