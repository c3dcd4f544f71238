"""Runs that stop at a rung, or because their cost has grown: which, and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from runner.runs.folder import RunFolder
from runner.runs.rung import Rung
from runner.training.groups import Assignment
from runner.training.progress import Bars
from runner.training.run import Run
from runner.training.train import Prune

COST = "train/loss"


def to_rung(rung: Rung, assignments: Sequence[Assignment]) -> dict[str, Any]:
    """What `train_all` is given to train runs to a rung, by argument."""
    return {
        "prune": stopping_at(rung, assignments),
        "bars": lambda: Bars(rung.epoch),
    }


def stopping_at(rung: Rung, assignments: Sequence[Assignment]) -> Prune:
    """What gives up the runs that have come to a rung, with the reason of those that end before it."""
    initial: dict[int, float | None] = {}

    def prune(runs: Mapping[int, Run]) -> dict[int, str]:
        given_up: dict[int, str] = {}
        for number, run in runs.items():
            if run.epoch == run.epochs:
                continue
            if rung.abort is not None:
                folder = RunFolder(assignments[number][1])
                if number not in initial:
                    initial[number] = folder.metrics()[0][COST]
                # A run that goes on has no metrics of its own yet.
                metrics = run.metrics or folder.metrics()[run.epoch]
                first, cost = initial[number], metrics.get(COST)
                if first is not None and cost is not None and cost > rung.abort * first:
                    given_up[number] = (
                        f"the cost {cost:.4g} is above {rung.abort:g} times the initial {first:.4g}"
                    )
            if run.epoch >= rung.epoch:
                given_up.setdefault(number, "")
        return given_up

    return prune
