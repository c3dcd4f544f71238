"""Is there a difference? Paired tests over seeds, and how many seeds it would take to decide.

Two arms with the same seed share their data order and, where the shapes agree, their initial weights,
so they are compared seed by seed:

    t test      of the mean difference, two-sided, with its 95% interval. For `a ~ b` two one-sided
                tests (TOST) of a difference within ±margin. Schuirmann 1987,
                https://doi.org/10.1007/BF01068419.
    sign test   where a value is infinite (a run diverged, a target was never reached) or all seeds
                give exactly the same difference: only how many seeds lie on each side counts. Five
                seeds that agree give p = 0.06, six 0.03: it needs more seeds than the t test, as it should.

The tests of one study are corrected together by Holm's rule.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan, sqrt
from typing import Any

import numpy as np
from scipy import stats

ALPHA = 0.05
POWER = 0.8  # "would probably decide": with this probability, if the effect is as large as it looks
MOST_SEEDS = 1000


@dataclass(frozen=True)
class PairedTest:
    """What the differences of one comparison say, before the other claims are considered.

    Attributes:
        n: The number of seeds with a value on both sides.
        mean: The mean of the differences left − right; NaN where one is infinite.
        low, high: The 95% interval of the mean; NaN where there is none.
        supports: Whether the differences lie on the expected side.
        p: The two-sided p-value; 1 where nothing can be said.
        method: t test, sign test, or why there is none.
        agreeing: How many seeds lie on the expected side.
        seeds_needed: How many seeds would probably decide, at the level that Holm's rule leaves in
            the worst case; None if more than 1000.
    """

    n: int
    mean: float
    low: float
    high: float
    supports: bool
    p: float
    method: str
    agreeing: int
    seeds_needed: int | None


def compare(
    differences: Sequence[float], relation: str, margin: float = 0.0, comparisons: int = 1
) -> PairedTest:
    """Tests whether left − right is below 0 (<), above 0 (>) or within ±margin (~).

    Args:
        differences: left − right for each seed; infinite where one side is, NaN where both are.
        relation: <, > or ~.
        margin: For ~ only.
        comparisons: All comparisons of the study, for `seeds_needed`.
    """
    # Turned so that the expectation is always "less than 0".
    turn = {"<": 1.0, ">": -1.0, "~": 1.0}[relation]
    d = turn * np.asarray(differences, dtype=float)
    d = np.where(np.isnan(d), 0.0, d)  # both are the worst: a tie
    n = len(d)
    excess = np.abs(d) - margin if relation == "~" else d
    agreeing = int((excess < 0).sum())
    if n < 2:
        mean = float(turn * d[0]) if n and isfinite(d[0]) else nan
        reason = "one seed decides nothing" if n else "no seed has both values"
        return PairedTest(n, mean, nan, nan, bool(agreeing), 1.0, reason, agreeing, 2 + (n == 0))
    level = ALPHA / comparisons
    if not np.isfinite(d).all() or np.ptp(d) == 0:
        mean = float(turn * d.mean()) if np.isfinite(d).all() else nan
        p, supports, needed = _sign_test(excess, level)
        return PairedTest(n, mean, nan, nan, supports, p, "sign test", agreeing, needed)
    mean, low, high = mean_interval(turn * d)
    if relation == "~":
        # Within: the worse of the two one-sided tests. Outside: two-sided, against the nearer margin.
        supports, nearer = abs(mean) < margin, margin if mean > 0 else -margin
        sides, side = (1, "less" if mean > 0 else "greater") if supports else (2, "two-sided")
        found = _t_test(turn * d, nearer, side)
    else:
        supports, sides = turn * mean < 0, 2
        found = _t_test(turn * d)
    effect = abs(float(found.statistic)) / sqrt(n)
    needed = _pairs_for_t(effect, level / sides, n)
    p = float(found.pvalue)
    return PairedTest(n, mean, low, high, supports, p, "t test", agreeing, needed)


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
    """The mean of one arm's values and its 95% t interval; infinite values make all three so."""
    array = np.asarray(values, dtype=float)
    if not len(array):
        return nan, nan, nan
    if not np.isfinite(array).all():
        worst = inf if (array == inf).any() else -inf
        return worst, worst, worst
    mean = float(array.mean())
    if len(array) < 2:
        return mean, nan, nan
    interval = _t_test(array).confidence_interval(1 - ALPHA)
    return mean, float(interval.low), float(interval.high)


def _t_test(values: np.ndarray, mean: float = 0.0, alternative: str = "two-sided") -> Any:
    """SciPy's test of the mean, which would warn of values that differ by rounding alone."""
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return stats.ttest_1samp(values, mean, alternative=alternative)


def _sign_test(excess: np.ndarray, level: float) -> tuple[float, bool, int | None]:
    """p, whether most lie below 0, and how many pairs with these shares would decide."""
    below, above = int((excess < 0).sum()), int((excess > 0).sum())
    if below + above == 0:
        return 1.0, False, None
    p = float(stats.binomtest(below, below + above).pvalue)
    n = np.arange(len(excess) + 1, MOST_SEEDS + 1)
    decisive = (
        stats.binom.isf(level / 2, n, 0.5) + 1
    )  # this many on one side give a p below the level
    power = stats.binom.sf(decisive - 1, n, max(below, above) / len(excess))
    enough = n[(power >= POWER) & (decisive <= n)]
    return p, below > above, int(enough[0]) if len(enough) else None


def _pairs_for_t(effect: float, level: float, n: int) -> int | None:
    """The smallest number of pairs above n at which a t test probably finds an effect.

    Args:
        effect: The mean difference in standard deviations of the differences.
        level: One-sided.
        n: The pairs there are.
    """
    candidates = np.arange(n + 1, MOST_SEEDS + 1)
    critical = stats.t.isf(level, candidates - 1)
    power = stats.nct.sf(critical, candidates - 1, effect * np.sqrt(candidates))
    enough = candidates[power >= POWER]
    return int(enough[0]) if len(enough) else None
