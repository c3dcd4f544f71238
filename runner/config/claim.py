"""A claim of a study: one sentence, what is measured for it, and what must come out if it is true."""

from pydantic import field_validator, model_validator

from runner.config.claims import Measure, parse_measure
from runner.config.expectations import REPLICATES, Comparison, parse_expectation
from runner.options.option import Option, Positive


class Claim(Option):
    """One sentence of the lecture, and what a measurement must show if it is true.

    Attributes:
        says: The sentence.
        measure: A number of every run; see runner.config.claims.
        expect: How the arms compare in it; see runner.config.expectations.
        margin: For `a ~ b` and `a replicates(x)`: the largest difference that counts as none.
        control: Whether the other claims are judged only if this one is confirmed (assay sensitivity: a study
            that does not find what must be there says nothing by what else it does not find).
    """

    says: str
    measure: str
    expect: str
    margin: Positive | None = None
    control: bool = False

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
        if any(c.relation in ("~", REPLICATES) for c in self.comparisons) != bool(self.margin):
            raise ValueError(
                "margin: belongs to `a ~ b` and `a replicates(x)`, which need it: the largest difference"
                " that counts as none; for < and > write it into a side: a < b + 0.01"
            )
        return self

    @model_validator(mode="after")
    def _shares_are_not_percentages(self) -> "Claim":
        for comparison in self.comparisons if self.parsed_measure.is_share else ():
            for side, other in (
                (comparison.left, comparison.right),
                (comparison.right, comparison.left),
            ):
                if abs(side.constant) > 1 and not side.arms and len(other.arms) == 1:
                    raise ValueError(
                        f"expect: {comparison}: {self.measure} is a share of 1:"
                        f" {side.constant:g}% is {side.constant / 100:g}"
                    )
        return self

    @property
    def parsed_measure(self) -> Measure:
        return parse_measure(self.measure)

    @property
    def comparisons(self) -> list[Comparison]:
        return parse_expectation(self.expect)
