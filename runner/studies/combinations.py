"""The runs of a study: an arm, values for what is tuned and a seed, composed into a checked run."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runner.command.compose import composing
from runner.command.request import Request
from runner.config.schema import Config
from runner.config.study import Study, key_of
from runner.config.varying import leaves
from runner.runs.job import Job
from runner.search.space import words_of

Combination = dict[str, Any]  # tuned values by key


class Wanted(NamedTuple):
    """A run of a study before it is composed."""

    arm: str
    values: Combination
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        return self.arm, json.dumps(self.values, sort_keys=True), self.seed


class StudyRuns:
    """Composes the runs of one study, each once.

    Args:
        request: The command line; what it sets holds for every arm that does not set it itself.
        study: Its checked study.
    """

    def __init__(self, request: Request, study: Study) -> None:
        self.request = request
        self.study = study
        self.words = [w for w in request.jobs[0].overrides if key_of(w).split(".")[0] != "study"]
        self.composed: dict[tuple[str, str, int], Job] = {}

    def job(self, run: Wanted) -> Job:
        """A run that is known to compose."""
        return self.jobs([run])[0]

    def jobs(self, runs: Sequence[Wanted]) -> list[Job]:
        problems = self.problems(runs)
        assert not problems, problems
        return [self.composed[run.key] for run in runs]

    def problems(self, runs: Sequence[Wanted]) -> dict[tuple[str, str, int], list[str]]:
        """Composes what was not composed before; what is wrong with the runs that do not, by key."""
        found: dict[tuple[str, str, int], list[str]] = {}
        new = {run.key: run for run in runs if run.key not in self.composed}
        if not new:
            return found
        with composing(self.request.folders) as composer:
            for key, run in new.items():
                composer.problems.clear()
                words = self._overrides(run)
                config = composer.config(words)
                if config is None:
                    found[key] = list(composer.problems)
                    continue
                settings = {"arm": run.arm, **run.values, "seed": run.seed}
                named = tuple((name, str(value)) for name, value in settings.items())
                self.composed[key] = Job(tuple(words), config, named)
        return found

    def _overrides(self, run: Wanted) -> list[str]:
        tuned = words_of(run.values)
        split = [f"data.split_seed={run.seed}"] if self.study.splits else []
        own = self.study.arms[run.arm]
        return [*self.words, *tuned, *own, f"seed={run.seed}", *split, "study=null"]


def differing(configs: Mapping[str, Config]) -> dict[str, dict[str, Any]]:
    """Each arm's values of the settings in which arms differ; the seed and the name do not count."""
    flat = {arm: dict(leaves(config.settings())) for arm, config in configs.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values if key != "seed")
    differ = [key for key in keys if len({str(values.get(key)) for values in flat.values()}) > 1]
    return {arm: {key: values.get(key) for key in differ} for arm, values in flat.items()}
