"""A study from its declaration to finished runs: check all arms, tune each, train each with every seed.

Three stages, each a sweep of runs that are found again when they are finished: the grid of `tune` with
the first seed or seeds, extended where its border is best; the random draws of `refine`; and the
chosen values of every arm with every seed. The test split chooses nothing.
"""

import json
import random
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from math import exp, inf, log
from typing import Any

from rich.text import Text

from runner.command.compose import composing
from runner.command.overrides import leaves, quoted
from runner.command.request import Request
from runner.command.terminal import out
from runner.config.claims import parse_measure
from runner.config.schema import Config
from runner.config.study import Study, key_of
from runner.errors import ConfigError
from runner.runs.files import write_atomically
from runner.runs.folder import OUTPUTS, RunFolder
from runner.runs.job import Job
from runner.studies.evidence import RECORD, Arm, Candidate, Evidence, measured
from runner.studies.verdicts import shown

Values = dict[str, Any]  # tuned values by key
Train = Callable[[list[Job]], object]
EXTENSIONS = 2


class Campaign:
    """The runs of one study.

    Args:
        request: A command line that selects an experiment with a study.

    Raises:
        ConfigError: An arm or a tuned value does not compose, or a claim measures what there is not.
    """

    def __init__(self, request: Request) -> None:
        config = request.jobs[0].config
        assert config.study
        self.request = request
        self.study: Study = config.study
        self.name = config.name
        self.words = [w for w in request.jobs[0].overrides if key_of(w).split(".")[0] != "study"]
        self.jobs: dict[tuple[str, str, int], Job] = {}
        self.trained: set[str] = set()  # hashes; what resume=false has trained afresh already
        self.candidates: dict[str, list[Candidate]] = {arm: [] for arm in self.study.arms}
        self.notes: dict[str, list[str]] = {arm: [] for arm in self.study.arms}
        self._check(config)

    def _check(self, config: Config) -> None:
        """Tells all mistakes of all arms before anything is trained."""
        problems: dict[str, None] = {}
        if self.request.multirun:
            problems["a study is a sweep by itself: leave out -m and run one study at a time"] = (
                None
            )
        if config.seed != 0:
            problems[f"seed={config.seed}: a study has seeds; study.seeds=[{config.seed}]"] = None
        seed = self.study.seed_list[0]
        wanted = [
            (arm, values, seed)
            for arm in self.study.arms
            for values in [{}, *self.grid(arm), *self._corners(arm)]
        ]
        for (arm, values, _), found in self._composed(wanted):
            if isinstance(found, Job):
                problems |= dict.fromkeys(self.study.problems_in(arm, found.config))
            else:
                told = "".join(f" {k}={v}" for k, v in values.items())
                problems |= dict.fromkeys(f"arm '{arm}'{told}: {text}" for text in found)
        if problems:
            raise ConfigError(list(problems))

    # Which runs there are

    @property
    def configs(self) -> list[Config]:
        """One run of every arm, as it is before tuning."""
        return [self.job(arm, {}, self.study.seed_list[0]).config for arm in self.study.arms]

    def tuned_keys(self, arm: str) -> list[str]:
        """The keys that are tuned in an arm: those that it does not set itself."""
        own = {key_of(word) for word in self.study.arms[arm]}
        return [key for key in self.study.tune if key not in own]

    def grid(self, arm: str) -> list[Values]:
        """All combinations of the values to choose from; none where nothing is tuned."""
        keys = self.tuned_keys(arm)
        columns = [self.study.tune[key] for key in keys]
        return (
            [dict(zip(keys, values, strict=True)) for values in product(*columns)] if keys else []
        )

    def job(self, arm: str, values: Values, seed: int) -> Job:
        """One run; its combination was checked before."""
        [(_, found)] = self._composed([(arm, values, seed)])
        assert isinstance(found, Job), found
        return found

    def _composed(
        self, wanted: Sequence[tuple[str, Values, int]]
    ) -> Iterable[tuple[tuple[str, Values, int], Job | list[str]]]:
        """Each run as a job, or what is wrong with it."""
        new = {_key(*run): run for run in wanted if _key(*run) not in self.jobs}
        combinations = [self._overrides(*run) for run in new.values()]
        problems: dict[tuple[str, str, int], list[str]] = {}
        with composing(self.request.folders) as composer:
            for (key, (arm, values, seed)), words in zip(new.items(), combinations, strict=True):
                composer.problems.clear()
                config = composer.config(words)
                if config is None:
                    problems[key] = list(composer.problems)
                    continue
                pairs = {"arm": arm, **values, "seed": seed}
                named = tuple((name, str(value)) for name, value in pairs.items())
                self.jobs[key] = Job(tuple(words), config, named)
        return [(run, problems.get(_key(*run)) or self.jobs[_key(*run)]) for run in wanted]

    def _overrides(self, arm: str, values: Values, seed: int) -> list[str]:
        tuned = [f"{key}={quoted(value)}" for key, value in values.items()]
        return [*self.words, *tuned, *self.study.arms[arm], f"seed={seed}", "study=null"]

    # The stages

    def carry_out(self, train: Train) -> Evidence:
        """Trains what is not trained yet, stage by stage, and keeps the record of it.

        Args:
            train: Trains jobs that are not finished.
        """
        arms = list(self.study.arms)
        if self.study.tune:
            self._tune(train, arms)
        chosen = {arm: self._best(arm) for arm in arms}
        for arm in arms:
            self._tell_choice(arm, "tune")
        if self.study.refine:
            self._refine(train, chosen)
            for arm in self.study.refine.of:
                chosen[arm] = self._best(arm)
                self._tell_choice(arm, "refine")
        runs = [(arm, chosen[arm], seed) for seed in self.study.seed_list for arm in arms]
        jobs = self._train(train, runs)
        return self._record(chosen, dict(zip([(a, s) for a, _, s in runs], jobs, strict=True)))

    def _train(self, train: Train, runs: Sequence[tuple[str, Values, int]]) -> list[Job]:
        jobs = []
        for _, found in self._composed(runs):
            assert isinstance(found, Job), found
            jobs.append(found)
        new = {job.config.hash: job for job in jobs if job.config.hash not in self.trained}
        train(list(new.values()))
        self.trained |= set(new)
        return jobs

    def _try(self, train: Train, stage: str, wanted: list[tuple[str, Values]]) -> None:
        """Trains combinations of values with the tuning seeds and keeps them as candidates."""
        seeds = self.study.tuning_seeds
        jobs = self._train(train, [(arm, values, seed) for arm, values in wanted for seed in seeds])
        for number, (arm, values) in enumerate(wanted):
            part = jobs[number * len(seeds) : (number + 1) * len(seeds)]
            names = [job.folder.name for job in part]
            self.candidates[arm].append(Candidate(stage, values, names))

    def _tune(self, train: Train, arms: list[str]) -> None:
        self._try(train, "tune", [(arm, values) for arm in arms for values in self.grid(arm)])
        for extension in range(EXTENSIONS + 1):
            wanted: list[tuple[str, Values]] = []
            for arm in arms:
                for key, beyond in self._borders(arm):
                    told = f"best at the border {key}={self._best(arm)[key]}"
                    if beyond is None:
                        self._note(arm, f"{told}; the range has no value beyond")
                    elif extension == EXTENSIONS:
                        self._note(arm, f"{told} after the range was extended twice")
                    else:
                        self._note(arm, f"{told}: extended to {beyond:g}")
                        wanted += [(arm, values) for values in self._extended(arm, key, beyond)]
            if not wanted:
                return
            self._try(train, "tune", wanted)

    def _borders(self, arm: str) -> list[tuple[str, float | None]]:
        """The keys whose best value is the first or last, each with the next one beyond, if valid."""
        found = []
        best = self._best(arm)
        for key in self.tuned_keys(arm):
            tried = sorted({c.values[key] for c in self.candidates[arm]}, key=_order)
            if len(tried) < 2 or best[key] not in (tried[0], tried[-1]):
                continue
            last, before = (tried[0], tried[1]) if best[key] == tried[0] else (tried[-1], tried[-2])
            beyond = _geometric(last, before)
            if beyond is not None and not self._valid(arm, best | {key: beyond}):
                beyond = None
            if all(isinstance(value, (int, float)) for value in tried) and last != 0:
                found.append((key, beyond))
        return found

    def _valid(self, arm: str, values: Values) -> bool:
        [(_, found)] = self._composed([(arm, values, self.study.seed_list[0])])
        return isinstance(found, Job)

    def _extended(self, arm: str, key: str, beyond: float) -> list[Values]:
        """The new value of one key with all values of the others."""
        tried = [candidate.values for candidate in self.candidates[arm]]
        new = [values | {key: beyond} for values in tried]
        return [values for i, values in enumerate(new) if values not in [*tried, *new[:i]]]

    def _refine(self, train: Train, chosen: Mapping[str, Values]) -> None:
        refine = self.study.refine
        assert refine
        wanted = []
        for arm in refine.of:
            around = self._ranges(arm, chosen[arm])
            self._note(
                arm,
                "drawn from "
                + ", ".join(f"{k} in [{a:.3g}, {b:.3g}]" for k, (a, b) in around.items()),
            )
            draw = random.Random(
                f"{arm} {sorted(around.items())}"
            )  # the same whenever it is repeated
            for _ in range(refine.draws):
                drawn = {
                    key: float(f"{exp(draw.uniform(log(low), log(high))):.3g}")
                    for key, (low, high) in around.items()
                }
                wanted.append((arm, chosen[arm] | drawn))
        self._try(train, "refine", wanted)

    def _ranges(self, arm: str, center: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
        """From where to where each refined key is drawn."""
        refine = self.study.refine
        assert refine
        return {
            key: (float(center[key]) / given, float(center[key]) * given)
            if isinstance(given, float)
            else given
            for key, given in refine.ranges.items()
        }

    def _corners(self, arm: str) -> list[Values]:
        """Combinations at the ends of the fixed ranges of `refine`, to be checked before training."""
        refine = self.study.refine
        if not refine or arm not in refine.of:
            return []
        fixed = {key: given for key, given in refine.ranges.items() if isinstance(given, tuple)}
        return (
            [{key: ends[side] for key, ends in fixed.items()} for side in (0, 1)] if fixed else []
        )

    # Choosing

    def score(self, candidate: Candidate) -> tuple[float, float]:
        """The mean of `tune_by` over the tuning seeds, then of val/loss; lower is better."""
        measure = parse_measure(self.study.tune_by)
        turn = -1.0 if measure.higher_is_better else 1.0
        return self._mean(candidate, self.study.tune_by) * turn, self._mean(candidate, "val/loss")

    def _mean(self, candidate: Candidate, text: str) -> float:
        measure = parse_measure(text)
        values = [measured(measure, self._folder(run)) for run in candidate.runs]
        worst = -inf if measure.higher_is_better else inf
        return sum(worst if value is None else value for value in values) / len(values)

    def _folder(self, run: str) -> RunFolder:
        return RunFolder(OUTPUTS / self.name / run)

    def _best(self, arm: str) -> Values:
        """The values of the best candidate, of the first among equals; {} where nothing was tuned."""
        found = self.candidates[arm]
        return dict(min(found, key=self.score).values) if found else {}

    # Telling and keeping

    def _tell_choice(self, arm: str, stage: str) -> None:
        """Prints and notes what was chosen in a stage, and why."""
        found = sorted(self.candidates[arm], key=self.score)
        if not found:
            return
        measure = parse_measure(self.study.tune_by)
        values = [shown(measure, self._mean(candidate, measure.text)) for candidate in found[:2]]
        text = f"{_told(found[0].values)} of {len(found)} tried: {measure.text} {values[0]}"
        if len(found) > 1:
            tie = ", the lower val/loss" if values[0] == values[1] else ""
            text += f"; next {_told(found[1].values)} with {values[1]}{tie}"
        self._note(arm, f"{stage}: chose {text}")

    def _note(self, arm: str, text: str) -> None:
        self.notes[arm].append(text)
        out.print(Text(f"{arm}: {text}"))

    def _record(
        self, chosen: Mapping[str, Values], jobs: Mapping[tuple[str, int], Job]
    ) -> Evidence:
        """Writes study.json: all that the report needs besides the runs."""
        seeds = self.study.seed_list
        settings = differing({arm: jobs[arm, seeds[0]].config for arm in self.study.arms})
        arms = {
            arm: Arm(
                overrides=list(words),
                settings=settings[arm],
                chosen=chosen[arm],
                candidates=self.candidates[arm],
                notes=self.notes[arm],
                runs={seed: jobs[arm, seed].folder.name for seed in seeds},
            )
            for arm, words in self.study.arms.items()
        }
        folder = OUTPUTS / self.name
        command = f"python -m runner {shlex.join(self.request.words)}"
        evidence = Evidence(folder, command, self.study, arms)
        write_evidence(evidence)
        return evidence


def write_evidence(evidence: Evidence) -> None:
    values = {
        "command": evidence.command,
        "study": evidence.study.model_dump(mode="json"),
        "arms": {name: asdict(arm) for name, arm in evidence.arms.items()},
    }
    evidence.folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    write_atomically(evidence.folder / RECORD, text.encode())


def differing(configs: Mapping[str, Config]) -> dict[str, Values]:
    """Each arm's values of the settings in which arms differ; the seed and the name do not count."""
    flat = {arm: dict(leaves(config.identity())) for arm, config in configs.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values if key != "seed")
    differ = [key for key in keys if len({str(values.get(key)) for values in flat.values()}) > 1]
    return {arm: {key: values.get(key) for key in differ} for arm, values in flat.items()}


def _key(arm: str, values: Values, seed: int) -> tuple[str, str, int]:
    return arm, json.dumps(values, sort_keys=True), seed


def _order(value: Any) -> tuple[bool, Any]:
    number = isinstance(value, (int, float))
    return not number, value if number else str(value)


def _geometric(last: Any, before: Any) -> float | int | None:
    """The value beyond `last` in the geometric sequence before, last, ...; None if there is none."""
    numbers = (last, before)
    if not all(type(value) in (int, float) and value > 0 for value in numbers):
        return None
    beyond = last * last / before
    if isinstance(last, int):
        return round(beyond) if round(beyond) >= 1 and round(beyond) != last else None
    return float(f"{beyond:.6g}")


def _told(values: Mapping[str, Any]) -> str:
    return " ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in values.items()
    )
