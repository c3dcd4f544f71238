"""What is drawn: inside the space, the same for the same seed, and with Optuna only where it is asked for."""

import subprocess
import sys
from typing import Any

import pytest

from runner.config.search import Domain, Search
from runner.errors import ConfigError
from runner.search.samplers import sampler_of
from runner.search.space import Draw, at, place_of, words_of
from runner.search.task import Task, Tried

SPACE = {
    "optimizer": {"choice": ["sgd", "adam"]},
    "optimizer.lr": {"log": [1e-4, 1.0]},
    "optimizer@adam.beta2": {"uniform": [0.9, 0.999]},
    "regularizer.l2": {"log": [1e-6, 1e-2]},
    "architecture.hidden": {"choice": [[8], [16, 16], None]},
    "batch_size.size": {"log_int": [1, 64]},
}
SAMPLERS = ("random", "tpe", "gp", "grid", "lecture")


def task(sampler: str, bracket: int = 1, trials: int = 6, **changed: Any) -> Task:
    settings = {"space": SPACE, "trials": 200, "sampler": sampler} | changed
    tried = [
        Tried(draw, {1: value, 9: value / 2} if number % 2 else {1: value}, number % 2 == 1)
        for number, (draw, value) in enumerate(
            zip(DRAWS, (0.5, 0.1, 0.9, 0.3, 0.4, 0.2, 0.8, 0.6, 0.7, 1.0, 1.1, 1.2), strict=True)
        )
    ]
    search = Search.model_validate(settings)
    return Task(search, {"optimizer": "sgd"}, 0, bracket, trials, tried)


def drawn(task: Task) -> list[Draw]:
    return sampler_of(task.search)(task)


DRAWS: list[Draw] = []
DRAWS += drawn(Task(Search.model_validate({"space": SPACE, "trials": 12}), {}, 7, 0, 12, []))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_draw_lies_in_the_space_and_is_the_same_again(sampler: str) -> None:
    found = drawn(task(sampler))
    assert len(found) == 6 and found == drawn(task(sampler))
    for draw in found:
        assert ("optimizer@adam.beta2" in draw) == (draw["optimizer"] == "adam")
        assert draw.keys() >= SPACE.keys() - {"optimizer@adam.beta2"}
        for key, value in draw.items():
            domain = Domain.model_validate(SPACE[key])
            known = domain.choice
            assert value in known if known else domain.ends[0] <= value <= domain.ends[1], key
            assert not domain.is_whole or type(value) is int
        assert words_of(draw)[0] == f"optimizer={draw['optimizer']}"


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp"])
def test_other_brackets_and_seeds_draw_otherwise_and_no_draw_comes_twice(sampler: str) -> None:
    found = drawn(task(sampler))
    assert len({str(draw) for draw in found}) == 6
    assert found != drawn(task(sampler, bracket=2))
    assert found != drawn(task(sampler)._replace(seed=1))


def test_tpe_draws_near_what_was_good() -> None:
    space = {"optimizer.lr": {"log": [1e-4, 1.0]}}
    wanted = Search.model_validate({"space": space, "trials": 60, "sampler": "tpe"})
    rates = [10 ** (-4 + 4 * i / 39) for i in range(40)]
    tried = [Tried({"optimizer.lr": lr}, {9: abs(lr - 0.01)}, True) for lr in rates]
    near = drawn(Task(wanted, {}, 0, 1, 20, tried))
    assert sum(1e-3 < draw["optimizer.lr"] < 1e-1 for draw in near) >= 15


def test_a_grid_is_as_fine_as_the_trials_allow_and_divided_among_the_brackets() -> None:
    space = {"optimizer.lr": {"log": [1e-4, 1.0]}, "optimizer": {"choice": ["sgd", "adam"]}}
    wanted = Search.model_validate({"space": space, "trials": 11, "sampler": "grid"})
    first = drawn(Task(wanted, {}, 0, 0, 4, []))
    tried = [Tried(draw, {1: 0.0}, False) for draw in first]
    found = first + drawn(Task(wanted, {}, 0, 1, 6, tried))
    rates = sorted({draw["optimizer.lr"] for draw in found})
    assert rates == [1e-4, 1e-3, 1e-2, 1e-1, 1.0] and len(found) == 10


def test_the_lecture_goes_by_decades_without_penalty_then_around_the_best() -> None:
    decades = drawn(task("lecture", bracket=0))
    assert [draw["optimizer.lr"] for draw in decades] == [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    assert {draw["regularizer.l2"] for draw in decades} == {0.0}
    tried = [Tried(draw, {9: abs(draw["optimizer.lr"] - 0.1)}, True) for draw in decades]
    fine = drawn(task("lecture", trials=50)._replace(tried=tried))
    rates = [draw["optimizer.lr"] for draw in fine]
    assert 0.1 / 3.17 < min(rates) < 0.05 and 0.2 < max(rates) < 0.1 * 3.17
    assert all(1e-6 <= draw["regularizer.l2"] <= 1e-2 for draw in fine)


@pytest.mark.parametrize("kind", ["log", "uniform", "log_int", "int"])
def test_every_part_of_a_range_is_as_likely(kind: str) -> None:
    domain = Domain.model_validate({kind: [1, 100]})
    places = [place_of(domain, at(domain, i / 1000)) for i in range(1001)]
    assert places == sorted(places) and (places[0], places[-1]) == (0, 1)
    assert sum(place < 0.5 for place in places) == pytest.approx(500, abs=80)


def test_a_sampler_of_optuna_says_so_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "runner.search.optuna_samplers", raising=False)
    with pytest.raises(ConfigError, match=r"search.sampler=tpe: needs optuna; pip install"):
        sampler_of(task("tpe").search)
    assert len(drawn(task("random"))) == 6


@pytest.mark.slow
def test_the_others_do_not_import_optuna() -> None:
    code = "import sys, runner.search.campaign; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
