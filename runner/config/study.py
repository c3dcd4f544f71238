"""The study node of an experiment: arms, tuning, seeds, and the claims put to the test.

A study declares its own sweep. Every arm is the experiment with overrides of its own. All arms are tuned
in the same way and trained with the same seeds; then each claim gets its verdict.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from math import prod
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator
from typing_extensions import TypeAliasType

from runner.config.claims import (
    LAYER,
    TESTED,
    Comparison,
    Measure,
    measured_metric,
    parse_expectation,
    parse_measure,
)
from runner.options.option import Count, Option, Positive

# What YAML and JSON can hold.
Value = TypeAliasType(
    "Value",
    "bool | Annotated[int, Field(ge=-(2**63), lt=2**63)] | float | str"
    " | list[Value] | dict[str, Value] | None",
)
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=40)]
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
RESERVED = ("seed", "study", "name", "experiment", "resume", "hydra")  # the study sets them


class Claim(Option):
    """One sentence of the lecture, and what a measurement must show if it is true.

    Attributes:
        says: The sentence.
        measure: A number of every run; see runner.config.claims.
        expect: How the arms compare in it; see runner.config.claims.
        margin: For `a ~ b`: the largest difference that counts as none.
    """

    says: str
    measure: str
    expect: str
    margin: Positive | None = None

    @field_validator("measure")
    @classmethod
    def _measure_parses(cls, text: str) -> str:
        return parse_measure(text).text

    @field_validator("expect")
    @classmethod
    def _expectation_parses(cls, text: str) -> str:
        parse_expectation(text)
        return " ".join(text.split())

    @model_validator(mode="after")
    def _margin_belongs_to_equivalence(self) -> "Claim":
        if ("~" in self.expect) != (self.margin is not None):
            raise ValueError(
                "margin: and `a ~ b` need each other: the largest difference of equals"
            )
        return self

    @property
    def parsed_measure(self) -> Measure:
        return parse_measure(self.measure)

    @property
    def comparisons(self) -> list[Comparison]:
        return parse_expectation(self.expect)


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
        arms: Their overrides, by name; they come after those of the command line.
        tune: Values to choose from, by key, separately for each arm. A key that an arm sets itself is
            not tuned in it. Where the best value is the first or last of positive numbers, the range
            goes on geometrically, at most twice.
        tune_seeds: How many of the seeds, from the first, are used for tuning.
        tune_by: The measure that chooses, with val/loss as the tie-breaker. Never one of the test split;
            empty: the task's criterion on the validation split.
        refine: A random search after `tune`, or none.
        ensembles: By name; a claim uses them like arms.
        claims: What is expected.
    """

    question: str
    source: str
    seeds: Seeds
    arms: Annotated[dict[Name, Words], Field(min_length=1)]
    tune: dict[str, Choices] = Field(default_factory=dict)
    tune_seeds: Count = 1
    tune_by: str = ""
    refine: Refine | None = None
    ensembles: dict[Name, Ensemble] = Field(default_factory=dict)
    claims: Annotated[tuple[Claim, ...], Field(strict=False)] = ()

    @property
    def seed_list(self) -> list[int]:
        """The seeds one by one."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @property
    def tuning_seeds(self) -> list[int]:
        return self.seed_list[: self.tune_seeds]

    @property
    def measures_time(self) -> bool:
        """Whether seconds decide anything, so that runs must not share the machine."""
        measures = [parse_measure(self.tune_by)] if self.tune_by else []
        measures += [claim.parsed_measure for claim in self.claims]
        return any(q.is_timed for measure in measures for q in measure.quantities)

    @field_validator("tune_by")
    @classmethod
    def _never_chosen_by_test(cls, text: str) -> str:
        if text and any(quantity.metric in TESTED for quantity in parse_measure(text).quantities):
            raise ValueError(f"'{text}': the test split is not for choosing; use val/")
        return text

    @model_validator(mode="after")
    def _names_are_known(self) -> "Study":
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        if len(set(self.seed_list)) < len(self.seed_list):
            yield "seeds: each seed once"
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
        for claim in self.claims:
            for comparison in claim.comparisons:
                yield from self._problems_of(claim, comparison)

    def _problems_of(self, claim: Claim, comparison: Comparison) -> Iterator[str]:
        sides = [side for side in (comparison.left, comparison.right) if side.arm is not None]
        for side in sides:
            known = self.ensembles if side.members else {**self.arms, **self.ensembles}
            if side.arm not in known:
                yield f"expect: {claim.expect}: {unknown(str(side.arm), known)}"
        ensembles = [side.arm in self.ensembles for side in sides]
        if any(ensembles):
            if not all(ensembles):
                yield f"expect: {comparison}: compare an ensemble with members(ensemble)"
            if claim.parsed_measure.first.metric not in ENSEMBLED or claim.parsed_measure.second:
                yield f"measure: {claim.measure}: an ensemble has {', '.join(ENSEMBLED)}"

    def problems_in(self, arm: str, config: Any) -> Iterator[str]:
        """What the claims measure that the runs of an arm would not have.

        Args:
            arm: One of the arms.
            config: Its checked runner.config.schema.Config.
        """
        if self.ensembles and (unlike := {*ENSEMBLED} - {*config.task.names("test")}):
            yield f"arm '{arm}': ensembles average probabilities; task={config.task.name} has no {unlike.pop()}"
        measures = [parse_measure(self.tune_by)] if self.tune and self.tune_by else []
        for claim in self.claims:
            used = {side.arm for c in claim.comparisons for side in (c.left, c.right)}
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


def key_of(word: str) -> str:
    """The key that an override sets."""
    return word.lstrip("+~").partition("=")[0].partition("@")[0]


def unknown(name: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    return f"unknown arm '{name}'{hint} Known: {', '.join(known) or 'none'}"
