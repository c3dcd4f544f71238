from math import inf, nan

import numpy as np
import pytest
from scipy import stats

from runner.studies.statistics import ALPHA, compare, holm, mean_interval

NOISE = np.random.default_rng(0).normal(size=8)


def test_the_t_test_is_the_paired_one() -> None:
    a, b = NOISE, np.random.default_rng(1).normal(size=8)
    test = compare(list(a - b), "<")
    expected = stats.ttest_rel(a, b)
    assert test.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(("relation", "supports"), [("<", True), (">", False)])
def test_a_planted_effect_is_found_on_its_side(relation: str, supports: bool) -> None:
    test = compare(list(NOISE / 10 - 1), relation)
    assert test.p < ALPHA
    assert test.supports is supports
    assert test.mean == pytest.approx(NOISE.mean() / 10 - 1)
    assert test.low < test.mean < test.high < 0


def test_without_an_effect_about_a_twentieth_is_significant() -> None:
    draws = np.random.default_rng(2).normal(size=(400, 5))
    found = sum(compare(list(d), "<").p < ALPHA for d in draws)
    assert 8 <= found <= 36


def test_one_seed_decides_nothing() -> None:
    test = compare([-100.0], "<")
    assert test.p == 1.0
    assert test.seeds_needed == 2


def test_identical_arms_are_undecided() -> None:
    test = compare([0.0] * 5, "<")
    assert test.p == 1.0
    assert test.seeds_needed is None


@pytest.mark.parametrize(("seeds", "decided"), [(5, False), (6, True)])
def test_diverged_runs_are_counted_by_sign(seeds: int, decided: bool) -> None:
    test = compare([-inf] * seeds, "<")
    assert test.method == "sign test"
    assert (test.p < ALPHA) is decided
    assert test.supports
    assert test.agreeing == seeds


def test_the_same_difference_everywhere_has_no_t_test() -> None:
    assert compare([-1.0, -1.0, -1.0], "<").p == 0.25


def test_two_runs_that_both_diverged_are_a_tie() -> None:
    assert compare([nan, nan, -inf], "<").p == 1.0


def test_equivalence_is_two_one_sided_tests() -> None:
    d = NOISE / 100
    lower = stats.ttest_1samp(d, -0.02, alternative="greater").pvalue
    upper = stats.ttest_1samp(d, 0.02, alternative="less").pvalue
    test = compare(list(d), "~", margin=0.02)
    assert test.p == pytest.approx(max(lower, upper))
    assert test.supports


def test_a_difference_beyond_the_margin_refutes_equivalence() -> None:
    test = compare(list(NOISE / 100 + 1), "~", margin=0.1)
    assert test.p < ALPHA
    assert not test.supports


def test_seeds_needed_find_the_effect_with_the_promised_power() -> None:
    effect = 0.5
    pilot = np.array([-1.0, 1.0, -1.0, 1.0])
    pilot = pilot / pilot.std(ddof=1) - effect
    needed = compare(list(pilot), "<").seeds_needed
    assert needed is not None
    draws = np.random.default_rng(3).normal(-effect, 1, size=(500, needed))
    power = np.mean([compare(list(d), "<").p < ALPHA for d in draws])
    assert 0.7 < power < 0.9


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_mean_interval() -> None:
    low, high = stats.t.interval(0.95, 7, NOISE.mean(), stats.sem(NOISE))
    assert mean_interval(list(NOISE)) == pytest.approx((NOISE.mean(), low, high))
    assert mean_interval([1.0, inf]) == (inf, inf, inf)
