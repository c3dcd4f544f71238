"""The study node of an experiment: arms, tuning, seeds, and the claims put to the test.

A study declares its own sweep. Every arm is the experiment with overrides of its own. All arms are tuned
in the same way and trained with the same seeds; then each claim gets its verdict.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import count, islice
from math import prod
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from runner.config.arms_search import ArmsSearch
from runner.config.claim import Claim
from runner.config.claims import (
    LAYER,
    Measure,
    learning,
    measured_metric,
    parse_measure,
    tested,
)
from runner.config.expectations import Comparison
from runner.config.search import Search, path_of
from runner.config.values import Name, Value
from runner.options.option import Count, Option, Positive

MOST_RUNS = 10_000  # of a sweep, or of a study's arm
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Seeds = (
    Annotated[int, Field(ge=1, le=MOST_RUNS)]
    | Annotated[tuple[Seed, ...], Field(strict=False, min_length=1)]
)
Words = Annotated[tuple[str, ...], Field(strict=False)]
Choices = Annotated[tuple[Value, ...], Field(strict=False, min_length=1)]
Factor = Annotated[float, Field(gt=1)]
Interval = Annotated[tuple[Positive, Positive], Field(strict=False)]
ENSEMBLED = ("test/loss", "test/accuracy", "test/error")  # of averaged probabilities
TUNING_SEED = 10_000  # the first of the seeds for tuning: no count of seeds reaches it
RESERVED = ("seed", "study", "name", "experiment", "resume", "hydra")  # the study sets them


class Ensemble(Option):
    """Networks whose class probabilities are averaged.

    Attributes:
        of: The arms that give members: all of the first seed, then all of the second, ...
        size: Members of one ensemble. Disjoint groups of this size give the spread.
    """

    of: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]
    size: Annotated[int, Field(ge=2)]


class Refine(Option):
    """A random search after the grid: log-uniform draws around what the grid has chosen.

    Bergstra & Bengio 2012, https://jmlr.org/papers/v13/bergstra12a.html.

    Attributes:
        of: The arms that are refined.
        draws: How many combinations are drawn; the grid's choice competes with them.
        ranges: For each key a pair [from, to], or a factor f: from best/f to best·f.
    """

    of: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]
    draws: Annotated[int, Field(ge=1, le=MOST_RUNS)]
    ranges: Annotated[dict[str, Factor | Interval], Field(min_length=1)]


class Study(Option):
    """An experiment that compares.

    Attributes:
        question: What it is about.
        source: Who claims it.
        seeds: A number n for 0 ... n−1, or a list. Each arm is trained with each of them.
        splits: Whether a seed draws the training, validation and test split, too. Then the spread of the
            seeds holds what depends on the examples. Bouthillier et al. 2021, https://arxiv.org/abs/2103.03098.
        arms: Their overrides, by name; they come after those of the command line.
        tune: Values to choose from, by key, separately for each arm. A key that an arm sets itself is
            not tuned in it. Where the best value is the first or last of positive numbers, the range
            goes on geometrically, at most twice.
        search: Instead of `tune`: values to search for, with as many trials, epochs and rungs in each arm.
        tune_seeds: How many seeds are used for tuning; they are other ones than `seeds`. A list names them,
            and may name seeds that are judged by, too.
        tune_by: The measure that chooses, with val/loss as the tie-breaker. Never one of the test split;
            empty: the task's criterion on the validation split.
        sweep: Values that every arm is trained with, by key, with every seed; a claim measures what it finds
            over them: largest(), smallest() or best(). `tune` happens before, without them.
        refine: A random search after `tune`, or none.
        ensembles: By name; a claim uses them like arms.
        claims: What is expected.
    """

    question: str
    source: str
    seeds: Seeds
    arms: Annotated[dict[Name, Words], Field(min_length=1)]
    tune: dict[str, Choices] = Field(default_factory=dict)
    search: ArmsSearch | None = None
    tune_seeds: Count | Annotated[tuple[Seed, ...], Field(strict=False, min_length=1)] = 1
    tune_by: str = ""
    sweep: dict[str, Choices] = Field(default_factory=dict)
    splits: bool = False
    refine: Refine | None = None
    ensembles: dict[Name, Ensemble] = Field(default_factory=dict)
    claims: Annotated[tuple[Claim, ...], Field(strict=False)] = ()

    @property
    def seed_list(self) -> list[int]:
        """The seeds one by one."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @property
    def tuning_seeds(self) -> list[int]:
        """Where a number of them is given: from 10,000 on, those that judge left out."""
        if not isinstance(self.tune_seeds, int):
            return list(self.tune_seeds)
        fresh = (seed for seed in count(TUNING_SEED) if seed not in self.seed_list)
        return list(islice(fresh, self.tune_seeds))

    @property
    def tunes(self) -> bool:
        """Whether anything is chosen by validation."""
        return bool(self.tune or self.search)

    @property
    def measures_time(self) -> bool:
        """Whether seconds decide anything, so that runs must not share the machine."""
        measures = [parse_measure(self.tune_by)] if self.tune_by else []
        measures += [claim.parsed_measure for claim in self.claims]
        return any(q.is_timed for measure in measures for q in measure.quantities)

    @field_validator("tune_by")
    @classmethod
    def _never_chosen_by_test(cls, text: str) -> str:
        if not text:
            return text
        measure = parse_measure(text)
        if any(quantity.metric in tested() for quantity in measure.quantities):
            raise ValueError(f"'{text}': the test split is not for choosing; use val/")
        if measure.sweep:
            raise ValueError(f"'{text}': values are tuned by a number of each run")
        if not measure.direction:
            raise ValueError(f"'{text}': of this neither more nor less is better")
        return text

    @model_validator(mode="after")
    def _names_are_known(self) -> "Study":
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        for name, seeds in (("seeds", self.seed_list), ("tune_seeds", self.tuning_seeds)):
            if len(set(seeds)) < len(seeds):
                yield f"{name}: each seed once"
        yield from self._problems_of_search()
        tried = prod(map(len, self.tune.values())) * len(self.tuning_seeds)
        if tried > MOST_RUNS:
            yield f"tune: {tried:,} runs of each arm; {MOST_RUNS:,} are allowed"
        for name in self.ensembles.keys() & self.arms.keys():
            yield f"'{name}' is an arm and an ensemble"
        for arm, words in self.arms.items():
            for word in words:
                key = key_of(word)
                if key.split(".")[0].split("/")[0] in RESERVED:
                    yield f"arm '{arm}': {word}: the study sets {key} itself"
                if self.splits and key == "data.split_seed":
                    yield f"arm '{arm}': {word}: with splits each seed draws its own"
                if key in self.sweep:
                    yield f"arm '{arm}': {word}: the study sweeps {key}"
        users = {f"ensemble '{name}'": e.of for name, e in self.ensembles.items()}
        users |= {"refine.of": self.refine.of} if self.refine else {}
        for user, arms in users.items():
            for arm in arms:
                if arm not in self.arms:
                    yield f"{user}: {unknown(arm, self.arms)}"
        for name, ensemble in self.ensembles.items():
            members = len(ensemble.of) * len(self.seed_list)
            if members < ensemble.size:
                yield f"ensemble '{name}': size {ensemble.size}, but only {members} members"
            if self.splits and len(ensemble.of) % ensemble.size:
                yield f"ensemble '{name}': with splits each seed is tested on other examples"
        yield from self._problems_of_sweep()
        for claim in self.claims:
            for comparison in claim.comparisons:
                yield from self._problems_of(claim, comparison)

    def _problems_of_search(self) -> Iterator[str]:
        if not self.search:
            return
        for other in ("tune", "refine"):
            if getattr(self, other):
                yield f"search: instead of {other}, not with it"
        runs = self.search.trials * len(self.tuning_seeds)
        if runs > MOST_RUNS:
            yield f"search: {runs:,} runs of each arm; {MOST_RUNS:,} are allowed"
        if self.tune_by and self.tune_by not in learning():
            yield f"tune_by: {self.tune_by}: a search compares {', '.join(learning())}"
        for arm in self.search.arms:
            if arm not in self.arms:
                yield f"search.arms: {unknown(arm, self.arms)}"
        keys = [key for arm in self.arms for key in self.search.space_of(arm)]
        for key in dict.fromkeys(keys):
            path = path_of(key)
            if path in self.sweep:
                yield f"sweep: {path}: is searched, too"
            if self.splits and path == "data.split_seed":
                yield f"search: {key}: with splits each seed draws its own"

    def search_of(self, arm: str, options: Mapping[str, str]) -> Search | None:
        """What is searched for in an arm; None if there is nothing.

        Args:
            arm: One of the arms.
            options: The option of each group that its runs have, where the search draws no other.
        """
        own = set(map(key_of, self.arms[arm]))
        by, seeds = self.tune_by or "val/loss", len(self.tuning_seeds)
        return self.search.of(arm, own, options, by, seeds) if self.search else None

    def _problems_of_sweep(self) -> Iterator[str]:
        for key in self.sweep.keys() & self.tune.keys():
            yield f"sweep: {key}: is tuned, too"
        if self.sweep and self.ensembles:
            yield "sweep: a study that sweeps has no ensembles"
        for claim in self.claims:
            where, sweep = f"measure: {claim.measure}", claim.parsed_measure.sweep
            if self.sweep and not sweep:
                yield f"{where}: the study sweeps {', '.join(self.sweep)}; largest(), smallest() or best()"
            if sweep and not self.sweep:
                yield f"{where}: the study has no sweep"
            elif sweep and sweep.key and sweep.key not in self.sweep:
                yield f"{where}: not swept: '{sweep.key}'. Swept: {', '.join(self.sweep)}"
            elif sweep and sweep.key and not all(map(_is_number, self.sweep[sweep.key])):
                yield f"{where}: the values of {sweep.key} are no numbers"

    def _problems_of(self, claim: Claim, comparison: Comparison) -> Iterator[str]:
        for term in comparison.terms:
            known = self.ensembles if term.members else {**self.arms, **self.ensembles}
            if term.arm not in known:
                yield f"expect: {claim.expect}: {unknown(str(term.arm), known)}"
        ensembles = [term.arm in self.ensembles for term in comparison.terms]
        if any(ensembles):
            if not all(ensembles):
                yield f"expect: {comparison}: compare an ensemble with members(ensemble)"
            measure = claim.parsed_measure
            if measure.first.metric not in ENSEMBLED or len(measure.quantities) > 1:
                yield f"measure: {claim.measure}: an ensemble has {', '.join(ENSEMBLED)}"

    def problems_in(self, arm: str, config: Any) -> Iterator[str]:
        """What the claims measure that the runs of an arm would not have.

        Args:
            arm: One of the arms.
            config: Its checked runner.config.schema.Config.
        """
        if self.ensembles and (unlike := {*ENSEMBLED} - {*config.task.names("test")}):
            yield f"arm '{arm}': ensembles average probabilities; task={config.task.name} has no {unlike.pop()}"
        measures = [parse_measure(self.tune_by)] if self.tunes and self.tune_by else []
        for claim in self.claims:
            used = {term.arm for comparison in claim.comparisons for term in comparison.terms}
            measures += [claim.parsed_measure] if arm in used else []
        for measure in measures:
            for quantity in measure.quantities:
                where = f"arm '{arm}': measure: {measure.text}: "
                if quantity.epoch is not None and quantity.epoch > config.epochs:
                    yield f"{where}there are only epochs={config.epochs}"
                split = quantity.metric.split("/")[0]
                if measured_metric(quantity.metric) and quantity.metric not in (
                    own := config.task.names(split)
                ):
                    yield f"{where}task={config.task.name} has {', '.join(own)}"
                if split in LAYER and not config.diagnostics.layers:
                    yield f"{where}needs diagnostics=layers"
                if quantity.layer and quantity.layer > config.architecture.num_layers:
                    yield f"{where}the network has {config.architecture.num_layers} layers"

    def chose_by_split_of(self, measure: Measure) -> bool:
        """Whether tuning chooses by the split that a measure is of: there a choice looks better than elsewhere."""
        chooser = parse_measure(self.tune_by or "val/loss").quantities
        splits = {q.metric.split("/")[0] for q in chooser if q.metric in learning()}
        measured = [q.metric for q in measure.quantities if q.metric in learning()]
        return any(metric.split("/")[0] in splits for metric in measured)

    def arms_of(self, claim: Claim) -> list[str]:
        """The arms whose runs a claim compares, those of ensembles' members too."""
        names = [str(term.arm) for comparison in claim.comparisons for term in comparison.terms]
        ensembles = self.ensembles
        return [
            arm for name in names for arm in (ensembles[name].of if name in ensembles else [name])
        ]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def key_of(word: str) -> str:
    """The key that an override sets."""
    return word.lstrip("+~").partition("=")[0].partition("@")[0]


def unknown(name: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    return f"unknown arm '{name}'{hint} Known: {', '.join(known) or 'none'}"
