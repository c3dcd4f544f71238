"""Where a search stands, in words: a line on every rung, and what the progress bars show."""

import time

from runner.command.terminal import out
from runner.search.plan import Plan
from runner.search.record import Decision, Record


class Teller:
    """Tells how a search goes on.

    Args:
        plan: The search's brackets.
        title: What its lines begin with; "" for a search that is a command by itself.
    """

    def __init__(self, plan: Plan, title: str = "") -> None:
        self.plan = plan
        self.title = f"{title}: " if title else ""
        self.begun = time.monotonic()

    def headline(self, record: Record, bracket: int, epoch: int, trials: int, done: int) -> str:
        """What the progress bars show while trials are trained up to a rung.

        Args:
            record: As far as the search has come.
            bracket: Its number.
            epoch: That of the rung.
            trials: How many are trained.
            done: The epochs that this process has trained, of all runs.
        """
        where = f"bracket {bracket + 1}/{len(self.plan.brackets)} to epoch {epoch}"
        best = [f"best {value:.4g}" for value, *_ in best_so_far(record)]
        before = self.plan.before(bracket, epoch)
        left = self._time_left(bracket, before, trials, done)
        if self.title:  # a part of more, which has a line of its own with the time left
            return f"{self.title}to epoch {epoch}"
        return ", ".join([f"{where}: {counted(trials)}", *best, *left])

    def tell(self, record: Record, decision: Decision, done: int) -> None:
        """Prints what a rung has decided."""
        trials, kept = len(decision.values), len(decision.kept)
        went = "to the end" if decision.epoch == record.epochs else f"{kept} go on"
        lost = sum(value is None for value in decision.values.values())
        went += f", {lost} without a value" if lost else ""
        said = [
            f"best so far {record.search.by} {value:.4g} (trial {trial}, epoch {epoch})"
            for value, trial, epoch in best_so_far(record)
        ]
        left = self._time_left(decision.bracket, decision.epoch, kept, done)
        left = [f"about {text}" for text in left]
        bracket = f"bracket {decision.bracket + 1}/{len(self.plan.brackets)}"
        where = f"{self.title}{bracket}, epoch {decision.epoch}/{record.epochs}"
        told = [f"{counted(trials)}, {went}", *(said or ["none is left"]), *left]
        out.print(f"{where}: {'; '.join(told)}")

    def _time_left(self, bracket: int, epoch: int, alive: int, done: int) -> list[str]:
        """How long the rest will take, at the speed so far; [] where nothing is left or known."""
        left = self.plan.left(bracket, epoch, alive)
        if not (left and done):
            return []
        return [f"{spoken((time.monotonic() - self.begun) / done * left)} left"]


def best_so_far(record: Record) -> list[tuple[float, int, int]]:
    """The best value that was seen at any rung, its trial and epoch; [] if there was none."""
    sign = -1 if record.search.higher_is_better else 1
    seen = [
        (sign * value, decision.epoch, number)
        for decision in record.decisions
        for number, value in decision.values.items()
        if value is not None
    ]
    return [(sign * value, trial, epoch) for value, epoch, trial in sorted(seen)[:1]]


def counted(trials: int) -> str:
    return "1 trial" if trials == 1 else f"{trials} trials"


def spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
