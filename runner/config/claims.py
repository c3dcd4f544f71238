"""The two small languages of a study: what is measured, and what is expected of it.

    measure:  quantity, or quantity / quantity, or quantity - quantity
    quantity: metric                              at the end of the run
              metric@epoch                        0 is before the first step
              epochs_to(metric >= number)         also steps_to, seconds_to; with >= or <=
              range(metric), range(metric@epoch)  largest minus smallest value (since that epoch)
    expect:   term < term, term > term, term ~ term, and chains of them: a < b < c
    term:     arm, number, number * arm, members(ensemble)

A metric is a name such as test/error, train_seconds or saturation/1 (the first layer's). Everything
is parsed and checked before anything is trained; nothing is ever evaluated as Python.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite

from runner.options.tasks import Metric, Task, all_metrics

TOKEN = re.compile(
    r" ?(?P<number>-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w/]))"
    r"| ?(?P<name>[A-Za-z_]\w*(?:/\w+)*)"
    r"| ?(?P<sign><=|>=|[<>~*/()@-])",
    re.ASCII,
)
KINDS = Task.__subclasses__()
LEARNING = tuple(  # per epoch, also epoch 0
    dict.fromkeys(name for kind in KINDS for s in ("train", "val") for name in kind.names(s))
)
TESTED = tuple(dict.fromkeys(name for kind in KINDS for name in kind.names("test")))
RESULTS = ("train_seconds", "samples_per_second", "updates_per_second", "steps", "parameters")
LAYER = (
    "preactivation_std", "preactivation_p15", "preactivation_p50", "preactivation_p85",
    "activation_std", "saturation", "gradient_std", "weight_norm", "weight_zeros", "update_ratio",
)  # fmt: skip
TIMED = ("train_seconds", "samples_per_second", "updates_per_second")
TARGETS = {"epochs_to": "epoch", "steps_to": "step", "seconds_to": "seconds"}
RANGE = "range"
HIGHER_IS_BETTER = ("samples_per_second", "updates_per_second")


def measured_metric(name: str) -> Metric | None:
    """The metric of a task that val/accuracy or the like names; None for lr, steps and other numbers."""
    return all_metrics()[name.split("/")[1]] if name in (*LEARNING, *TESTED) else None


class Tokens:
    """The tokens of an expression, read from left to right.

    Raises:
        ValueError: A character belongs to neither language.
    """

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split())
        self.tokens = list(self._split())
        self.place = 0

    def _split(self) -> Iterator[tuple[str, str]]:
        place = 0
        while rest := self.text[place:].strip():
            match = TOKEN.match(self.text, place)
            if not match:
                raise ValueError(f"'{self.text}': cannot read '{rest}'")
            kind = str(match.lastgroup)
            yield kind, match[kind]
            place = match.end()

    def peek(self) -> str:
        return self.tokens[self.place][1] if self.place < len(self.tokens) else ""

    def take(self, kind: str, *allowed: str) -> str:
        """The next word, if it is of that kind and one of those allowed."""
        found_kind, found = self.tokens[self.place] if self.peek() else ("", "")
        if found_kind != kind or (allowed and found not in allowed):
            wanted = " or ".join(allowed) if allowed else f"a {kind}"
            raise ValueError(f"'{self.text}': expected {wanted}, found '{found or 'the end'}'")
        if kind == "number" and not isfinite(float(found)):
            raise ValueError(f"'{self.text}': {found} is too large a number")
        self.place += 1
        return found

    def end(self) -> None:
        if self.peek():
            raise ValueError(f"'{self.text}': expected nothing after that, found '{self.peek()}'")


@dataclass(frozen=True)
class Quantity:
    """One number of a run.

    Attributes:
        metric: Its name in metrics.jsonl or result.json.
        epoch: The epoch at which it is read, or None for the end of the run.
        function: "", range, epochs_to, steps_to or seconds_to.
        target: What the metric has to reach, for the latter three.
        rising: Whether it is reached from below.
    """

    metric: str
    epoch: int | None = None
    function: str = ""
    target: float = 0.0
    rising: bool = True

    @property
    def higher_is_better(self) -> bool:
        known = measured_metric(self.metric)
        return not self.function and (
            known.higher_is_better if known else self.metric in HIGHER_IS_BETTER
        )

    @property
    def is_timed(self) -> bool:
        """Whether it depends on what else the machine does."""
        return self.metric in TIMED or self.function == "seconds_to"

    @property
    def layer(self) -> int | None:
        """The layer whose diagnostics this is, numbered from 1."""
        family, _, number = self.metric.partition("/")
        return int(number) if family in LAYER and number.isdigit() else None


@dataclass(frozen=True)
class Measure:
    """A quantity, or the ratio or difference of two."""

    text: str
    first: Quantity
    operator: str = ""
    second: Quantity | None = None

    @property
    def quantities(self) -> list[Quantity]:
        return [self.first, *([self.second] if self.second else [])]

    @property
    def higher_is_better(self) -> bool:
        return self.first.higher_is_better


@dataclass(frozen=True)
class Side:
    """A side of a comparison: factor·arm, or the number `factor` where there is no arm.

    `members` says that the mean of an ensemble's members is meant instead of the ensemble.
    """

    factor: float
    arm: str | None = None
    members: bool = False

    def __str__(self) -> str:
        name = f"members({self.arm})" if self.members else self.arm
        if name is None:
            return f"{self.factor:g}"
        return name if self.factor == 1 else f"{self.factor:g} * {name}"


@dataclass(frozen=True)
class Comparison:
    """`left relation right`, with a relation of <, > and ~."""

    left: Side
    relation: str
    right: Side

    def __str__(self) -> str:
        return f"{self.left} {self.relation} {self.right}"


def parse_measure(text: str) -> Measure:
    """Reads a measure.

    Raises:
        ValueError: It is not in the grammar, or there is no such metric.
    """
    tokens = Tokens(text)
    first = _quantity(tokens)
    operator, second = "", None
    if tokens.peek() in ("/", "-"):
        operator = tokens.take("sign")
        second = _quantity(tokens)
    tokens.end()
    return Measure(tokens.text, first, operator, second)


def _quantity(tokens: Tokens) -> Quantity:
    name = tokens.take("name")
    if tokens.peek() != "(":
        return _metric(tokens, name)
    if name not in (*TARGETS, RANGE):
        known = ", ".join((*TARGETS, RANGE))
        raise ValueError(f"'{tokens.text}': unknown function '{name}'. Known: {known}")
    tokens.take("sign", "(")
    quantity = _metric(tokens, tokens.take("name"))
    rising, target = True, 0.0
    if name in TARGETS:
        rising = tokens.take("sign", ">=", "<=") == ">="
        target = float(tokens.take("number"))
    tokens.take("sign", ")")
    if quantity.metric in (*TESTED, *RESULTS) or (name in TARGETS and quantity.epoch is not None):
        raise ValueError(f"'{tokens.text}': {name}() needs a metric of every epoch")
    return Quantity(quantity.metric, quantity.epoch, name, target, rising)


def _metric(tokens: Tokens, name: str) -> Quantity:
    family, _, layer = name.partition("/")
    per_epoch = name in (*LEARNING, "lr") or (
        family in LAYER and layer.isdigit() and int(layer) > 0
    )
    if not per_epoch and name not in (*TESTED, *RESULTS):
        known = [*LEARNING, *TESTED, "lr", *RESULTS, *(f"{family}/1" for family in LAYER)]
        close = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; did you mean '{close[0]}'?" if close else f". Known: {', '.join(known)}"
        raise ValueError(f"'{tokens.text}': unknown metric '{name}'{hint}")
    if tokens.peek() != "@":
        return Quantity(name)
    tokens.take("sign", "@")
    epoch = tokens.take("number")
    if not epoch.isdigit() or not per_epoch:
        told = "is known only at the end of a run" if not per_epoch else "needs a whole epoch"
        raise ValueError(f"'{tokens.text}': {name}@{epoch} {told}")
    return Quantity(name, int(epoch))


def parse_expectation(text: str) -> list[Comparison]:
    """Reads `a < b < c` as the comparisons a < b and b < c.

    Raises:
        ValueError: It is not in the grammar.
    """
    tokens = Tokens(text)
    left = _side(tokens)
    comparisons: list[Comparison] = []
    while tokens.peek() or not comparisons:
        relation = tokens.take("sign", "<", ">", "~")
        right = _side(tokens)
        if left.arm is None and right.arm is None:
            raise ValueError(f"'{text}': {left} {relation} {right} compares no arm")
        comparisons.append(Comparison(left, relation, right))
        left = right
    return comparisons


def _side(tokens: Tokens) -> Side:
    factor = 1.0
    if tokens.place < len(tokens.tokens) and tokens.tokens[tokens.place][0] == "number":
        factor = float(tokens.take("number"))
        if tokens.peek() != "*":
            return Side(factor)
        tokens.take("sign", "*")
    name = tokens.take("name")
    if name == "members" and tokens.peek() == "(":
        tokens.take("sign", "(")
        name = tokens.take("name")
        tokens.take("sign", ")")
        return Side(factor, name, members=True)
    return Side(factor, name)
