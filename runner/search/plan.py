"""Which brackets a search has, and how much of them is left."""

from dataclasses import dataclass

from runner.config.search import Search
from runner.search.brackets import Bracket, brackets_of, run_epochs
from runner.search.samplers import decades
from runner.search.space import finest_grid


@dataclass(frozen=True)
class Plan:
    """The brackets of one search, in order.

    Attributes:
        search: What is searched.
        epochs: Of a trial that comes to its end.
        brackets: Number 0, 1, ...
    """

    search: Search
    epochs: int
    brackets: list[Bracket]

    @property
    def trials(self) -> int:
        """How many are drawn in all."""
        return sum(bracket.trials for bracket in self.brackets)

    def before(self, bracket: int, epoch: int) -> int:
        """The rung before an epoch in a bracket; 0 for the first."""
        return max((rung for rung in self.brackets[bracket].rungs if rung < epoch), default=0)

    def left(self, bracket: int, epoch: int, alive: int) -> int:
        """The epochs of all runs that are still to be trained.

        Args:
            bracket: The one that is being trained.
            epoch: Where its trials stand.
            alive: How many of them go on from there.
        """
        eta, seeds = self.search.eta, self.search.seeds
        left = sum(run_epochs(b, eta) for b in self.brackets[bracket + 1 :]) * seeds
        for rung in (rung for rung in self.brackets[bracket].rungs if rung > epoch):
            left += alive * (rung - epoch) * seeds
            alive, epoch = alive // eta, rung
        if final := self.search.final:
            left += final.best * final.seeds * self.epochs
        return left


def plan_of(search: Search, epochs: int, given: dict[str, str]) -> Plan:
    """The plan of a search: the lecture's decades are a bracket of their own, all trained to the end.

    Args:
        search: What is searched.
        epochs: Of a trial that comes to its end.
        given: The options that the experiment itself chooses, by group.
    """
    trials, first = search.trials, []
    if search.sampler == "grid":
        trials = len(finest_grid(search, given))
    if search.sampler == "lecture":
        first = [Bracket(len(decades(search)), (epochs,))]
        trials -= first[0].trials
    return Plan(search, epochs, [*first, *brackets_of(search, epochs, trials)])
