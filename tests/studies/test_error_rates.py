"""A thousand studies whose truth is known, through the code that judges real ones."""

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import arm_of, claim, recorded_study

from runner.config.claims import Measure
from runner.config.expectations import Term
from runner.studies.evidence import Evidence
from runner.studies.statistics import compare
from runner.studies.verdicts import judge

STUDIES = 1000
SEEDS = 10
MARGIN = 1.0
# Of 1,000 studies with a rate of 0.05, more than 67 happen in one of a hundred tries.
AT_MOST = 67


class Drawn(Evidence):
    """Evidence whose numbers are in memory, by arm and seed."""

    numbers: Mapping[str, np.ndarray]

    def values_of(self, term: Term, measure: Measure) -> dict[int, float]:
        values = self.numbers[str(term.arm)]
        return {seed: term.factor * float(value) for seed, value in enumerate(values)}


def studies(
    claims: Sequence[dict[str, Any]], draw: np.random.Generator, **arms: float
) -> list[list[str]]:
    """The verdicts of studies whose runs are drawn around these means.

    Half of the spread belongs to the seed, which the arms share, as they share their data order.
    """
    recorded = {arm: arm_of({seed: f"{arm}-{seed}" for seed in range(SEEDS)}) for arm in arms}
    evidence = recorded_study(Path("nowhere"), claims, recorded, SEEDS)
    drawn = Drawn(evidence.folder, evidence.record)
    found = []
    for _ in range(STUDIES):
        seeds = draw.normal(size=SEEDS)
        numbers = {arm: mean + seeds + draw.normal(size=SEEDS) for arm, mean in arms.items()}
        object.__setattr__(drawn, "numbers", numbers)
        found.append([verdict.verdict for verdict in judge(drawn)])
    return found


def confirmed(found: list[list[str]]) -> int:
    """How many studies confirm at least one claim."""
    return sum("confirmed" in verdicts for verdicts in found)


@pytest.mark.parametrize(
    ("claims", "means"),
    [
        (["a < b"], {}),
        (["a > b"], {}),
        (["a < b", "a > c", "b < c", "c < d"], {}),
        (["a < b < c", "a < d", "a + b > c + d"], {}),
        (["a ~ b"], {"b": MARGIN}),
        (["a ~ b", "c ~ d", "a ~ d"], {"b": MARGIN, "c": MARGIN * 2, "d": MARGIN}),
        (["a < b + 1"], {"b": -MARGIN}),
        (["a replicates(1)"], {}),
        (["control a < b", "c < d", "c > a"], {}),
        (["control a < b", "c > d", "d ~ c"], {"a": -9, "d": MARGIN}),
    ],
)
def test_what_is_not_so_is_confirmed_in_a_twentieth_of_studies(
    claims: list[str], means: dict[str, float]
) -> None:
    arms = {name: means.get(name, 0.0) for name in "abcd"}
    written = [
        claim(
            text.removeprefix("control "),
            **({"margin": MARGIN} if "~" in text or "replicates" in text else {}),
            control=text.startswith("control"),
        )
        for text in claims
    ]
    found = studies(written, np.random.default_rng(1), **arms)
    # A control that is true is confirmed, and is no error.
    if means.get("a") == -9:
        found = [verdicts[1:] for verdicts in found]
    assert confirmed(found) <= AT_MOST


@pytest.mark.parametrize("relation", ["<", ">", "~"])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_divergence_does_not_confirm(relation: str, share: float) -> None:
    """Equal arms that diverge equally often, by themselves; for ~ they also differ by the margin."""
    draw, errors = np.random.default_rng(2), 0
    for _ in range(STUDIES):
        left, right = draw.normal(size=(2, SEEDS)) + (MARGIN if relation == "~" else 0) * np.array(
            [[0], [1]]
        )
        left[draw.random(SEEDS) < share] = inf
        right[draw.random(SEEDS) < share] = inf
        with np.errstate(invalid="ignore"):
            test = compare(left - right, relation, MARGIN)
        errors += test.supports and test.p < 0.05
    assert errors <= AT_MOST


@pytest.mark.parametrize(
    ("expect", "truth"), [("a < b", "difference"), ("a > b", "difference"), ("a ~ b", "margin")]
)
def test_the_stated_difference_is_found_in_four_of_five_studies(expect: str, truth: str) -> None:
    pilot = np.arange(SEEDS) - (SEEDS - 1) / 2
    pilot *= np.sqrt(2) / pilot.std(ddof=1)  # the spread that the studies have in truth
    stated = compare(pilot, expect[2], margin=1.0).detectable
    shift = {"<": stated, ">": -stated, "~": 0.0}[expect[2]]
    margin = {"margin": stated} if truth == "margin" else {}
    found = studies([claim(expect, **margin)], np.random.default_rng(3), a=0.0, b=shift)
    assert confirmed(found) / STUDIES == pytest.approx(0.8, abs=0.05)
