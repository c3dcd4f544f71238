"""What a study's runs say: the values on each side of a comparison, by seed or by ensemble."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from runner.config.claims import Measure
from runner.config.expectations import Comparison, Side, Term
from runner.config.study import Study
from runner.options.task import Task
from runner.options.tasks import Classification
from runner.runs.folder import FINISHED, RunFolder
from runner.studies.averaging import Member, MissingMember, disjoint_groups, ensemble_metrics
from runner.studies.measuring import numbers_of, value_in, value_over
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
    def task(self) -> Task:
        """What its runs learn: the first one that has been begun says so."""
        runs = (self.folder_of(run) for arm in self.arms.values() for run in arm.runs.values())
        configs = (run.config() for run in runs)
        found = next((config.task for config in configs if config), None)
        return found or Classification(name="classification")

    @property
    def failed(self) -> bool:
        """Whether an arm, or a run of tuning or of the comparison, neither completed nor diverged.

        What a search has dropped is as it should be.
        """
        arms = self.arms.values()
        final = {run for arm in arms for _, run in arm.final_runs}
        tried = {run for arm in arms for run in arm.all_runs} - final
        status = {run: numbers_of(self.folder_of(run)).status for run in final | tried}
        return (
            any(arm.failure for arm in arms)
            or any(status[run] not in FINISHED for run in final)
            or any(status[run] not in (*FINISHED, "pruned") for run in tried)
        )

    def run(self, arm: str, seed: int) -> RunFolder:
        return self.folder_of(self.arms[arm].runs[seed])

    def folder_of(self, run: str) -> RunFolder:
        return RunFolder(self.folder / run)

    # Values

    def units(self, comparison: Comparison) -> list[int]:
        """What is paired: the seeds, or the numbers of the groups of an ensemble's members.

        Raises:
            MissingMember: As `members`.
        """
        ensembles = [str(t.arm) for t in comparison.terms if t.arm in self.study.ensembles]
        if not ensembles:
            return self.study.seed_list
        return list(range(min(len(self.groups(name)) for name in ensembles)))

    def values_of(self, term: Term, measure: Measure) -> dict[int, float]:
        """The values of a term by seed; those of an ensemble by the number of the group.

        Raises:
            MissingMember: A member of the ensemble has no predictions.
        """
        if term.arm is None:
            return {}
        if term.arm in self.study.ensembles:
            of_groups = [_of_group(group, term, measure) for group in self.groups(term.arm)]
            return {number: term.factor * value for number, value in enumerate(of_groups)}
        arm = self.arms[term.arm]
        found: dict[int, float | None]
        if measure.sweep:
            found = {
                seed: value_over(
                    [(point.values, self.folder_of(point.runs[seed])) for point in arm.swept],
                    measure,
                )
                for seed in self.study.seed_list
                if arm.swept
            }
        else:
            found = {seed: value_in(self.folder_of(run), measure) for seed, run in arm.runs.items()}
        return {seed: term.factor * value for seed, value in found.items() if value is not None}

    def sums_of(self, side: Side, measure: Measure, units: Sequence[int]) -> dict[int, float]:
        """The values of a side of a comparison by unit, where all its terms have one.

        Raises:
            MissingMember: A member of an ensemble has no predictions.
        """
        terms = [self.values_of(term, measure) for term in side.arms]
        return {
            unit: side.constant + sum(values[unit] for values in terms)
            for unit in units
            if all(unit in values for values in terms)
        }

    # Runs

    def groups(self, ensemble: str) -> list[list[Member]]:
        """The members of an ensemble in disjoint groups of its size.

        Raises:
            MissingMember: As `members`.
        """
        return disjoint_groups(self.members(ensemble), self.study.ensembles[ensemble].size)

    def members(self, ensemble: str) -> list[Member]:
        """The members of one of the study's ensembles: all of the first seed, then all of the next.

        Raises:
            MissingMember: An arm has no runs, because its tuning failed.
        """
        arms = self.study.ensembles[ensemble].of
        for arm in arms:
            if self.arms[arm].failure:
                raise MissingMember(f"{arm}: {self.arms[arm].failure}")
        seeds = self.study.seed_list
        return [self.member(self.arms[arm].runs[seed]) for seed in seeds for arm in arms]

    def member(self, run: str) -> Member:
        """A run with its predictions, which are read once."""
        return self._members.setdefault(run, Member(self.folder / run))

    @cached_property
    def _members(self) -> dict[str, Member]:
        return {}

    def statuses(self) -> dict[str, list[tuple[str, int]]]:
        """(arm, seed) of the runs with each status."""
        found: dict[str, list[tuple[str, int]]] = {}
        for name, arm in self.arms.items():
            for seed, run in arm.final_runs:
                status = numbers_of(self.folder_of(run)).status or "not trained"
                found.setdefault(status, []).append((name, seed))
        return found


def _of_group(group: Sequence[Member], term: Term, measure: Measure) -> float:
    metric = measure.first.metric
    if term.members:
        return sum(ensemble_metrics([member])[metric] for member in group) / len(group)
    return ensemble_metrics(group)[metric]
