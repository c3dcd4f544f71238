"""What the test examples add to the numbers of the runs: the smallest step of a measure, and which examples differ."""

from itertools import pairwise
from math import isfinite

import numpy as np

from runner.config.claims import TARGETS, Measure
from runner.config.expectations import Comparison, Term
from runner.studies.averaging import Member, mean_probabilities
from runner.studies.evidence import Evidence
from runner.studies.measuring import numbers_of

BY_EXAMPLE = ("test/accuracy", "test/error")  # a mean over the test split of what is right or wrong
ROUNDING = 4 * float(np.finfo(np.float32).eps)  # of metrics, which are computed in float32
DECIMALS = 4e-7  # of shares, which are recorded with seven decimals


def resolution(evidence: Evidence, comparison: Comparison, measure: Measure) -> float:
    """The smallest step of a comparison's differences: one test example, or the way between two measurements.

    Where there is no such step it is what rounding leaves of the largest value.
    """
    values = [v for term in comparison.terms for v in evidence.values_of(term, measure).values()]
    constants = [comparison.left.constant, comparison.right.constant]
    largest = max(abs(value) for value in [*constants, *values] if isfinite(value))
    steps = [abs(term.factor) * _step(evidence, term, measure) for term in comparison.terms]
    return max(min(steps), ROUNDING * largest, DECIMALS if measure.is_share else 0.0)


def _step(evidence: Evidence, term: Term, measure: Measure) -> float:
    """The smallest step of a term; 0 where it has none."""
    name = str(term.arm)
    if measure.text not in BY_EXAMPLE:
        place = TARGETS.get(measure.first.function)
        if place not in ("epoch", "step") or len(measure.quantities) > 1 or measure.sweep:
            return 0.0
        runs = evidence.arms[name].runs.values()
        curves = (numbers_of(evidence.folder_of(run)).curve for run in runs)
        gaps = (b[place] - a[place] for curve in curves for a, b in pairwise(curve))
        return float(max(gaps, default=0))
    if name in evidence.study.ensembles:
        members = evidence.members(name)
    else:
        members = [evidence.member(run) for run in evidence.arms[name].runs.values()]
    tested = next((member for member in members if member.has_predictions), None)
    if tested is None:
        return 0.0
    averaged = evidence.study.ensembles[name].size if term.members else 1
    return 1 / (len(tested.predictions[1]) * averaged)


def by_example(evidence: Evidence, comparison: Comparison, measure: Measure) -> np.ndarray | None:
    """left − right in each example of the test split, (units, examples).

    None where runs are tested on different examples or have no predictions, and where the measure is no mean
    over examples.

    Raises:
        MissingMember: As `Evidence.members`.
        DataError: Predictions are damaged.
    """
    if measure.text not in BY_EXAMPLE or evidence.study.splits:
        return None
    signed = [(1.0, term) for term in comparison.left.arms]
    signed += [(-1.0, term) for term in comparison.right.arms]
    constant = comparison.left.constant - comparison.right.constant
    differences, all_labels = [], []
    for unit in evidence.units(comparison):
        total: np.ndarray | float = constant
        for sign, term in signed:
            members = _members(evidence, term, unit)
            if not members or not all(member.has_predictions for member in members):
                return None
            all_labels.append(members[0].predictions[1])
            if not np.array_equal(all_labels[0], all_labels[-1]):
                return None
            total = total + sign * term.factor * _scores(members, term, measure.text)
        differences.append(total)
    return np.stack(differences) if differences else None


def _members(evidence: Evidence, term: Term, unit: int) -> list[Member]:
    name = str(term.arm)
    if name in evidence.study.ensembles:
        return evidence.groups(name)[unit]
    runs = evidence.arms[name].runs
    return [evidence.member(runs[unit])] if unit in runs else []


def _scores(members: list[Member], term: Term, metric: str) -> np.ndarray:
    """1 for each example that is right (of test/accuracy) or wrong (of test/error), else 0."""
    parts = [[member] for member in members] if term.members else [members]
    total: np.ndarray | float = 0.0
    for part in parts:
        probabilities, labels = mean_probabilities(part)
        right = probabilities.argmax(axis=1) == labels
        total = total + (right if metric == "test/accuracy" else ~right)
    return np.asarray(total / len(parts))
