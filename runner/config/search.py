"""The search node of an experiment: which settings may vary, how they are drawn, and when a trial is dropped.

A trial is one draw of all settings of the space. At a rung, an epoch at which trials are compared, the worse
ones stop; no trial ever becomes a run of fewer epochs, on which schedule and identity depend.
"""

import re
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from runner.config.claims import direction, learning, tested
from runner.config.values import Value
from runner.options.option import Count, Option

KINDS = ("log", "uniform", "log_int", "int", "choice")
RESERVED = (
    "seed",
    "epochs",
    "study",
    "search",
    "name",
    "experiment",
    "resume",
    "fail_fast",
    "hydra",
)
KEY = re.compile(r"[A-Za-z]\w*(@\w+(?=\.))?(\.\w+)*", re.ASCII)
SignedInt = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Pair = Annotated[tuple[float, float], Field(strict=False)]
Whole = Annotated[tuple[SignedInt, SignedInt], Field(strict=False)]


class Domain(Option):
    """The values that one setting may have: exactly one of these.

    Attributes:
        log: [from, to], drawn so that every decade is equally likely; from above 0.
        uniform: [from, to], every value equally likely.
        log_int: As log, whole numbers.
        int: As uniform, whole numbers.
        choice: The values themselves, or options of a group.
    """

    log: Pair | None = None
    uniform: Pair | None = None
    log_int: Whole | None = None
    int: Whole | None = None
    choice: Annotated[tuple[Value, ...], Field(strict=False, min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, given: Any) -> Any:
        if isinstance(given, (list, tuple)):
            raise ValueError(f"found the list {list(given)}; write {{choice: ...}} or {{log: ...}}")
        if not isinstance(given, dict):
            raise ValueError(
                f"found {given!r}; write {{choice: [{given!r}]}} or {{log: [from, to]}}"
            )
        known = f"one of {', '.join(KINDS)}"
        for kind in given:
            if kind not in KINDS:
                close = get_close_matches(str(kind), KINDS, n=1, cutoff=0.5)
                hint = f"did you mean '{close[0]}'?" if close else f"a domain is {known}"
                raise ValueError(f"unknown kind '{kind}'; {hint}")
        if sum(value is not None for value in given.values()) != 1:
            raise ValueError(f"must have exactly {known}, found {', '.join(given) or 'none'}")
        return given

    @model_validator(mode="after")
    def _has_values(self) -> "Domain":
        if self.choice is not None:
            if any(value in self.choice[:i] for i, value in enumerate(self.choice)):
                raise ValueError("choice: each value once")
            return self
        low, high = self.ends
        shown = f"{self.kind}: [{low:g}, {high:g}]"
        if low == high:
            raise ValueError(f"{shown} is a single value; set it outside the space")
        if low > high:
            raise ValueError(f"{shown} is reversed; write [{high:g}, {low:g}]")
        if self.kind in ("log", "log_int") and low <= 0:
            raise ValueError(f"{shown} begins at {low:g}, which has no logarithm; begin above 0")
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def ends(self) -> tuple[float, float]:
        """The first and last value of a range."""
        ends: tuple[float, float] = getattr(self, self.kind)
        return ends

    @property
    def is_log(self) -> bool:
        return self.kind in ("log", "log_int")

    @property
    def is_whole(self) -> bool:
        return self.kind in ("int", "log_int")


class Final(Option):
    """The best trials once more.

    Attributes:
        best: How many of them.
        seeds: With so many seeds that the search has not seen.
    """

    best: Count
    seeds: Annotated[int, Field(ge=1, le=10_000)]


Sampler = Literal["random", "tpe", "gp", "grid", "lecture"]
Space = Annotated[dict[str, Domain], Field(min_length=1)]


class Trials(Option):
    """What is searched, how it is drawn, and when it is dropped.

    Attributes:
        space: The domain of each setting, by key. A group has options as its choice; `group@option.key` is
            a setting that exists only with that option.
        trials: How many are drawn.
        sampler: How. `lecture`: η by decades with λ = 0, then log-uniform around the best.
        stop: none trains every trial to its end; halving drops the worse at rungs; hyperband does so in
            brackets, which begin at later and later rungs.
        eta: A rung keeps one in so many.
        first_rung: The epoch of the first rung; the next ones follow after eta times as many.
        abort: A trial whose training loss is above this many times its initial one ends; null ends none.
    """

    space: Space
    trials: Annotated[int, Field(ge=1, le=100_000)]
    sampler: Sampler = "random"
    stop: Literal["none", "halving", "hyperband"] = "none"
    eta: Annotated[int, Field(ge=2)] = 3
    first_rung: Count = 1
    abort: Annotated[float, Field(gt=1)] | None = None

    @field_validator("space")
    @classmethod
    def _no_reserved_key(cls, space: dict[str, Domain]) -> dict[str, Domain]:
        return checked(space)


class Search(Trials):
    """An experiment that looks for settings.

    Attributes:
        by: The metric that decides, never one of the test split.
        seeds: Every trial is trained with so many seeds, from `seed` on; their mean counts.
        final: Which are trained again at the end, or null.
        audit: This share of the dropped trials, drawn at random, is trained on to the end after all, to see
            how often dropping was wrong.
    """

    by: str = "val/loss"
    seeds: Annotated[int, Field(ge=1, le=10_000)] = 1
    final: Final | None = None
    audit: Annotated[float, Field(ge=0, le=1)] = 0.05

    @field_validator("by")
    @classmethod
    def _never_chosen_by_test(cls, metric: str) -> str:
        if metric in tested() or metric.startswith("test/"):
            raise ValueError(f"'{metric}': the test split is not for choosing; use val/")
        if metric not in (known := learning()):
            close = get_close_matches(metric, known, n=1, cutoff=0.5)
            hint = f"; did you mean '{close[0]}'?" if close else "."
            raise ValueError(f"unknown metric '{metric}'{hint} Known: {', '.join(known)}")
        return metric

    @property
    def higher_is_better(self) -> bool:
        return direction(self.by) > 0


def checked(space: dict[str, Domain]) -> dict[str, Domain]:
    """Raises:
    ValueError: A key is none, or is not for searching.
    """
    for key in space:
        if not KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key; group, group.key or group@option.key")
        if key.split(".")[0].split("@")[0] in RESERVED:
            raise ValueError(f"'{key}' is not for searching: the search sets it itself")
    return space


def group_of(key: str) -> str:
    return key.split(".")[0].partition("@")[0]


def option_of(key: str) -> str:
    """The option that must be chosen for a key to exist; "" for a key of all options."""
    return key.split(".")[0].partition("@")[2]


def path_of(key: str) -> str:
    """The key of the configuration that a key of the space sets."""
    return ".".join([group_of(key), *key.split(".")[1:]])
