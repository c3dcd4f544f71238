"""replication.json: a study's arms with fresh seeds, as its runs' own settings say, not today's experiment file."""

import json
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runner.command.compose import composing
from runner.command.overrides import expanded
from runner.command.request import Request, read_request
from runner.config.schema import Config
from runner.config.study import Study
from runner.errors import ConfigError, DataError
from runner.runs.folder import OUTPUTS
from runner.runs.job import Job
from runner.runs.records import first_mistake
from runner.studies.evidence import Evidence
from runner.studies.record import REPLICATION, Point, Record

MOST_SEEDS = 10_000
Place = tuple[str, int, int]  # arm, number of the swept point (0 where nothing is swept), seed


class Replication:
    """What a replication of a study trains, and its record.

    Args:
        folder: outputs/<name> of a study that was carried out.
        number: Of fresh seeds.
        words: Overrides that say where and how to train, not what.
        folders: The user's own folders of YAML files.

    Raises:
        ConfigError: The words change the runs, or the study was replicated with another number.
        DataError: There is no finished study in the folder, or it is damaged.
    """

    def __init__(
        self, folder: Path, number: int, words: Sequence[str] = (), folders: Sequence[Path] = ()
    ) -> None:
        self.folder, self.words, self.folders = folder, list(words), list(folders)
        self.first = Evidence.read(folder)
        self._check(number)
        self.study = self._study(number)
        self.jobs = self._jobs()
        self.request: Request = read_request(next(iter(self.jobs.values())).overrides, folders)
        self.record = self._record()

    def _check(self, number: int) -> None:
        if not 2 <= number <= MOST_SEEDS:
            raise ConfigError([f"--seeds {number}: takes 2 to {MOST_SEEDS:,}"])
        if self.folder.resolve() != (OUTPUTS / self.folder.name).resolve():
            raise DataError(
                f"{self.folder}: not below {OUTPUTS}/, where a replication would be trained"
            )
        if self.first.failed:
            raise DataError(f"{self.folder}: not all runs of the study ended; finish it first")
        begun = read_replication(self.folder)
        if begun and len(begun.study.seed_list) != number:
            raise ConfigError(
                [
                    f"--seeds {number}: {self.folder} is replicated with --seeds"
                    f" {len(begun.study.seed_list)}; more after seeing the verdict would be a second look",
                    f"Delete {self.folder / REPLICATION} to give that replication up",
                ]
            )

    def _study(self, number: int) -> Study:
        """The study with seeds that it has used neither to tune nor to judge."""
        study = self.first.study
        used = {*study.seed_list, *study.tuning_seeds}
        seeds = list(islice((seed for seed in count() if seed not in used), number))
        values = study.model_dump(mode="json") | {"seeds": seeds, "tune_seeds": study.tuning_seeds}
        try:
            return Study.model_validate_json(json.dumps(values))
        except ValidationError as error:
            raise ConfigError([f"--seeds {number}: {first_mistake(error)}"]) from None

    def _jobs(self) -> dict[Place, Job]:
        problems: list[str] = []
        found: dict[Place, Job] = {}
        with composing(self.folders) as composer:
            for arm, number, values, run in self._runs():
                original = self.first.folder_of(run).config()
                saved = expanded(str(self.folder / run / "config.yaml"))
                for seed in self.study.seed_list:
                    split = [f"++data.split_seed={seed}"] if self.study.splits else []
                    words = [*saved, *self.words, f"++seed={seed}", *split]
                    composer.problems.clear()
                    config = composer.config(words)
                    problems += composer.problems
                    if config is None or original is None:
                        continue
                    if _decisive(config) != _decisive(original):
                        problems.append(f"{' '.join(self.words)}: would change what is trained")
                    settings = {"arm": arm, **values, "seed": seed}
                    named = tuple((name, str(value)) for name, value in settings.items())
                    found[arm, number, seed] = Job(tuple(words), config, named)
        if problems:
            raise ConfigError(list(dict.fromkeys(problems)))
        if any(job.config.name != self.folder.name for job in found.values()):
            raise DataError(f"{self.folder}: its runs are of another name")
        return found

    def _runs(self) -> Iterator[tuple[str, int, dict[str, Any], str]]:
        """Arm, number of the point, tuned and swept values, and a run of each."""
        seed = self.first.study.seed_list[0]
        for name, arm in self.first.arms.items():
            if not arm.swept:
                yield name, 0, arm.chosen, arm.runs[seed]
            for number, point in enumerate(arm.swept):
                yield name, number, arm.chosen | point.values, point.runs[seed]

    def _record(self) -> Record:
        def runs_of(arm: str, number: int) -> dict[int, str]:
            seeds = self.study.seed_list
            return {seed: self.jobs[arm, number, seed].folder.name for seed in seeds}

        arms = {
            name: arm.model_copy(
                update={
                    "candidates": [],
                    "notes": [],
                    "runs": {} if arm.swept else runs_of(name, 0),
                    "swept": [
                        Point(values=point.values, runs=runs_of(name, number))
                        for number, point in enumerate(arm.swept)
                    ],
                }
            )
            for name, arm in self.first.arms.items()
        }
        number = len(self.study.seed_list)
        command = f"python -m runner.replicate {self.folder} --seeds {number}"
        return Record(command=command, study=self.study, arms=arms)

    def write(self) -> None:
        """Writes the record, before anything is trained: the number of seeds is then a plan."""
        self.record.write(self.folder, REPLICATION)


def read_replication(folder: Path) -> Evidence | None:
    """The runs of a replication; None where there is none, or only one of what the study was before.

    Raises:
        DataError: Its record is damaged.
    """
    if not (folder / REPLICATION).exists():
        return None
    first, second = Evidence.read(folder), Evidence.read(folder, REPLICATION)
    return second if _belongs(first, second) else None


def _belongs(first: Evidence, second: Evidence) -> bool:
    """Whether a replication has the claims and the runs of a study, but for its seeds."""
    seeds = {"seeds", "tune_seeds"}
    if first.study.model_dump(exclude=seeds) != second.study.model_dump(exclude=seeds):
        return False
    used = {*first.study.seed_list, *first.study.tuning_seeds}
    if not used.isdisjoint(second.study.seed_list):
        return False
    for name, arm in first.arms.items():
        pairs = zip(arm.final_runs, second.arms[name].final_runs, strict=False)
        by_values = next(pairs, None)
        configs = [second.folder_of(run).config() for _, run in by_values or ()]
        decisive = [_decisive(config) for config in configs if config]
        if arm.chosen != second.arms[name].chosen or decisive[1:] not in ([], decisive[:1]):
            return False
    return True


def _decisive(config: Config) -> dict[str, Any]:
    """What decides the numbers of a run besides its seed."""
    identity = config.identity()
    identity["data"].pop("split_seed", None)
    return {key: value for key, value in identity.items() if key != "seed"}
