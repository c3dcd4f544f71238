import itertools
from math import inf

import numpy as np
import pytest

from runner.studies.best_of import best_so_far, expected_best, quartiles


@pytest.mark.parametrize("direction", [1, -1])
def test_the_expected_best_is_the_mean_over_all_draws(direction):
    values = [0.3, 0.1, 0.4, 0.1]
    best = max if direction == 1 else min
    for k, found in enumerate(expected_best(values, direction), start=1):
        draws = [best(draw) for draw in itertools.product(values, repeat=k)]
        assert found == pytest.approx(np.mean(draws))


def test_the_best_so_far_never_gets_worse():
    assert best_so_far([3.0, 1.0, 2.0], -1) == [3.0, 1.0, 1.0]
    assert best_so_far([3.0, 1.0, 4.0], 1) == [3.0, 3.0, 4.0]


def test_quartiles_are_what_so_many_tries_reach():
    assert quartiles([4.0, 1.0, inf, 2.0], -1) == [1.0, 2.0, 4.0]
    assert quartiles([0.9, 0.1, 0.5, 0.7, 0.3], 1) == [0.7, 0.5, 0.3]
