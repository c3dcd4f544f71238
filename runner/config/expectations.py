"""What a claim expects of its arms.

    expect:  sum < sum, sum > sum, sum ~ sum, and chains of them: a < b < c
             sum replicates(number), sum replicates(number of runs)
    sum:     term + term − ...
    term:    arm, number, number * arm, members(ensemble)

A number added to a side is a one-sided margin: `new < old + 0.01` says that new is not worse by 0.01 or
more (non-inferiority), `new < old - 0.01` that it is better by more than that.
"""

from dataclasses import dataclass
from math import inf

from runner.config.tokens import Tokens

REPLICATES = "replicates"


@dataclass(frozen=True)
class Term:
    """factor·arm, or the number `factor` where there is no arm.

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
class Side:
    """A side of a comparison: the sum of its terms."""

    terms: tuple[Term, ...]

    @property
    def constant(self) -> float:
        return sum(term.factor for term in self.terms if term.arm is None)

    @property
    def arms(self) -> list[Term]:
        """The terms with an arm."""
        return [term for term in self.terms if term.arm is not None]

    def __str__(self) -> str:
        first, *rest = self.terms
        text = str(first)
        for term in rest:
            size = Term(abs(term.factor), term.arm, term.members)
            text += f" {'-' if term.factor < 0 else '+'} {size}"
        return text


@dataclass(frozen=True)
class Comparison:
    """`left relation right`, with a relation of <, >, ~ and replicates.

    Attributes:
        published_runs: For `replicates`: of how many runs the published number is the mean; else infinite,
            for a number of the claim is exact.
    """

    left: Side
    relation: str
    right: Side
    published_runs: float = inf

    @property
    def terms(self) -> list[Term]:
        """The terms with an arm, of both sides."""
        return [*self.left.arms, *self.right.arms]

    def __str__(self) -> str:
        if self.relation == REPLICATES:
            runs = f" of {self.published_runs:g}" if self.published_runs > 1 else ""
            return f"{self.left} {REPLICATES}({self.right}{runs})"
        return f"{self.left} {self.relation} {self.right}"


def parse_expectation(text: str) -> list[Comparison]:
    """Reads `a < b < c` as the comparisons a < b and b < c.

    Raises:
        ValueError: It is not in the grammar.
    """
    tokens = Tokens(text)
    left = _side(tokens)
    if tokens.peek() == REPLICATES:
        return [_replication(tokens, left)]
    comparisons: list[Comparison] = []
    while tokens.peek() or not comparisons:
        relation = tokens.take("sign", "<", ">", "~")
        right = _side(tokens)
        if not left.arms and not right.arms:
            raise ValueError(f"'{text}': {left} {relation} {right} compares no arm")
        comparisons.append(Comparison(left, relation, right))
        left = right
    return comparisons


def _replication(tokens: Tokens, left: Side) -> Comparison:
    tokens.take("name", REPLICATES)
    tokens.take("sign", "(")
    published, runs = tokens.number(), 1.0
    if tokens.peek() == "of":
        tokens.take("name", "of")
        runs = tokens.number()
    tokens.take("sign", ")")
    tokens.end()
    if not left.arms:
        raise ValueError(f"'{tokens.text}': {left} {REPLICATES}(...) names no arm")
    if runs < 1 or runs != int(runs):
        raise ValueError(f"'{tokens.text}': a published number is the mean of 1, 2, ... runs")
    return Comparison(left, REPLICATES, Side((Term(published),)), runs)


def _side(tokens: Tokens) -> Side:
    sign = -1.0 if tokens.peek() == "-" and tokens.take("sign") else 1.0
    terms = [_term(tokens, sign)]
    while tokens.peek() in ("+", "-"):
        sign = 1.0 if tokens.take("sign") == "+" else -1.0
        terms.append(_term(tokens, sign))
    return Side(tuple(terms))


def _term(tokens: Tokens, sign: float) -> Term:
    factor = sign
    if tokens.kind == "number":
        factor *= float(tokens.take("number"))
        if tokens.peek() != "*":
            return Term(factor)
        tokens.take("sign", "*")
        if not factor:
            raise ValueError(f"'{tokens.text}': 0 times an arm measures nothing")
    name = tokens.take("name")
    if name == "members" and tokens.peek() == "(":
        tokens.take("sign", "(")
        name = tokens.take("name")
        tokens.take("sign", ")")
        return Term(factor, name, members=True)
    return Term(factor, name)
