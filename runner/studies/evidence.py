"""What a study's runs say: the values on each side of a comparison, by seed or by ensemble."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.config.claims import Measure, Side
from runner.config.study import Study
from runner.runs.folder import FINISHED, RunFolder
from runner.studies.averaging import Member, disjoint_groups, ensemble_metrics
from runner.studies.measuring import numbers_of, value_in
from runner.studies.record import RECORD, Arm, Record


@dataclass(frozen=True)
class Evidence:
    """A study with its runs, which lie in the folder of its record: outputs/<name>."""

    folder: Path
    record: Record
    name: str = RECORD  # of the record's file

    @classmethod
    def read(cls, folder: Path, name: str = RECORD) -> "Evidence":
        """Raises:
        DataError: No study has been run in that folder, or its record is damaged.
        """
        return cls(folder, Record.read(folder, name), name)

    @property
    def suffix(self) -> str:
        """What the names of the files of its report end in: "", or that of a trial with other settings."""
        return self.name.removesuffix(".json").removeprefix("study")

    @property
    def study(self) -> Study:
        return self.record.study

    @property
    def arms(self) -> dict[str, Arm]:
        return self.record.arms

    @property
    def failed(self) -> bool:
        """Whether a run, of tuning or of the comparison, neither completed nor diverged."""
        runs = {run for arm in self.arms.values() for run in arm.all_runs}
        return any(numbers_of(self.folder_of(run)).status not in FINISHED for run in runs)

    def run(self, arm: str, seed: int) -> RunFolder:
        return self.folder_of(self.arms[arm].runs[seed])

    def folder_of(self, run: str) -> RunFolder:
        return RunFolder(self.folder / run)

    def values_of(self, side: Side, measure: Measure) -> dict[int, float]:
        """The values of a side by seed; those of an ensemble by the number of the group.

        Raises:
            MissingMember: A member of the ensemble has no predictions.
        """
        if side.arm is None:
            return {}
        if side.arm in self.study.ensembles:
            groups = disjoint_groups(self.members(side.arm), self.study.ensembles[side.arm].size)
            of_groups = [_of_group(group, side, measure) for group in groups]
            return {number: side.factor * value for number, value in enumerate(of_groups)}
        found = {seed: value_in(self.run(side.arm, seed), measure) for seed in self.study.seed_list}
        return {seed: side.factor * value for seed, value in found.items() if value is not None}

    def members(self, ensemble: str) -> list[Member]:
        """The members of one of the study's ensembles: all of the first seed, then all of the next."""
        arms = self.study.ensembles[ensemble].of
        return [Member(self.run(arm, seed).path) for seed in self.study.seed_list for arm in arms]

    def statuses(self) -> dict[str, list[tuple[str, int]]]:
        """(arm, seed) of the runs with each status."""
        found: dict[str, list[tuple[str, int]]] = {}
        for name, arm in self.arms.items():
            for seed in arm.runs:
                status = numbers_of(self.run(name, seed)).status or "not trained"
                found.setdefault(status, []).append((name, seed))
        return found


def _of_group(group: Sequence[Member], side: Side, measure: Measure) -> float:
    metric = measure.first.metric
    if side.members:
        return sum(ensemble_metrics([member])[metric] for member in group) / len(group)
    return ensemble_metrics(group)[metric]
