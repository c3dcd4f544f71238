"""What a study's runs say: the value of a measure for every arm and seed.

A run that diverged, and a target that was never reached, count as the worst value: −∞ where more is
better (accuracy, throughput), ∞ everywhere else. A run that failed, or was not trained yet, has no
value at all.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any

from runner.config.claims import RANGE, TARGETS, Measure, Quantity, Term
from runner.config.study import Study
from runner.runs.folder import RunFolder
from runner.studies.averaging import Member, disjoint_groups, ensemble_metrics

RECORD = "study.json"


@dataclass(frozen=True)
class Candidate:
    """Values that tuning has tried in one arm.

    Attributes:
        stage: tune or refine.
        values: By key.
        runs: The folders' names, one for each tuning seed.
    """

    stage: str
    values: dict[str, Any]
    runs: list[str]


@dataclass(frozen=True)
class Arm:
    """What became of one arm.

    Attributes:
        overrides: Its own.
        settings: Its values of the keys in which arms differ.
        chosen: The tuned values.
        candidates: What was tried to find them.
        notes: How they were found, in sentences.
        runs: The folder's name of each seed's run.
    """

    overrides: list[str]
    settings: dict[str, Any] = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    runs: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """A study with its runs.

    Attributes:
        folder: outputs/<name>.
        command: What makes it again.
        study: The checked study node.
        arms: By name.
    """

    folder: Path
    command: str
    study: Study
    arms: dict[str, Arm]

    @classmethod
    def read(cls, folder: Path) -> "Evidence":
        """Raises:
        FileNotFoundError: No study has been run in that folder.
        """
        values = json.loads((folder / RECORD).read_text())
        arms = {
            name: Arm(
                **arm
                | {"candidates": [Candidate(**c) for c in arm["candidates"]]}
                | {"runs": {int(seed): run for seed, run in arm["runs"].items()}}
            )
            for name, arm in values["arms"].items()
        }
        return cls(folder, values["command"], Study.model_validate(values["study"]), arms)

    @property
    def failed(self) -> bool:
        """Whether a run neither completed nor diverged."""
        return bool(self.statuses().keys() - {"complete", "diverged"})

    def run(self, arm: str, seed: int) -> RunFolder:
        return self.folder_of(self.arms[arm].runs[seed])

    def folder_of(self, run: str) -> RunFolder:
        return RunFolder(self.folder / run)

    def values(self, measure: Measure, term: Term) -> dict[int, float]:
        """The values of one side of a comparison, by seed; for an ensemble, by number of the group.

        Raises:
            MissingMember: A member of the ensemble has no predictions.
        """
        if term.arm is None:
            return {}
        if term.arm in self.study.ensembles:
            of_groups = [
                self._of_group(measure, term, group) for group in self.ensemble_groups(term.arm)
            ]
            return {number: term.factor * value for number, value in enumerate(of_groups)}
        found = {
            seed: measured(measure, self.run(term.arm, seed)) for seed in self.arms[term.arm].runs
        }
        return {seed: term.factor * value for seed, value in found.items() if value is not None}

    def ensemble_groups(self, name: str) -> list[list[Member]]:
        """The disjoint groups of members of one of the study's ensembles."""
        ensemble = self.study.ensembles[name]
        members = [
            Member(self.run(arm, seed).path) for seed in self.study.seed_list for arm in ensemble.of
        ]
        return disjoint_groups(members, ensemble.size)

    def _of_group(self, measure: Measure, term: Term, group: Sequence[Member]) -> float:
        metric = measure.first.metric
        if term.members:
            return sum(ensemble_metrics([member])[metric] for member in group) / len(group)
        return ensemble_metrics(group)[metric]

    def statuses(self) -> dict[str, list[tuple[str, int]]]:
        """(arm, seed) of the runs with each status."""
        found: dict[str, list[tuple[str, int]]] = {}
        for name, arm in self.arms.items():
            for seed in arm.runs:
                status = self.run(name, seed).status or "not trained"
                found.setdefault(status, []).append((name, seed))
        return found


def read_run(folder: RunFolder) -> tuple[str | None, dict[str, Any], list[dict[str, Any]]]:
    """Status, result and metrics by epoch; read again only when the status has changed."""
    file = folder.path / "status.json"
    return _read_run(folder.path, file.stat().st_mtime_ns if file.exists() else 0)


@cache
def _read_run(path: Path, _: int) -> tuple[str | None, dict[str, Any], list[dict[str, Any]]]:
    folder = RunFolder(path)
    return folder.status, folder.result or {}, folder.metrics()


def measured(measure: Measure, folder: RunFolder) -> float | None:
    """The value of a measure in a run that has ended; None if it failed or was not trained."""
    status, result, metrics = read_run(folder)
    if status not in ("complete", "diverged"):
        return None
    worst = -inf if measure.higher_is_better else inf
    values = [_quantity(quantity, result, metrics, status) for quantity in measure.quantities]
    if not all(isfinite(value) for value in values):
        return worst
    if measure.operator == "-":
        return values[0] - values[1]
    if measure.operator == "/":
        return values[0] / values[1] if values[1] else worst
    return values[0]


def _quantity(
    quantity: Quantity, result: dict[str, Any], metrics: list[dict[str, Any]], status: str
) -> float:
    """A quantity's value, or an infinite one where there is none."""
    worst = -inf if quantity.higher_is_better else inf
    if quantity.function in TARGETS:
        for line in metrics:
            value = line.get(quantity.metric)
            if value is None:
                continue
            if value >= quantity.target if quantity.rising else value <= quantity.target:
                return float(line[TARGETS[quantity.function]])
        return worst
    if quantity.function == RANGE:
        since = quantity.epoch or 0
        seen = [m.get(quantity.metric, nan) for m in metrics if m["epoch"] >= since]
        if status == "diverged" or not seen or None in seen:
            return worst
        return float(max(seen) - min(seen))
    if quantity.epoch is not None:
        values = [m.get(quantity.metric) for m in metrics if m["epoch"] == quantity.epoch]
        return worst if not values or values[0] is None else float(values[0])
    value = result.get(quantity.metric)
    return worst if value is None else float(value)
