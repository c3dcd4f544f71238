"""From the evidence to a verdict on each claim: confirmed, refuted or undecided, with the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from runner.config.claims import Comparison, Measure, Side
from runner.config.study import Claim
from runner.studies.averaging import MissingMember
from runner.studies.evidence import Evidence
from runner.studies.measuring import formatted
from runner.studies.statistics import ALPHA, PairedTest, compare, holm, mean_interval

CONFIRMED, REFUTED, UNDECIDED = "confirmed", "refuted", "undecided"


@dataclass(frozen=True)
class Finding:
    """One comparison of a claim.

    Attributes:
        comparison: The comparison, as the claim states it.
        test: The test of its differences.
        p: The p-value, corrected for all comparisons of the study.
        left, right: The means of the two sides.
        missing: Why values are missing; empty if none are.
        unit: What is paired: seeds, or groups of an ensemble's members.
    """

    comparison: Comparison
    test: PairedTest
    p: float
    left: float
    right: float
    missing: str = ""
    unit: str = "seeds"

    @property
    def verdict(self) -> str:
        if self.p >= ALPHA:
            return UNDECIDED
        return CONFIRMED if self.test.supports else REFUTED


@dataclass(frozen=True)
class Verdict:
    """A claim and how it fared.

    A chain is confirmed when all its comparisons are, and refuted when one of them is.
    """

    claim: Claim
    findings: list[Finding]

    @property
    def verdict(self) -> str:
        found = [finding.verdict for finding in self.findings]
        if REFUTED in found:
            return REFUTED
        return CONFIRMED if set(found) == {CONFIRMED} else UNDECIDED

    @property
    def advice(self) -> str:
        """What would decide a claim that is undecided."""
        if self.verdict != UNDECIDED:
            return ""
        open_ones = [finding for finding in self.findings if finding.verdict == UNDECIDED]
        if missing := next((finding.missing for finding in open_ones if finding.missing), ""):
            return missing
        needed = [finding.test.seeds_needed for finding in open_ones]
        numbers = [number for number in needed if number is not None]
        if len(numbers) < len(needed):
            return "no number of seeds up to 1000 would probably decide"
        if open_ones[0].test.n < 2:
            return f"{open_ones[0].test.method}: it takes at least {max(numbers)}"
        return f"about {max(numbers)} {open_ones[0].unit} would probably decide"


def judge(evidence: Evidence) -> list[Verdict]:
    """A verdict for every claim of a study, with Holm's correction over all their comparisons."""
    claims = evidence.study.claims
    pairs = [(claim, comparison) for claim in claims for comparison in claim.comparisons]
    tests = [_test(evidence, claim, comparison, len(pairs)) for claim, comparison in pairs]
    corrected = holm([test.p for test, *_ in tests])
    ensembles = evidence.study.ensembles
    findings = iter(
        Finding(
            comparison,
            test,
            p,
            left,
            right,
            missing,
            "groups" if {comparison.left.arm, comparison.right.arm} & ensembles.keys() else "seeds",
        )
        for (_, comparison), (test, left, right, missing), p in zip(
            pairs, tests, corrected, strict=True
        )
    )
    return [Verdict(claim, [next(findings) for _ in claim.comparisons]) for claim in claims]


def _test(
    evidence: Evidence, claim: Claim, comparison: Comparison, comparisons: int
) -> tuple[PairedTest, float, float, str]:
    """The test of a comparison, the means of its two sides and what is missing."""
    measure, missing = claim.parsed_measure, ""
    try:
        left = evidence.values_of(comparison.left, measure)
        right = evidence.values_of(comparison.right, measure)
    except MissingMember as error:
        left, right, missing = {}, {}, str(error)
    if comparison.left.arm is None:
        left = dict.fromkeys(right, comparison.left.factor)
    if comparison.right.arm is None:
        right = dict.fromkeys(left, comparison.right.factor)
    differences = [left[unit] - right[unit] for unit in left if unit in right]
    test = compare(differences, comparison.relation, claim.margin or 0.0, comparisons)
    return (
        test,
        mean_interval(list(left.values()))[0],
        mean_interval(list(right.values()))[0],
        missing,
    )


def numbers_behind(verdict: Verdict) -> list[str]:
    """The numbers behind a verdict, a line for each comparison, and what would decide it."""
    measure = verdict.claim.parsed_measure
    advice = [verdict.advice] if verdict.advice else []
    return [*(_numbers(measure, finding) for finding in verdict.findings), *advice]


def _numbers(measure: Measure, finding: Finding) -> str:
    test, comparison = finding.test, finding.comparison
    left = _side(measure, comparison.left, finding.left)
    right = _side(measure, comparison.right, finding.right)
    sides = f"{left}{'' if agrees(finding) else ', expected'} {comparison.relation} {right}"
    if finding.missing:
        return sides
    if test.n < 2:
        return f"{sides}; {test.method}"
    if test.method == "sign test":
        return f"{sides}; {test.agreeing} of {test.n} {finding.unit} agree, p = {finding.p:.2g} (sign test)"
    low, high = formatted(measure, test.low), formatted(measure, test.high)
    return (
        f"{sides}; difference {formatted(measure, test.mean)} [{low}, {high}], p = {finding.p:.2g},"
        f" {test.n} {finding.unit}"
    )


def agrees(finding: Finding) -> bool:
    """Whether the means of the two sides are as expected, however sure that is."""
    as_compared = {"<": finding.left < finding.right, ">": finding.left > finding.right}
    return as_compared.get(finding.comparison.relation, finding.test.supports)


def _side(measure: Measure, side: Side, mean: float) -> str:
    if side.arm is None:
        return formatted(measure, mean) if isfinite(mean) else str(side)
    return f"{side} {formatted(measure, mean)}"


def count(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many claims are confirmed, refuted and undecided."""
    found = [verdict.verdict for verdict in verdicts]
    return {name: found.count(name) for name in (CONFIRMED, REFUTED, UNDECIDED)}
