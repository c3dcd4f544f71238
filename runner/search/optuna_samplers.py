"""Samplers that learn from the trials before, by Optuna: TPE and Gaussian processes.

TPE: Bergstra et al. 2011, https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization.
Optuna only samples. Its pruners are asked for one trial at a time, so that of a rung that is decided at once
they keep one trial or all, depending on the order.
"""

import json
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from runner.config.search import Domain, Search
from runner.search.space import Draw, Setting, present, rounded
from runner.search.task import Task, Tried

VERSION: str = optuna.__version__


def draw_with_optuna(task: Task) -> list[Draw]:
    """Draws from a study that holds the trials before; those of one bracket know of each other."""
    study = study_of(task.search, task.tried, _sampler(task))
    draws = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on samplers that are experimental to Optuna
        for _ in range(task.trials):
            trial = study.ask()
            draws.append(_drawn(task, trial))
    return draws


def study_of(
    search: Search, tried: Sequence[Tried], sampler: BaseSampler | None = None, **where: Any
) -> optuna.Study:
    """An Optuna study of these trials.

    Args:
        search: What was searched.
        tried: The trials, in the order in which they were asked.
        sampler: What samples further ones.
        where: Storage and name, as for optuna.create_study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = StudyDirection.MAXIMIZE if search.higher_is_better else StudyDirection.MINIMIZE
    study = optuna.create_study(direction=direction, sampler=sampler, **where)
    study.add_trials([_frozen(search, trial) for trial in tried])
    return study


def _sampler(task: Task) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if task.search.sampler == "gp":
            return GPSampler(seed=task.own_seed, deterministic_objective=False)
        return TPESampler(seed=task.own_seed, constant_liar=True)


def _drawn(task: Task, trial: Trial) -> Draw:
    draw: Draw = {}
    space = task.search.space
    for key in sorted(space, key=lambda key: not Setting(key).is_group):  # options first
        if Setting(key).exists_with(draw, task.given):
            draw[key] = _suggested(trial, key, space[key])
    return present(task.search, draw, task.given)


def _suggested(trial: Trial, key: str, domain: Domain) -> Any:
    if domain.choice is not None:
        return json.loads(trial.suggest_categorical(key, categories(domain)))
    low, high = domain.ends
    if domain.is_whole:
        return trial.suggest_int(key, int(low), int(high), log=domain.is_log)
    return min(max(rounded(trial.suggest_float(key, low, high, log=domain.is_log)), low), high)


def categories(domain: Domain) -> list[str]:
    """The values of a choice as texts, which may be lists or null."""
    return [json.dumps(value) for value in domain.choice or ()]


def distribution_of(domain: Domain) -> BaseDistribution:
    if domain.choice is not None:
        return CategoricalDistribution(categories(domain))
    low, high = domain.ends
    if domain.is_whole:
        return IntDistribution(int(low), int(high), log=domain.is_log)
    return FloatDistribution(low, high, log=domain.is_log)


def _frozen(search: Search, tried: Tried) -> FrozenTrial:
    values = {epoch: value for epoch, value in tried.values.items() if value is not None}
    ended = tried.finished and bool(tried.values) and tried.values[max(tried.values)] is not None
    inside = {
        key: value for key, value in tried.draw.items() if _contains(search.space[key], value)
    }
    return create_trial(
        state=TrialState.COMPLETE if ended else TrialState.PRUNED,
        value=values[max(values)] if ended else None,
        params={
            key: json.dumps(value) if search.space[key].choice is not None else value
            for key, value in inside.items()
        },
        distributions={key: distribution_of(search.space[key]) for key in inside},
        intermediate_values=values,
    )


def _contains(domain: Domain, value: Any) -> bool:
    """Whether a value is one of the domain; λ = 0 of the lecture's decades is none."""
    return domain.choice is not None or domain.ends[0] <= value <= domain.ends[1]


def importances(search: Search, tried: Sequence[Tried]) -> dict[str, float]:
    """How much each setting that all trials have decides, adding up to 1; {} for too few trials.

    PED-ANOVA: Watanabe et al. 2023, https://arxiv.org/abs/2304.10255. A dropped trial counts with its last value.
    """
    valued = [
        Tried(trial.draw, {1: last}, True)
        for trial in tried
        if (last := trial.values[max(trial.values)] if trial.values else None) is not None
    ]
    if len(valued) < 4:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = study_of(search, valued)
            return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    except (
        ValueError,
        RuntimeError,
    ):  # all trials are equally good, or no setting is in all of them
        return {}
