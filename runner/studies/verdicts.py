"""From the evidence to a verdict on each claim: confirmed, refuted or undecided, with the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, nan
from statistics import fmean

from runner.config.claim import Claim
from runner.config.claims import Measure
from runner.config.expectations import REPLICATES, Comparison, Side
from runner.studies.averaging import MissingMember
from runner.studies.bootstrap import seeds_and_examples
from runner.studies.evidence import Evidence
from runner.studies.examples import by_example, resolution
from runner.studies.measuring import formatted
from runner.studies.statistics import ALPHA, PairedTest, compare, holm

CONFIRMED, REFUTED, UNDECIDED = "confirmed", "refuted", "undecided"


@dataclass(frozen=True)
class Average:
    """The mean of the finite values of a side, and how many of all its values they are."""

    mean: float
    finite: int
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Average":
        finite = [value for value in values if isfinite(value)]
        if values and not finite:
            return cls(inf, 0, len(values))
        return cls(fmean(finite) if finite else nan, len(finite), len(values))


@dataclass(frozen=True)
class Finding:
    """One comparison of a claim.

    Attributes:
        comparison: The comparison, as the claim states it.
        test: The test of its differences.
        p: The p-value, corrected for all comparisons that are judged together.
        left, right: The averages of the two sides.
        left_out: How many seeds have no difference.
        examples: The 95% interval of the difference if the test examples were drawn again, too; or None.
        missing: Why there are no values; empty if there are.
        unit: What is paired: seeds, or groups of an ensemble's members.
    """

    comparison: Comparison
    test: PairedTest
    p: float
    left: Average
    right: Average
    left_out: int = 0
    examples: tuple[float, float] | None = None
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

    Attributes:
        claim: What was claimed.
        findings: One for each of its comparisons.
        chosen_by: What was tuned by the split that the claim measures; empty if nothing was.
        blocked: The control claim that was not confirmed, so that this one is not judged; or None.
    """

    claim: Claim
    findings: list[Finding]
    chosen_by: str = ""
    blocked: "Verdict | None" = None

    @property
    def verdict(self) -> str:
        found = [finding.verdict for finding in self.findings]
        if self.blocked:
            return UNDECIDED
        if REFUTED in found:
            return REFUTED
        return CONFIRMED if set(found) == {CONFIRMED} else UNDECIDED

    @property
    def advice(self) -> str:
        """What a study of this size could have decided, if the claim is undecided."""
        if self.blocked:
            return f"not judged: the control claim '{self.blocked.claim.says}' is {self.blocked.verdict}"
        if self.verdict != UNDECIDED:
            return ""
        open_ones = [finding for finding in self.findings if finding.verdict == UNDECIDED]
        if missing := next((finding.missing for finding in open_ones if finding.missing), ""):
            return missing
        measure, test, unit = self.claim.parsed_measure, open_ones[0].test, open_ones[0].unit
        if test.n < test.at_least:
            return f"{test.method}: it takes at least {test.at_least} {unit}" + (
                " that all agree" if test.method == "sign test" else ""
            )
        if not isfinite(test.detectable):
            return ""
        sizes = [finding.test.detectable for finding in open_ones]
        kind = "margin" if open_ones[0].comparison.relation in ("~", REPLICATES) else "difference"
        return (
            f"{test.n} {unit} can decide a {kind} of {formatted(measure, max(sizes))} (power 0.8)"
        )


def judge(evidence: Evidence) -> list[Verdict]:
    """A verdict for every claim of a study.

    Control claims come first, with Holm's correction over all their comparisons; then the others, with a
    correction of their own. That keeps the error of the whole study: where no control holds in truth, the
    others are judged only after an error that is counted already.
    """
    study = evidence.study
    controls = [claim for claim in study.claims if claim.control]
    found = dict(zip(map(id, controls), _judged(evidence, controls), strict=True))
    failed = next((verdict for verdict in found.values() if verdict.verdict != CONFIRMED), None)
    others = [claim for claim in study.claims if not claim.control]
    found |= zip(map(id, others), _judged(evidence, others, failed), strict=True)
    return [found[id(claim)] for claim in study.claims]


def _judged(
    evidence: Evidence, claims: Sequence[Claim], blocked: Verdict | None = None
) -> list[Verdict]:
    """Verdicts on claims that are corrected together."""
    pairs = [(claim, comparison) for claim in claims for comparison in claim.comparisons]
    found = [_test(evidence, claim, comparison, len(pairs)) for claim, comparison in pairs]
    corrected = holm([finding.p for finding in found])
    findings = iter(replace(f, p=p) for f, p in zip(found, corrected, strict=True))
    return [
        Verdict(
            claim,
            [next(findings) for _ in claim.comparisons],
            _chosen_by(evidence, claim),
            blocked,
        )
        for claim in claims
    ]


