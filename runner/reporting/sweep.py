"""The runs of a folder as a sweep: which settings vary, how each combination does, which is best, how sure.

Combinations are ranked by the validation split; a combination of which a run diverged counts as the worst.
Seed by seed the best is compared with every other one (`runner.studies.statistics`); the p-values are
corrected for there being several.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from statistics import mean
from typing import Any

from runner.config.schema import Config
from runner.config.varying import leaves, varying
from runner.errors import DataError
from runner.options.task import Metric
from runner.reporting.words import shown, with_spread
from runner.runs.folder import FINISHED, RunFolder
from runner.runs.listing import runs_in
from runner.studies.measuring import numbers_of
from runner.studies.statistics import ALPHA, PairedTest, compare, holm

Values = dict[
    str, Any
]  # of the swept settings by dotted key; a group's own name stands for its option


@dataclass(frozen=True)
class SweptRun:
    """A run with its settings."""

    folder: RunFolder
    config: Config

    @cached_property
    def settings(self) -> Values:
        return dict(leaves(self.config.settings()))

    @property
    def status(self) -> str:
        return self.folder.status or "not started"

    def value(self, metric: str) -> float | None:
        return numbers_of(self.folder).final.get(metric)


@dataclass
class Combination:
    """The runs with the same settings, by seed.

    Attributes:
        values: Of what is swept.
        runs: Those that are complete or diverged, by seed.
        p: How probable differences as large as those from the best one are, if there are none.
        test: Of these differences; None for the best one.
    """

    values: Values
    runs: dict[int, SweptRun] = field(default_factory=dict)
    test: PairedTest | None = None
    p: float = 1.0

    def __str__(self) -> str:
        return " ".join(f"{key}={shown(value)}" for key, value in self.values.items()) or "default"

    @property
    def brief(self) -> str:
        """For a legend: the last part of each key says enough."""
        pairs = ((key.rpartition(".")[2], shown(value)) for key, value in self.values.items())
        return " ".join(f"{key}={value}" for key, value in pairs) or "mean"

    @property
    def diverged(self) -> int:
        return sum(run.status == "diverged" for run in self.runs.values())

    def by_seed(self, name: str, worst: float) -> dict[int, float]:
        """A metric of each seed's run; that of a run that diverged is the worst."""
        found = {seed: run.value(name) for seed, run in self.runs.items()}
        return {seed: worst if value is None else value for seed, value in found.items()}

    def mean(self, name: str, worst: float) -> float:
        return mean(self.by_seed(name, worst).values())

    def told(self, name: str, metric: Metric) -> str:
        """Mean ± standard deviation of a metric over the seeds."""
        values = list(self.by_seed(name, metric.worst).values())
        if not all(map(isfinite, values)):
            return f"{self.diverged} of {len(values)} diverged"
        return with_spread(values, metric)


@dataclass(frozen=True)
class Sweep:
    """The runs of a folder.

    Attributes:
        folder: outputs/<name>, or the folder of one run.
        runs: All of them.
        damaged: What is wrong with others, a line each.
        metric: What ranks them.
    """

    folder: Path
    runs: list[SweptRun]
    damaged: list[str]
    metric: Metric

    @classmethod
    def read(cls, folder: Path) -> "Sweep":
        """Raises:
        DataError: There is no run in the folder.
        """
        runs, damaged = [], []
        for path in runs_in(folder, levels=1):
            run = RunFolder(path)
            try:
                run.check_finished()
                config = run.config()
                if config:
                    numbers_of(run)
                    runs.append(SweptRun(run, config))
            except DataError as error:
                damaged.append(str(error))
        if not runs:
            raise DataError(damaged[0] if damaged else nothing_in(folder))
        task = runs[0].config.task
        return cls(folder, runs, damaged, task.metric(task.criterion))

    @cached_property
    def swept(self) -> list[str]:
        """The settings that vary, without the seed."""
        found = varying([run.settings for run in self.runs])
        return [key for key in found if key != "seed"]

    @property
    def headings(self) -> list[str]:
        """What varies as it is typed: a group's own name stands for its option."""
        return [key.removesuffix(".name") for key in self.swept]

    @cached_property
    def ranked(self) -> list[Combination]:
        """The combinations of settings that have a result, the best first, each compared with the best."""
        found: dict[str, Combination] = {}
        for run in self.runs:
            if run.status in FINISHED:
                values = {
                    key.removesuffix(".name"): run.settings[key]
                    for key in self.swept
                    if key in run.settings
                }
                combination = found.setdefault(str(values), Combination(values))
                combination.runs[run.config.seed] = run
        sign = -1.0 if self.metric.higher_is_better else 1.0
        chosen_by, worst = self.chosen_by, self.metric.worst
        ranked = sorted(
            found.values(),
            key=lambda c: (sign * c.mean(chosen_by, worst), c.mean("val/loss", float("inf"))),
        )
        self._compare(ranked)
        return ranked

    def _compare(self, ranked: Sequence[Combination]) -> None:
        """Tests every other combination against the best, seed by seed."""
        if len(ranked) < 2:
            return
        best = ranked[0].by_seed(self.chosen_by, self.metric.worst)
        relation = "<" if self.metric.higher_is_better else ">"
        for combination in ranked[1:]:
            values = combination.by_seed(self.chosen_by, self.metric.worst)
            pairs = [(values[seed], best[seed]) for seed in best if seed in values]
            differences = [0.0 if a == b else a - b for a, b in pairs]
            combination.test = compare(differences, relation, comparisons=len(ranked) - 1)
        corrected = holm([c.test.p for c in ranked[1:] if c.test])
        for combination, p in zip(ranked[1:], corrected, strict=True):
            combination.p = p

    @property
    def chosen_by(self) -> str:
        return f"val/{self.metric.name}"

    @property
    def seeds(self) -> list[int]:
        return sorted({run.config.seed for run in self.runs})

    @property
    def equals(self) -> list[Combination]:
        """What cannot be told from the best."""
        return [c for c in self.ranked[1:] if c.p >= ALPHA]

    @property
    def unfinished(self) -> list[SweptRun]:
        return [run for run in self.runs if run.status not in FINISHED]


def nothing_in(folder: Path) -> str:
    """Why there is nothing to report on in a folder, and where there is."""
    below = dict.fromkeys(run.parent.name for run in runs_in(folder))
    hint = f"; there are in {', '.join(list(below)[:10])}" if below else ""
    return f"{folder}: no study and no runs here{hint}"
