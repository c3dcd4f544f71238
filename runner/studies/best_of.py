"""How good the best of k tries is, and how much it matters which try one gets.

An arm that was tried more often looks better; its curve over the number of tries shows what it would have
been with fewer.
"""

from collections.abc import Sequence
from math import nan

import numpy as np


def expected_best(values: Sequence[float], direction: int) -> list[float]:
    """The expected best of k = 1 ... n independent draws from the n values that were seen.

    With the values in the order from worst to best, v₁ ... v_n, and draws from their empirical distribution,

        E[best of k] = Σᵢ vᵢ · ((i/n)^k − ((i−1)/n)^k).

    Dodge et al. 2019, "Show Your Work", https://arxiv.org/abs/1909.03004.

    Args:
        values: Finite; of tries that were drawn independently, in any order.
        direction: 1 where more is better, -1 where less is.
    """
    count = len(values)
    ordered = np.array(sorted(values, key=lambda value: direction * value))
    place = np.arange(count + 1) / count
    return [float(ordered @ np.diff(place**k)) for k in range(1, count + 1)]


def best_so_far(values: Sequence[float], direction: int) -> list[float]:
    """The best of the first k = 1 ... n, of tries that knew those before them."""
    best = np.maximum.accumulate(direction * np.array(values, dtype=float))
    return [float(direction * value) for value in best]


def quartiles(values: Sequence[float], direction: int) -> list[float]:
    """What a quarter, a half and three quarters of the tries are at least as good as.

    Args:
        values: ±inf where a try has diverged.
        direction: 1 where more is better, -1 where less is.
    """
    if not values:
        return [nan] * 3
    ordered = sorted(values, key=lambda value: -direction * value)
    return [ordered[-(-len(ordered) * part // 4) - 1] for part in (1, 2, 3)]
