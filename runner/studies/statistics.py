"""Is there a difference? Paired tests over seeds, and what a study of this size can find.

Two arms with the same seed share their data order and, where the shapes agree, their initial weights,
so they are compared seed by seed:

    t test      of the mean difference, two-sided, with its 95% interval. For `a ~ b` two one-sided
                tests (TOST) of a difference within ±margin. Schuirmann 1987,
                https://doi.org/10.1007/BF01068419. For `a replicates(x)` the same with the spread of the
                published runs added: x is as uncertain as a mean of that many of our runs. It is refuted
                where x lies outside the prediction interval of such a mean. Patil et al. 2016,
                https://doi.org/10.1177/1745691616646366.
    sign test   where a value is infinite (a run diverged, a target was never reached) or the differences
                of all seeds agree to within the measure's resolution, and so say nothing of their spread:
                only how many seeds lie on each side counts. Five seeds that agree give p = 0.06, six 0.03:
                it needs more seeds than the t test, as it should. With an infinite difference `a ~ b` can
                be refuted, but not confirmed.

A seed whose difference has no value (both sides are infinite, or one side has none) is left out and counted.
The tests of one study are corrected together by Holm's rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan, sqrt

import numpy as np
from scipy import stats

from runner.config.expectations import REPLICATES
from runner.studies.power import detectable_difference, detectable_margin, seeds_that_agree

ALPHA = 0.05


@dataclass(frozen=True)
class PairedTest:
    """What the differences of one comparison say, before the other claims are considered.

    Attributes:
        n: The number of seeds whose difference has a value.
        mean: The mean of the differences left − right; NaN where one is infinite.
        low, high: The 95% interval of the mean, for `replicates` the prediction interval; NaN where there
            is none.
        supports: Whether the differences lie on the expected side.
        p: The two-sided p-value; 1 where nothing can be said.
        method: t test, sign test, or why there is none.
        agreeing: How many seeds lie on the expected side.
        detectable: The smallest difference (for ~ and replicates: margin) that so many seeds with this
            spread would decide with a probability of 0.8, at the level that Holm's rule leaves in the worst
            case; NaN where the spread is not known.
        at_least: How many seeds a test needs to decide anything, if all of them agree.
    """

    n: int
    mean: float
    low: float
    high: float
    supports: bool
    p: float
    method: str
    agreeing: int
    detectable: float
    at_least: int


def compare(
    differences: Sequence[float] | np.ndarray,
    relation: str,
    margin: float = 0.0,
    comparisons: int = 1,
    resolution: float = 0.0,
    published_runs: float = inf,
) -> PairedTest:
    """Tests whether left − right is below 0 (<), above 0 (>) or within ±margin (~, replicates).

    Args:
        differences: left − right for each seed; infinite where one side is, NaN where there is none.
        relation: <, >, ~ or replicates.
        margin: For ~ and replicates only.
        comparisons: All comparisons of the study, for what can be detected.
        resolution: The smallest step of a difference: those that agree to within it have no spread.
        published_runs: Of how many runs the right side is the mean, if it is not exact.
    """
    # Turned so that the expectation of < and > is always "less than 0".
    d = np.asarray(differences, dtype=float) * (-1.0 if relation == ">" else 1.0)
    d = d[~np.isnan(d)]
    n, level, finite = len(d), ALPHA / comparisons, bool(np.isfinite(d).all())
    equality = relation in ("~", REPLICATES)
    agreeing = int(((np.abs(d) < margin) if equality else (d < 0)).sum())
    mean = float(d.mean()) if n and finite else nan
    at_least = seeds_that_agree(level, two_sided=not equality)
    if n < 2:
        p, supports, method = 1.0, bool(agreeing), "one seed decides nothing"
        method, at_least = (method, 2) if n else ("no seed has both values", 2)
        interval, detectable = (nan, nan), nan
    elif not finite or np.ptp(d) <= resolution * (1 + 1e-6):
        p, supports = _sign_test_within(d, margin) if equality else _sign_test(d)
        method, interval, detectable = "sign test", (nan, nan), nan
    else:
        sd, scale = float(d.std(ddof=1)), sqrt(1 / n + 1 / published_runs)
        p, supports = _t_test(mean, sd * scale, n - 1, margin if equality else None)
        if relation == REPLICATES:
            p_outside, _ = _t_test(mean, sd * scale, n - 1)
            if not supports or p_outside < p:
                p, supports = p_outside, False
        half = float(stats.t.isf(ALPHA / 2, n - 1)) * sd * scale
        method, interval, at_least = "t test", (mean - half, mean + half), 2
        smallest = detectable_margin if equality else detectable_difference
        detectable = smallest(n - 1, level) * sd * scale
    if relation == ">":
        mean, interval = -mean, (-interval[1], -interval[0])
    return PairedTest(n, mean, *interval, supports, p, method, agreeing, detectable, at_least)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for there being several, by Holm 1979, https://www.jstor.org/stable/4615733.

    In rising order the i-th (from 0) of m is multiplied by m − i; none may be under the one before.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def mean_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """The mean of one arm's finite values and its 95% t interval."""
    array = np.asarray(values, dtype=float)
    array = array[np.isfinite(array)]
    if not len(array):
        return nan, nan, nan
    mean = float(array.mean())
    if len(array) < 2:
        return mean, nan, nan
    half = float(stats.t.isf(ALPHA / 2, len(array) - 1) * stats.sem(array))
    return mean, mean - half, mean + half


def _t_test(
    mean: float, error: float, freedom: int, margin: float | None = None
) -> tuple[float, bool]:
    """p, and whether the mean lies below 0 or, with a margin, within ±margin."""
    if margin is None:
        return 2 * float(stats.t.sf(abs(mean) / error, freedom)), mean < 0
    if abs(mean) < margin:  # the worse of the two one-sided tests
        return float(stats.t.sf((margin - abs(mean)) / error, freedom)), True
    return 2 * float(stats.t.sf((abs(mean) - margin) / error, freedom)), False


def _sign_test(d: np.ndarray) -> tuple[float, bool]:
    """p, and whether most lie below 0; those that are 0 lie on neither side."""
    below, above = int((d < 0).sum()), int((d > 0).sum())
    if not below + above:
        return 1.0, False
    return float(stats.binomtest(below, below + above).pvalue), below > above


def _sign_test_within(d: np.ndarray, margin: float) -> tuple[float, bool]:
    """p, and whether the median lies within ±margin: as in a t test, the worse of two one-sided tests.

    With an infinite difference there is no mean within any margin: it is then never significant.
    """
    n, within = len(d), min(int((d < margin).sum()), int((d > -margin).sum()))
    if 2 * within > n:
        p = float(stats.binom.sf(within - 1, n, 0.5)) if np.isfinite(d).all() else 1.0
        return p, True
    return min(1.0, 2 * float(stats.binom.sf(n - within - 1, n, 0.5))), False
