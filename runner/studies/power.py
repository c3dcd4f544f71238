"""What a study of this size can find at all: planned from its spread, never from the effect that it saw.

The power of an effect "as large as it looks" says nothing that its p-value does not say (Hoenig & Heisey
2001, https://doi.org/10.1198/000313001300339897), and to follow it is a second look at the same seeds.
"""

from collections.abc import Callable
from functools import cache
from math import ceil, log2, nan

import numpy as np
from scipy import optimize, stats

POWER = 0.8
QUANTILES = (np.arange(2000) + 0.5) / 2000


@cache
def detectable_difference(freedom: int, level: float) -> float:
    """The smallest true difference that a two-sided t test finds with probability POWER, in standard errors.

    δ for which P(T > t) = POWER, T noncentral t with this δ. (What it finds on the wrong side is negligible.)

    Args:
        freedom: Degrees of freedom.
        level: Of the test.
    """
    critical = float(stats.t.isf(level / 2, freedom))
    return _root(lambda effect: float(stats.nct.sf(critical, freedom, effect)) - POWER, critical)


@cache
def detectable_margin(freedom: int, level: float) -> float:
    """The smallest margin within which equals are confirmed with probability POWER, in standard errors.

    Both one-sided tests must succeed: |Z| ≤ margin − t·S, Z standard normal and S² = χ²/freedom, over whose
    quantiles the probability is averaged. Phillips 1990, https://doi.org/10.1007/BF01063556.

    Args:
        freedom: Degrees of freedom.
        level: Of each of the two tests.
    """
    critical = float(stats.t.isf(level, freedom))
    spreads = np.sqrt(stats.chi2.ppf(QUANTILES, freedom) / freedom)

    def lacking(margin: float) -> float:
        room = np.maximum(margin - critical * spreads, 0)
        return float((2 * stats.norm.cdf(room) - 1).mean()) - POWER

    return _root(lacking, critical)


def seeds_that_agree(level: float, two_sided: bool = True) -> int:
    """How many seeds must all lie on the same side for a sign test to be significant: 2·½ⁿ < level."""
    return ceil(log2((2 if two_sided else 1) / level))


def _root(rising: Callable[[float], float], start: float) -> float:
    """Where a rising function is 0; NaN where SciPy's distribution gives out."""
    high = start + 2
    while not rising(high) > 0:
        high *= 2
        if high > 1e6:
            return nan
    return float(optimize.brentq(rising, 0, high))
