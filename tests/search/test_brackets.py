"""Which trials begin together, and how many of them each rung keeps."""

from itertools import pairwise
from typing import Any

import pytest

from runner.config.search import Search
from runner.search.brackets import (
    Bracket,
    brackets_of,
    divided,
    fewest_trials,
    run_epochs,
    rungs_of,
)


def search(**settings: Any) -> Search:
    space = {"optimizer.lr": {"log": [1e-4, 1.0]}}
    return Search.model_validate({"space": space, "trials": 81} | settings)


@pytest.mark.parametrize(
    ("epochs", "settings", "rungs"),
    [
        (27, {}, (1, 3, 9, 27)),
        (30, {}, (1, 3, 9, 30)),
        (20, {}, (1, 3, 20)),
        (81, {"first_rung": 3}, (3, 9, 27, 81)),
        (16, {"eta": 4}, (1, 4, 16)),
        (2, {}, (2,)),
        (27, {"stop": "none"}, (27,)),
    ],
)
def test_a_rung_follows_after_eta_times_as_many_epochs(
    epochs: int, settings: dict[str, Any], rungs: tuple[int, ...]
) -> None:
    assert rungs_of(search(**{"stop": "halving"} | settings), epochs) == rungs


def test_hyperband_with_as_many_trials_as_in_its_paper_has_the_brackets_of_its_paper() -> None:
    # Li et al. 2018, table 1, R = 81 and η = 3: n = 81, 34, 15, 8, 5.
    bands = brackets_of(search(stop="hyperband"), 81, 81 + 34 + 15 + 8 + 5)
    assert [b.rungs[0] for b in bands] == [1, 3, 9, 27, 81]
    assert [b.trials for b in bands] == [81, 34, 15, 8, 5]


@pytest.mark.parametrize("stop", ["none", "halving", "hyperband"])
@pytest.mark.parametrize("sampler", ["random", "tpe", "gp"])
def test_all_trials_are_in_a_bracket_and_one_of_each_comes_to_the_end(
    stop: str, sampler: str
) -> None:
    for epochs in (1, 9, 27, 40):
        wanted = search(stop=stop, sampler=sampler)
        fewest = fewest_trials(wanted, epochs)
        for trials in (fewest, fewest + 1, 100, 243):
            bands = brackets_of(wanted, epochs, trials)
            assert sum(b.trials for b in bands) == trials
            for band in bands:
                alive = band.trials
                for _ in pairwise(band.rungs):
                    alive //= wanted.eta
                assert alive >= 1


def test_parts_add_up() -> None:
    assert divided(10, [1, 1, 1]) == [3, 3, 4]
    assert divided(0, [3, 1]) == [0, 0]
    assert run_epochs(Bracket(9, (1, 3, 9)), 3) == 9 * 1 + 3 * 2 + 1 * 6
