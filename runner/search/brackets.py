"""Brackets: how many trials begin together, and at which epochs the worse of them stop.

Successive halving: Jamieson & Talwalkar 2016, https://proceedings.mlr.press/v51/jamieson16.html.
Hyperband: Li et al. 2018, https://jmlr.org/papers/v18/16-558.html.
"""

from dataclasses import dataclass
from math import ceil, isqrt

from runner.config.search import Search

LEARNS = ("tpe", "gp")  # samplers that draw better after they have seen results


@dataclass(frozen=True)
class Bracket:
    """Trials that are drawn at once.

    Attributes:
        trials: How many.
        rungs: The epochs at which they are compared; the last one is their end.
    """

    trials: int
    rungs: tuple[int, ...]


def rungs_of(search: Search, epochs: int) -> tuple[int, ...]:
    """first_rung·eta^k as long as at least eta times as many epochs are left, then the end."""
    rungs, epoch = [], search.first_rung
    while search.stop != "none" and epoch * search.eta <= epochs:
        rungs.append(epoch)
        epoch *= search.eta
    return (*rungs, epochs)


def fewest_trials(search: Search, epochs: int) -> int:
    """So many that in every bracket one trial comes to the end."""
    steps = len(rungs_of(search, epochs)) - 1
    if search.stop == "hyperband":
        return sum(search.eta**s for s in range(steps + 1))
    return int(search.eta**steps)


def brackets_of(search: Search, epochs: int, trials: int) -> list[Bracket]:
    """The brackets among which this number of trials is divided."""
    rungs = rungs_of(search, epochs)
    eta, steps = search.eta, len(rungs) - 1
    if search.stop == "hyperband":
        # In the paper's proportions, but one trial of each must come to the end.
        needed = [eta**s for s in range(steps, -1, -1)]
        paper = [ceil((steps + 1) / (steps + 1 - i) * need) for i, need in enumerate(needed)]
        missing = [
            max(0, trials * share - need * sum(paper))
            for share, need in zip(paper, needed, strict=True)
        ]
        more = divided(trials - sum(needed), missing if any(missing) else paper)
        sizes = [need + extra for need, extra in zip(needed, more, strict=True)]
        return [Bracket(size, rungs[i:]) for i, size in enumerate(sizes)]
    if search.sampler in LEARNS:
        # Drawn in several parts, each of which learns from those before.
        smallest = eta**steps if search.stop == "halving" else isqrt(trials)
        count = max(1, trials // max(1, smallest))
        return [Bracket(part, rungs) for part in divided(trials, [1] * count)]
    return [Bracket(trials, rungs)]


def divided(total: int, weights: list[int]) -> list[int]:
    """Whole parts that add up to the total, as nearly in proportion as they can be."""
    parts, above, given = [], 0, 0
    for weight in weights:
        above += weight
        part = total * above // sum(weights) - given
        parts.append(part)
        given += part
    return parts


def run_epochs(bracket: Bracket, eta: int) -> int:
    """The epochs that its trials take together, if none ends early."""
    total, alive, before = 0, bracket.trials, 0
    for epoch in bracket.rungs:
        total += alive * (epoch - before)
        alive, before = alive // eta, epoch
    return total
