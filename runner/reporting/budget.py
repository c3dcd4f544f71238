"""What tuning found against how much it tried, and how much that depends on the settings, for each arm."""

from collections.abc import Sequence
from math import inf, isfinite
from typing import NamedTuple

from matplotlib.ticker import MaxNLocator

from runner.config.claims import Measure, parse_measure
from runner.reporting.canvas import (
    Picture,
    add_legend,
    as_picture,
    dash_of,
    empty_panels,
    set_scale,
    style_of,
)
from runner.studies.best_of import best_so_far, expected_best, quartiles
from runner.studies.evidence import Evidence
from runner.studies.measuring import formatted, value_in
from runner.studies.record import Candidate

LEARNING = ("lecture", "tpe", "gp")  # samplers whose trials know those before them


class Tries(NamedTuple):
    """What the tries of an arm came to, in the order in which they were made.

    Attributes:
        values: ±inf, the worst, where a try diverged.
        knowing: Whether later ones were drawn in the light of earlier ones.
    """

    values: list[float]
    knowing: bool


def tries_of(evidence: Evidence) -> dict[str, Tries]:
    """The tries of each arm that made two and more; those whose runs have no result are left out."""
    found = {}
    search, measure = evidence.study.search, chooser(evidence)
    for name, arm in evidence.arms.items():
        scored = [_score(evidence, measure, candidate) for candidate in arm.candidates]
        values = [value for value in scored if value is not None]
        knowing = search.sampler_of(name) in LEARNING if search else bool(evidence.study.refine)
        if len(values) > 1:
            found[name] = Tries(values, knowing)
    return found


def chooser(evidence: Evidence) -> Measure:
    """What has chosen among the tries."""
    return parse_measure(evidence.study.tune_by or f"val/{evidence.task.criterion}")


def _score(evidence: Evidence, measure: Measure, candidate: Candidate) -> float | None:
    """The mean over the tuning seeds; of a search, where the trial stopped. None without a result."""
    worst = -inf * measure.direction
    if candidate.stage == "search":
        return worst if candidate.value is None else candidate.value
    values = [value_in(evidence.folder_of(run), measure) for run in candidate.runs]
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if len(there) == len(values) else None


def sensitivity(evidence: Evidence) -> list[list[str]]:
    """For each arm: how many tries, the best, what 1/4, 1/2 and 3/4 of them reach, how many diverged."""
    measure = chooser(evidence)
    rows = []
    for name, (values, _) in tries_of(evidence).items():
        best = max(values, key=lambda value: measure.direction * value)
        cells = [best, *quartiles(values, measure.direction)]
        lost = sum(not isfinite(value) for value in values)
        rows.append(
            [name, str(len(values)), *(formatted(measure, value) for value in cells), str(lost)]
        )
    return rows


def draw_budget(evidence: Evidence) -> Picture | None:
    """The best of k tries for every k, and the share of the tries that is at least as good as a value."""
    measure, tries = chooser(evidence), tries_of(evidence)
    finite = [value for values, _ in tries.values() for value in values if isfinite(value)]
    if not finite:
        return None
    worst = min(finite, key=lambda value: measure.direction * value)
    figure, (left, right) = empty_panels(2)
    arms = list(evidence.arms)
    for name, (values, knowing) in tries.items():
        there = [value if isfinite(value) else worst for value in values]
        best = (best_so_far if knowing else expected_best)(there, measure.direction)
        number = arms.index(name)
        style = style_of(number) | {"marker": "", "linestyle": dash_of(number)}
        left.plot(range(1, len(best) + 1), best, label=name, **style)
        ordered = sorted(there, key=lambda value: -measure.direction * value)
        shares = [place / len(ordered) for place in range(1, len(ordered) + 1)]
        right.step(shares, ordered, where="pre", **style)
    left.set_xlabel("tries")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_ylabel(f"best {measure.text}")
    right.set_xlabel("share of the tries")
    right.set_ylabel(f"{measure.text} or better")
    for axis in (left, right):
        set_scale(axis, "y", log=min(finite) > 0 and max(finite) > 10 * min(finite))
    add_legend(figure, [left, right])
    return as_picture("budget", caption(list(tries.values())), figure)


def caption(tries: Sequence[Tries]) -> str:
    said = "What tuning finds with so many tries"
    kinds = {knowing for _, knowing in tries}
    if kinds == {False}:
        said += ": the expected best of so many, drawn from all (Dodge et al. 2019)"
    elif kinds == {True}:
        said += ": the best so far, in the order in which they were made"
    else:
        said += (
            ": the expected best of so many (Dodge et al. 2019), or the best so far where later tries"
            " knew the earlier ones"
        )
    said += ". Right: the flatter, the less it matters which settings an arm gets."
    if any(not isfinite(value) for values, _ in tries for value in values):
        said += " A try that diverged counts as the worst of the others."
    return said
