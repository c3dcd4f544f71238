"""A search from its declaration to its best trial: draw, train to the next rung, drop the worse, go on.

After every decision its record is written, and a run's folder keeps the rest, so that a search that was
killed goes on where it was. A rung is decided only when all of its trials have come to it: which of them was
trained first, and where, does not matter.
"""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from random import Random

from runner.config.schema import Config
from runner.config.search import Search
from runner.runs.folder import OUTPUTS
from runner.search.evaluation import Evaluation, Train
from runner.search.plan import plan_of
from runner.search.record import RECORD, Again, Decision, Record, Trial, ranked
from runner.search.resuming import resumed
from runner.search.samplers import sampler_of
from runner.search.task import Task
from runner.search.telling import Teller
from runner.search.trials import TrialRuns


class Campaign:
    """The trials of one search.

    Args:
        runs: What is searched, and the runs of its trials.
        name: The file of the record, in the folder of the runs.
        title: What the lines on the screen begin with; "" for a search that is a command by itself.

    Attributes:
        failed: The folders of runs that failed.
        finished_before: Whether an earlier command had finished the search.

    Raises:
        ConfigError: The space, or the number of trials, cannot be searched.
    """

    def __init__(self, runs: TrialRuns, name: str = RECORD, title: str = "") -> None:
        runs.check()
        self.runs = runs
        self.search: Search = runs.search
        self.name = name
        self.folder = OUTPUTS / runs.config.name
        self.sampler = sampler_of(self.search)
        self.plan = plan_of(self.search, runs.config.epochs, runs.given)
        self.teller = Teller(self.plan, title)
        self.title = title
        self.failed: set[Path] = set()
        self.finished_before = False

    @property
    def configs(self) -> list[Config]:
        """One run of the experiment, as it is before anything is drawn."""
        return [self.runs.plain.config]

    def carry_out(self, train: Train) -> Record:
        """Trains what is not trained yet, rung by rung, and keeps the record of it.

        Args:
            train: Trains jobs that have not come to a rung.
        """
        evaluation = Evaluation(self.runs, train)
        record = self._begun()
        self.finished_before = record.complete
        for number, bracket in enumerate(self.plan.brackets):
            record = self._drawn(record, number, bracket.trials, evaluation)
            alive = record.members(number)
            for epoch in bracket.rungs:
                if alive:
                    record = self._decided(record, evaluation, number, epoch, alive)
                    decision = record.decision(number, epoch)
                    alive = decision.kept if decision else []
        record = self._audited(record, evaluation)
        record = self._again(record, evaluation)
        self.failed = evaluation.failed
        return self._kept(record.with_(best=record.best_trial(), complete=True))

    def _begun(self) -> Record:
        """The record of this very search where it was begun, else a new one."""
        config = self.runs.config
        new = Record(
            command=self.runs.command,
            search=self.search,
            seed=self.runs.seeds[0],
            epochs=config.epochs,
            experiment=self.runs.plain.config.digest,
            given=self.runs.given,
            optuna=optuna_version(self.search),
        )
        return resumed(new, self.folder, self.name) if config.resume else new

    def _kept(self, record: Record) -> Record:
        record.write(self.folder, self.name)
        return record

    def _drawn(self, record: Record, bracket: int, count: int, evaluation: Evaluation) -> Record:
        """Draws the trials of a bracket, each knowing those of the brackets before."""
        if record.members(bracket):
            return record
        tried = [record.tried(number) for number in range(len(record.trials))]
        task = Task(self.search, self.runs.given, record.seed, bracket, count, tried)
        trials = [
            Trial(bracket=bracket, draw=draw, runs=names(evaluation, draw))
            for draw in self.sampler(task)
        ]
        return self._kept(record.with_(trials=[*record.trials, *trials]))

    def _decided(
        self,
        record: Record,
        evaluation: Evaluation,
        bracket: int,
        epoch: int,
        alive: Sequence[int],
    ) -> Record:
        """Trains the trials of a rung up to it, and decides which go on."""
        if record.decision(bracket, epoch):
            return record
        headline = self.teller.headline(record, bracket, epoch, len(alive), evaluation.done)
        draws = {number: record.draw(number) for number in alive}
        values = evaluation.values(draws, epoch, headline)
        best = ranked(values, self.search.higher_is_better)
        kept = [] if epoch == record.epochs else best[: len(alive) // self.search.eta]
        decision = Decision(bracket=bracket, epoch=epoch, values=values, kept=kept)
        record = self._kept(record.with_(decisions=[*record.decisions, decision]))
        self.teller.tell(record, decision, evaluation.done)
        return record

    def _audited(self, record: Record, evaluation: Evaluation) -> Record:
        """Trains a sample of the dropped trials on to the end."""
        if record.audited is not None:
            return record
        dropped = record.dropped()
        sample = Random(record.seed).sample(sorted(dropped), ceil(self.search.audit * len(dropped)))
        values: dict[int, float | None] = {}
        # Those of one epoch at a time: a stack that is killed goes on from an epoch that all its runs have.
        for epoch in sorted(set(dropped.values())):
            draws = {n: record.draw(n) for n in sorted(sample) if dropped[n] == epoch}
            values |= evaluation.values(draws, record.epochs, "dropped trials, on to the end")
        return self._kept(record.with_(audited=values))

    def _again(self, record: Record, evaluation: Evaluation) -> Record:
        """Trains the best trials with fresh seeds."""
        final = self.search.final
        if final is None or record.final is not None:
            return record
        first = max(self.runs.seeds) + 1
        seeds = range(first, first + final.seeds)
        draws = {number: record.draw(number) for number in record.ended()[: final.best]}
        values = evaluation.values(draws, record.epochs, "the best with fresh seeds", seeds)
        again = [
            Again(trial=number, value=values[number], runs=names(evaluation, draw, seeds))
            for number, draw in draws.items()
        ]
        return self._kept(record.with_(final=again))


def names(evaluation: Evaluation, draw: dict[str, object], seeds: Sequence[int] = ()) -> list[str]:
    """The names of the folders of a trial's runs."""
    return [job.folder.name for job in evaluation.jobs(draw, seeds)]


def optuna_version(search: Search) -> str | None:
    """The version of what samples; None for the runner's own samplers."""
    if search.sampler not in ("tpe", "gp"):
        return None
    from runner.search.optuna_samplers import VERSION

    return VERSION
