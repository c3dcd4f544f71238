"""How the trials of a bracket are drawn. What a sampler draws is a function of the seed and the results so far."""

from collections.abc import Callable, Sequence
from math import ceil, floor, log10, sqrt
from random import Random

from runner.config.search import Domain, Search
from runner.errors import ConfigError
from runner.search.space import Draw, Setting, at, finest_grid, present
from runner.search.task import Task, Tried

LR = "optimizer.lr"
LAMBDAS = ("regularizer.l1", "regularizer.l2", "optimizer.weight_decay")
AROUND = sqrt(10)  # the fine search: a decade around the best η, half of it on each side


Sampler = Callable[[Task], list[Draw]]


def sampler_of(search: Search) -> Sampler:
    """The sampler of this name.

    Raises:
        ConfigError: It needs Optuna, which is not installed.
    """
    if search.sampler in ("tpe", "gp"):
        try:
            from runner.search.optuna_samplers import draw_with_optuna
        except ModuleNotFoundError as error:
            raise ConfigError(
                [
                    f"search.sampler={search.sampler}: needs {error.name}; pip install 'lecture-runner[search]'"
                ]
            ) from None
        return draw_with_optuna
    return {"random": draw_randomly, "grid": draw_grid, "lecture": draw_as_the_lecture}[
        search.sampler
    ]


def draw_randomly(task: Task) -> list[Draw]:
    """Independent draws. Bergstra & Bengio 2012, https://jmlr.org/papers/v13/bergstra12a.html."""
    return randomly(task, task.search.space)


def randomly(task: Task, space: dict[str, Domain]) -> list[Draw]:
    random = Random(task.own_seed)
    draws = [{k: at(d, random.random()) for k, d in space.items()} for _ in range(task.trials)]
    return [present(task.search, draw, task.given) for draw in draws]


def draw_grid(task: Task) -> list[Draw]:
    """The grid, in an order without meaning: brackets take one part of it after the other."""
    draws = finest_grid(task.search, task.given)
    Random(task.seed).shuffle(draws)
    begun = len(task.tried)
    return draws[begun : begun + task.trials]


def draw_as_the_lecture(task: Task) -> list[Draw]:
    """η by decades with λ = 0, all else as the experiment has it; then all at random, η around the best.

    CS231n notes, https://cs231n.github.io/neural-networks-3/.
    """
    if task.bracket == 0:
        return decades(task.search)
    best = best_of(task.search, task.tried)
    if best is None:  # no decade came to its end: nothing to draw around
        return draw_randomly(task)
    low, high = task.search.space[LR].ends
    ends = (max(low, best[LR] / AROUND), min(high, best[LR] * AROUND))
    space = task.search.space | {LR: Domain(log=ends)}
    return randomly(task, space)


def decades(search: Search) -> list[Draw]:
    """The powers of ten within the range of η."""
    low, high = search.space[LR].ends
    zero = {key: 0.0 for key in search.space if Setting(key).path in LAMBDAS}
    powers = range(ceil(log10(low) - 1e-9), floor(log10(high) + 1e-9) + 1)
    return [{LR: float(f"1e{power}")} | zero for power in powers]


def best_of(search: Search, tried: Sequence[Tried]) -> Draw | None:
    """The settings of the best finished trial, of the first among equals."""
    sign = -1 if search.higher_is_better else 1
    found = [
        (sign * value, number)
        for number, trial in enumerate(tried)
        if trial.finished and (value := trial.values[max(trial.values)]) is not None
    ]
    return tried[min(found)[1]].draw if found else None
