"""study.json: what the stages of a study have come to, and all that the report needs besides the runs.

replication.json is the same of a replication: the study with fresh seeds.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from runner.config.study import Study
from runner.config.values import Name, Value
from runner.errors import DataError
from runner.options.option import Option
from runner.runs.campaign_record import CampaignRecord, RunName

RECORD, REPLICATION = "study.json", "replication.json"


class Candidate(Option):
    """Values that tuning has tried in one arm.

    Attributes:
        stage: tune, refine or search.
        values: By key.
        value: What decided of it, where a search had it as far as it went; null where it had diverged.
        runs: The names of their folders, one for each tuning seed.
    """

    stage: Literal["tune", "refine", "search"]
    values: dict[str, Value]
    value: float | None = None
    runs: list[RunName]


class Point(Option):
    """One combination of the swept values in one arm.

    Attributes:
        values: By key.
        runs: The name of the folder of each seed's run.
    """

    values: dict[str, Value]
    runs: dict[int, RunName]


class Arm(Option):
    """What became of one arm.

    Attributes:
        overrides: Its own.
        settings: Its values of the keys in which arms differ.
        chosen: The tuned values.
        candidates: What was tried to find them.
        notes: How they were found, in sentences.
        runs: The name of the folder of each seed's run; none where the study sweeps, or the arm failed.
        swept: The runs of a study that sweeps.
        failure: Why nothing could be chosen in tuning; empty if something was.
    """

    overrides: list[str]
    settings: dict[str, Value]
    chosen: dict[str, Value]
    candidates: list[Candidate]
    notes: list[str]
    runs: dict[int, RunName]
    swept: list[Point] = Field(default_factory=list)
    failure: str = ""

    @property
    def final_runs(self) -> list[tuple[int, RunName]]:
        """(seed, run) of all that is judged."""
        return [*self.runs.items(), *(pair for point in self.swept for pair in point.runs.items())]

    @property
    def all_runs(self) -> list[RunName]:
        """Those of tuning, too."""
        final = [run for _, run in self.final_runs]
        return [*final, *(run for c in self.candidates for run in c.runs)]


class Record(CampaignRecord):
    """A study that was carried out.

    Attributes:
        command: Carries it out again.
        study: The checked study node.
        arms: By name.
    """

    kind = "study"
    default_name = RECORD

    command: str
    study: Study
    arms: dict[Name, Arm]

    @model_validator(mode="after")
    def _belongs_to_its_study(self) -> "Record":
        if problem := next(self._problems(), None):
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        if self.arms.keys() != self.study.arms.keys():
            yield f"arms: {', '.join(self.arms)}; the study has {', '.join(self.study.arms)}"
        seeds = set(self.study.seed_list)
        for name, arm in self.arms.items():
            if bool(arm.swept) != bool(self.study.sweep and not arm.failure):
                yield f"arm '{name}': swept, which the study is not, or the other way round"
            by_seed = [point.runs for point in arm.swept] or [arm.runs]
            if any(set(runs) != (set() if arm.failure else seeds) for runs in by_seed):
                yield f"arm '{name}': runs of other seeds than the study's"
            if any(point.values.keys() != self.study.sweep.keys() for point in arm.swept):
                yield f"arm '{name}': other keys than the study sweeps"
            for candidate in arm.candidates:
                if len(candidate.runs) != len(self.study.tuning_seeds):
                    yield f"arm '{name}': a candidate has no run for each tuning seed"

    def run_names(self) -> Iterator[str]:
        return (run for arm in self.arms.values() for run in arm.all_runs)


def name_for(folder: Path, command: str, plain: bool = False) -> str:
    """The file of the record of a command: a trial with other settings replaces no record of another command.

    Args:
        folder: outputs/<name>.
        command: The command line.
        plain: It runs the experiment just as its file has it, which is always study.json.
    """
    if plain or not (folder / RECORD).exists():
        return RECORD
    try:
        same = Record.read(folder).command == command
    except DataError:  # damaged: written anew
        same = True
    return RECORD if same else f"study-{sha256(command.encode()).hexdigest()[:8]}.json"
