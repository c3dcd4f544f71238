from math import inf, isnan, nan, sqrt

import numpy as np
import pytest
from scipy import stats

from runner.studies.bootstrap import seeds_and_examples
from runner.studies.power import detectable_difference, detectable_margin, seeds_that_agree
from runner.studies.statistics import ALPHA, compare, holm, mean_interval

NOISE = np.random.default_rng(0).normal(size=8)


def test_the_t_test_is_the_paired_one() -> None:
    a, b = NOISE, np.random.default_rng(1).normal(size=8)
    test = compare(list(a - b), "<")
    expected = stats.ttest_rel(a, b)
    assert test.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high))
    turned = compare(list(b - a), ">")
    assert (turned.mean, turned.low, turned.high) == pytest.approx(
        (-test.mean, -test.high, -test.low)
    )


@pytest.mark.parametrize(("relation", "supports"), [("<", True), (">", False)])
def test_a_planted_effect_is_found_on_its_side(relation: str, supports: bool) -> None:
    test = compare(list(NOISE / 10 - 1), relation)
    assert test.p < ALPHA
    assert test.supports is supports
    assert test.mean == pytest.approx(NOISE.mean() / 10 - 1)
    assert test.low < test.mean < test.high < 0


def test_one_seed_decides_nothing() -> None:
    test = compare([-100.0], "<")
    assert (test.p, test.at_least) == (1.0, 2)


def test_identical_arms_are_undecided() -> None:
    assert compare([0.0] * 5, "<").p == 1.0


# Differences that rounding alone sets apart: (seeds, test images by which each is better, resolution).
ROUNDED = [(2, 2, 473), (3, 1, 473), (4, 7, 10_000), (5, 3, 360)]


@pytest.mark.parametrize(("seeds", "images", "n"), ROUNDED)
@pytest.mark.parametrize("relation", ["<", ">", "~"])
def test_differences_that_agree_but_for_rounding_are_no_spread(
    seeds: int, images: int, n: int, relation: str
) -> None:
    d = np.full(seeds, -images / n)
    d[::2] = np.nextafter(d[0], 0)  # what a test of exact equality would take for a spread
    test = compare(list(d), relation, margin=0.5, resolution=1 / n)
    assert test.method == "sign test"
    agree = 0.5**seeds
    assert test.p == pytest.approx(agree if relation == "~" else 2 * agree)
    neighbours = compare(list(d + np.arange(seeds) % 2 / n), relation, 0.5, resolution=1 / n)
    assert neighbours.method == "sign test"  # nor is a step up or down


@pytest.mark.parametrize(("seeds", "decided"), [(5, False), (6, True)])
def test_diverged_runs_are_counted_by_sign(seeds: int, decided: bool) -> None:
    test = compare([-inf] * seeds, "<")
    assert test.method == "sign test"
    assert (test.p < ALPHA) is decided
    assert test.supports
    assert (test.agreeing, test.at_least) == (seeds, 6)


def test_a_seed_without_a_difference_is_left_out() -> None:
    assert compare([nan, nan, -inf], "<").n == 1
    assert compare([nan] * 8, "~", margin=1).p == 1.0
    assert compare([*NOISE, nan], "<") == compare(list(NOISE), "<")


def test_equivalence_is_two_one_sided_tests() -> None:
    d = NOISE / 100
    lower = stats.ttest_1samp(d, -0.02, alternative="greater").pvalue
    upper = stats.ttest_1samp(d, 0.02, alternative="less").pvalue
    test = compare(list(d), "~", margin=0.02)
    assert test.p == pytest.approx(max(lower, upper))
    assert test.supports


def test_a_difference_beyond_the_margin_refutes_equivalence() -> None:
    for d in (list(NOISE / 100 + 1), [inf] * 6, [-1.0] * 6):
        test = compare(d, "~", margin=0.1)
        assert test.p < ALPHA
        assert not test.supports


@pytest.mark.parametrize("seeds", [10, 100])
def test_what_diverges_once_is_not_confirmed_to_be_equal(seeds: int) -> None:
    test = compare([0.0] * (seeds - 1) + [inf], "~", margin=1)
    assert (test.p, test.supports) == (1.0, True)


def test_a_replication_has_the_prediction_interval() -> None:
    n, m, margin = len(NOISE), 3, 2.0
    test = compare(list(NOISE), "replicates", margin, published_runs=m)
    half = stats.t.ppf(0.975, n - 1) * NOISE.std(ddof=1) * sqrt(1 / n + 1 / m)
    assert (test.low, test.high) == pytest.approx((NOISE.mean() - half, NOISE.mean() + half))
    beyond = compare(list(NOISE + 2 * half), "replicates", 3 * half, published_runs=m)
    assert beyond.low > 0 and beyond.p < ALPHA and not beyond.supports
    exact = compare(list(NOISE), "~", margin)
    assert exact.p < test.p
    assert compare(list(NOISE), "replicates", margin).p == pytest.approx(exact.p)


@pytest.mark.parametrize(("n", "level"), [(5, 0.05), (10, 0.05), (10, 0.01)])
def test_the_detectable_difference_has_the_stated_power(n: int, level: float) -> None:
    draws = np.random.default_rng(3).normal(size=(4000, n))
    error = 1 / sqrt(n)
    effect = detectable_difference(n - 1, level) * error
    found = stats.ttest_1samp(draws + effect, 0, axis=1).pvalue < level
    assert found.mean() == pytest.approx(0.8, abs=0.03)
    margin = detectable_margin(n - 1, level) * error
    upper = stats.ttest_1samp(draws, margin, axis=1, alternative="less").pvalue
    lower = stats.ttest_1samp(draws, -margin, axis=1, alternative="greater").pvalue
    assert (np.maximum(upper, lower) < level).mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_seeds_that_agree(level: float) -> None:
    n = seeds_that_agree(level)
    assert stats.binomtest(n, n).pvalue < level <= stats.binomtest(n - 1, n - 1).pvalue


def test_the_bootstrap_sees_both_sources_of_noise() -> None:
    draw = np.random.default_rng(4)
    of_seeds, of_examples = draw.normal(size=(20, 1)), draw.normal(size=(1, 400))
    low, high = seeds_and_examples(0.1 * of_seeds + of_examples)
    error = sqrt(0.1**2 * of_seeds.var() / 20 + of_examples.var() / 400)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    assert low < (0.1 * of_seeds + of_examples).mean() < high


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_mean_interval() -> None:
    low, high = stats.t.interval(0.95, 7, NOISE.mean(), stats.sem(NOISE))
    assert mean_interval(list(NOISE)) == pytest.approx((NOISE.mean(), low, high))
    assert mean_interval([*NOISE, inf]) == pytest.approx((NOISE.mean(), low, high))
    assert all(map(isnan, mean_interval([inf])))