def _chosen_by(evidence: Evidence, claim: Claim) -> str:
    """What was tuned, in the claim's arms, by the split that it measures."""
    study = evidence.study
    if not study.chose_by_split_of(claim.parsed_measure):
        return ""
    chosen = [key for arm in study.arms_of(claim) for key in evidence.arms[arm].chosen]
    return ", ".join(dict.fromkeys(chosen))


def _test(evidence: Evidence, claim: Claim, comparison: Comparison, comparisons: int) -> Finding:
    """A comparison with its test, not yet corrected."""
    measure, margin = claim.parsed_measure, claim.margin or 0.0
    ensembles = {term.arm for term in comparison.terms} & evidence.study.ensembles.keys()
    unit = "groups" if ensembles else "seeds"
    try:
        units = evidence.units(comparison)
        left = evidence.sums_of(comparison.left, measure, units)
        right = evidence.sums_of(comparison.right, measure, units)
        step = resolution(evidence, comparison, measure)
        exact = comparison.relation != REPLICATES
        examples = by_example(evidence, comparison, measure) if exact else None
    except MissingMember as error:
        nothing = Average(nan, 0, 0)
        test = compare([], comparison.relation, margin, comparisons)
        return Finding(comparison, test, test.p, nothing, nothing, missing=str(error), unit=unit)
    differences = [left[unit] - right[unit] for unit in units if unit in left and unit in right]
    test = compare(
        differences, comparison.relation, margin, comparisons, step, comparison.published_runs
    )
    return Finding(
        comparison,
        test,
        test.p,
        Average.of(list(left.values())),
        Average.of(list(right.values())),
        len(units) - test.n,
        seeds_and_examples(examples) if examples is not None and test.n > 1 else None,
        unit=unit,
    )


def numbers_behind(verdict: Verdict) -> list[str]:
    """The numbers behind a verdict, a line for each comparison, and what a study of this size can decide."""
    measure = verdict.claim.parsed_measure
    lines = [_numbers(measure, finding) for finding in verdict.findings]
    if verdict.chosen_by:
        lines.append(f"{measure.text} is of the split that chose {verdict.chosen_by}")
    return [*lines, *([verdict.advice] if verdict.advice else [])]


def _numbers(measure: Measure, finding: Finding) -> str:
    test, comparison = finding.test, finding.comparison
    relation = comparison.relation
    left = _side(measure, comparison.left, finding.left)
    right = _side(measure, comparison.right, finding.right)
    sides = f"{left}{'' if agrees(finding) else ', expected'} {relation} {right}"
    if relation == REPLICATES:
        sides = f"{left} {relation}({right})"
    if finding.missing:
        return sides
    out = f"; {finding.left_out} {finding.unit} left out: no value" if finding.left_out else ""
    if test.n < 2:
        return f"{sides}; {test.method}{out}"
    if test.method == "sign test":
        return (
            f"{sides}; {test.agreeing} of {test.n} {finding.unit} agree, p = {finding.p:.2g}"
            f" (sign test){out}"
        )
    low, high = formatted(measure, test.low), formatted(measure, test.high)
    told = f"difference {formatted(measure, test.mean)} [{low}, {high}]"
    if relation == REPLICATES:
        center = finding.right.mean
        low, high = (formatted(measure, center + bound) for bound in (test.low, test.high))
        told = f"prediction interval [{low}, {high}]"
    if finding.examples:
        wide = ", ".join(formatted(measure, bound) for bound in finding.examples)
        told += f", other test examples [{wide}]"
    return f"{sides}; {told}, p = {finding.p:.2g}, {test.n} {finding.unit}{out}"


def _side(measure: Measure, side: Side, average: Average) -> str:
    """A side with its mean over the finite values, and how many are not."""
    mean = formatted(measure, average.mean)
    if not side.arms:
        return mean if isfinite(average.mean) else str(side)
    lost = average.count - average.finite
    why = (
        f" ({lost} of {average.count} {formatted(measure, inf)})" if lost and average.finite else ""
    )
    return f"{side}{' =' if len(side.terms) > 1 else ''} {mean}{why}"


def agrees(finding: Finding) -> bool:
    """Whether the means of the two sides are as expected, however sure that is."""
    left, right = finding.left.mean, finding.right.mean
    as_compared = {"<": left < right, ">": left > right}
    return as_compared.get(finding.comparison.relation, finding.test.supports)


def count(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many claims are confirmed, refuted and undecided."""
    found = [verdict.verdict for verdict in verdicts]
    return {name: found.count(name) for name in (CONFIRMED, REFUTED, UNDECIDED)}
