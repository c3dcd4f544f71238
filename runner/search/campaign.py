"""A search from its declaration to its best trial: draw, train to the next rung, drop the worse, go on.

After every decision search.json is written, and a run's folder keeps the rest, so that a search that was
killed goes on where it was. A rung is decided only when all of its trials have come to it: which of them was
trained first, and where, does not matter.
"""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from pathlib import Path
from random import Random

from runner.command.request import Request
from runner.command.terminal import out
from runner.config.schema import Config
from runner.config.search import Search
from runner.errors import ConfigError, DataError
from runner.runs.folder import FINISHED, OUTPUTS, RunFolder
from runner.runs.job import Job
from runner.runs.rung import Rung
from runner.search.brackets import Bracket, brackets_of, run_epochs
from runner.search.record import RECORD, Again, Decision, Record, Trial, ranked
from runner.search.samplers import decades, sampler_of
from runner.search.space import Draw, finest_grid
from runner.search.task import Task
from runner.search.trials import TrialRuns

Train = Callable[[list[Job], Rung], object]


class Campaign:
    """The trials of one search.

    Args:
        request: A command line that selects an experiment with a search.

    Raises:
        ConfigError: The space, or the number of trials, cannot be searched.
    """

    def __init__(self, request: Request) -> None:
        config = request.jobs[0].config
        assert config.search
        if request.multirun:
            raise ConfigError(["a search is a sweep by itself: leave out -m, one search at a time"])
        self.config: Config = config
        self.search: Search = config.search
        self.folder = OUTPUTS / config.name
        self.runs = TrialRuns(request, self.search)
        self.runs.check()
        self.sampler = sampler_of(self.search)
        self.brackets = list(self._brackets())
        folders = [word for folder in request.folders for word in ("--config-dir", str(folder))]
        self.command = f"python -m runner {shlex.join([*folders, *request.words])}"
        self.trained: set[str] = set()  # hashes; what resume=false has trained afresh already
        self.failed: set[Path] = set()
        self.headline = ""  # where the search stands, beside the progress bars
        self.finished_before = False  # by an earlier command
        self.begun = time.monotonic()
        self.done = 0.0  # run-epochs that this process has trained

    @property
    def configs(self) -> list[Config]:
        """One run of the experiment, as it is before anything is drawn."""
        return [self.runs.plain.config]

    def _brackets(self) -> Iterator[Bracket]:
        search, epochs = self.search, self.config.epochs
        trials = search.trials
        if search.sampler == "grid":
            trials = len(finest_grid(search, self.runs.given))
        if search.sampler == "lecture":
            yield Bracket(len(decades(search)), (epochs,))
            trials -= len(decades(search))
        yield from brackets_of(search, epochs, trials)

    def carry_out(self, train: Train) -> Record:
        """Trains what is not trained yet, rung by rung, and keeps the record of it.

        Args:
            train: Trains jobs that have not come to a rung.
        """
        record = self._begun()
        self.finished_before = record.complete
        for number, bracket in enumerate(self.brackets):
            record = self._drawn(record, number, bracket)
            alive = record.members(number)
            for epoch in bracket.rungs:
                if alive:
                    record = self._decided(record, train, number, epoch, alive)
                    decision = record.decision(number, epoch)
                    alive = decision.kept if decision else []
        record = self._audited(record, train)
        record = self._again(record, train)
        record = record.with_(best=best_of(record), complete=True)
        record.write(self.folder)
        return record

    def _begun(self) -> Record:
        """The record of this very search where it was begun, else a new one."""
        new = Record(
            command=self.command,
            search=self.search,
            seed=self.config.seed,
            epochs=self.config.epochs,
            experiment=self.runs.plain.config.digest,
            given=self.runs.given,
            optuna=optuna_version(self.search),
        )
        if not (self.config.resume and (self.folder / RECORD).exists()):
            return new
        try:
            old = Record.read(self.folder)
        except DataError as error:
            raise DataError(f"{error}; resume=false searches afresh") from None
        same = ("search", "seed", "epochs", "experiment", "given", "optuna")
        if any(getattr(old, key) != getattr(new, key) for key in same):
            return new
        return without_failures(old, self.folder).with_(command=self.command)

    def _drawn(self, record: Record, number: int, bracket: Bracket) -> Record:
        if record.members(number):
            return record
        tried = [record.tried(n) for n in range(len(record.trials))]
        task = Task(self.search, self.runs.given, record.seed, number, bracket.trials, tried)
        trials = [
            Trial(
                bracket=number,
                draw=draw,
                runs=[job.folder.name for job in self._jobs(draw, self._seeds)],
            )
            for draw in self.sampler(task)
        ]
        record = record.with_(trials=[*record.trials, *trials])
        record.write(self.folder)
        return record

    @property
    def _seeds(self) -> range:
        return range(self.config.seed, self.config.seed + self.search.seeds)

    def _jobs(self, draw: Draw, seeds: Sequence[int]) -> list[Job]:
        return [self.runs.job(draw, seed) for seed in seeds]

    def _decided(
        self, record: Record, train: Train, bracket: int, epoch: int, alive: Sequence[int]
    ) -> Record:
        """Trains the trials of a rung up to it, and decides which go on."""
        if record.decision(bracket, epoch):
            return record
        before = max((rung for rung in self.brackets[bracket].rungs if rung < epoch), default=0)
        self.headline = ", ".join(
            [
                f"bracket {bracket + 1}/{len(self.brackets)} to epoch {epoch}: {counted(len(alive))}",
                *(f"best {value:.4g}" for value, *_ in self._best_so_far(record)),
                *self._time_left(bracket, before, len(alive)),
            ]
        )
        values = self._values(record, train, alive, epoch)
        best = ranked(values, self.search.higher_is_better)
        at_end = epoch == self.config.epochs
        kept = [] if at_end else best[: len(alive) // self.search.eta]
        decision = Decision(bracket=bracket, epoch=epoch, values=values, kept=kept)
        record = record.with_(decisions=[*record.decisions, decision])
        record.write(self.folder)
        self._tell(record, decision)
        return record

    def _values(
        self, record: Record, train: Train, trials: Sequence[int], epoch: int
    ) -> dict[int, float | None]:
        """The metric of each trial at an epoch, to which it is trained."""
        jobs = {number: self._jobs(record.draw(number), self._seeds) for number in trials}
        self._train(train, [job for found in jobs.values() for job in found], epoch)
        return {number: self._mean(found, epoch) for number, found in jobs.items()}

    def _train(self, train: Train, jobs: Sequence[Job], epoch: int) -> None:
        rung = Rung(epoch, self.search.abort, self.headline)
        new = {job.config.hash: self._fresh(job) for job in jobs}
        before = sum(progress(job) for job in new.values())
        train(list(new.values()), rung)
        self.trained |= set(new)
        self.done += sum(progress(job) for job in new.values()) - before
        folders = [RunFolder(job.folder) for job in new.values()]
        self.failed |= {folder.path for folder in folders if not rung.reached(folder)}

    def _fresh(self, job: Job) -> Job:
        """With resume=false a run begins anew once, and then goes on from rung to rung."""
        if self.config.resume or job.config.hash not in self.trained:
            return job
        return Job(job.overrides, job.config.model_copy(update={"resume": True}), job.named)

    def _mean(self, jobs: Sequence[Job], epoch: int) -> float | None:
        """Over the seeds; None if one of the runs has not come to the epoch with a number."""
        values = [metric_at(RunFolder(job.folder), self.search.by, epoch) for job in jobs]
        there = [value for value in values if value is not None]
        return sum(there) / len(there) if len(there) == len(values) else None

    def _audited(self, record: Record, train: Train) -> Record:
        """Trains a sample of the dropped trials on to the end."""
        if record.audited is not None:
            return record
        self.headline = "dropped trials, on to the end"
        dropped = dropped_by_rungs(record)
        sample = Random(record.seed).sample(sorted(dropped), ceil(self.search.audit * len(dropped)))
        values: dict[int, float | None] = {}
        # Those of one epoch at a time: a stack that is killed goes on from an epoch that all its runs have.
        for epoch in sorted(set(dropped.values())):
            if trials := sorted(number for number in sample if dropped[number] == epoch):
                values |= self._values(record, train, trials, record.epochs)
        record = record.with_(audited=values)
        record.write(self.folder)
        return record

    def _again(self, record: Record, train: Train) -> Record:
        """Trains the best trials with fresh seeds."""
        final = self.search.final
        if final is None or record.final is not None:
            return record
        self.headline = "the best with fresh seeds"
        first = self._seeds.stop
        chosen = record.ended()[: final.best]
        jobs = {n: self._jobs(record.draw(n), range(first, first + final.seeds)) for n in chosen}
        if jobs:
            self._train(train, [job for found in jobs.values() for job in found], record.epochs)
        again = [
            Again(
                trial=number,
                value=self._mean(found, record.epochs),
                runs=[job.folder.name for job in found],
            )
            for number, found in jobs.items()
        ]
        record = record.with_(final=again)
        record.write(self.folder)
        return record

    # What is told

    def _tell(self, record: Record, decision: Decision) -> None:
        """A line on a rung that was decided."""
        count, number = len(self.brackets), decision.bracket + 1
        trials, kept = len(decision.values), len(decision.kept)
        at_end = decision.epoch == record.epochs
        went = "to the end" if at_end else f"{kept} go on"
        lost = sum(value is None for value in decision.values.values())
        went += f", {lost} without a value" if lost else ""
        said = [
            f"best so far {self.search.by} {value:.4g} (trial {trial}, epoch {epoch})"
            for value, trial, epoch in self._best_so_far(record)
        ]
        left = self._time_left(decision.bracket, decision.epoch, kept)
        where = f"bracket {number}/{count}, epoch {decision.epoch}/{record.epochs}"
        told = [f"{counted(trials)}, {went}", *(said or ["none is left"]), *left]
        out.print(f"{where}: {'; '.join(told)}")

    def _best_so_far(self, record: Record) -> list[tuple[float, int, int]]:
        """The best value that was seen at any rung, its trial and epoch; [] if there was none."""
        sign = -1 if self.search.higher_is_better else 1
        seen = [
            (sign * value, decision.epoch, number)
            for decision in record.decisions
            for number, value in decision.values.items()
            if value is not None
        ]
        return [(sign * value, trial, epoch) for value, epoch, trial in sorted(seen)[:1]]

    def _time_left(self, bracket: int, epoch: int, alive: int) -> list[str]:
        """How long the rest will take, at the speed so far; [] where nothing is left or known.

        Args:
            bracket: The one that is being trained.
            epoch: Where its trials stand.
            alive: How many of them go on from there.
        """
        eta, seeds = self.search.eta, self.search.seeds
        left = float(sum(run_epochs(b, eta) for b in self.brackets[bracket + 1 :]))
        for rung in (rung for rung in self.brackets[bracket].rungs if rung > epoch):
            left += alive * (rung - epoch)
            alive, epoch = alive // eta, rung
        if final := self.search.final:
            left += final.best * final.seeds * self.config.epochs / seeds
        if not (left and self.done):
            return []
        seconds = (time.monotonic() - self.begun) / self.done * left * seeds
        return [f"about {spoken(seconds)} left"]


def without_failures(record: Record, folder: Path) -> Record:
    """The record up to the first decision that had to do without a run that failed: it is tried again."""
    for number, decision in enumerate(record.decisions):
        runs = [
            run for n, v in decision.values.items() if v is None for run in record.trials[n].runs
        ]
        if any(RunFolder(folder / run).status not in (*FINISHED, "pruned") for run in runs):
            kept = [trial for trial in record.trials if trial.bracket <= decision.bracket]
            return record.with_(
                trials=kept, decisions=record.decisions[:number],
                audited=None, final=None, best=None, complete=False,
            )  # fmt: skip
    return record


def best_of(record: Record) -> int | None:
    """The best trial: by fresh seeds where there are some, else of those that came to the end."""
    if record.final:
        values = {again.trial: again.value for again in record.final}
        return next(iter(ranked(values, record.search.higher_is_better)), None)
    return next(iter(record.ended()), None)


def dropped_by_rungs(record: Record) -> dict[int, int]:
    """The trials that had a value and were not kept, each with the epoch of the rung."""
    return {
        number: decision.epoch
        for decision in record.decisions
        if decision.epoch < record.epochs
        for number, value in decision.values.items()
        if value is not None and number not in decision.kept
    }


def metric_at(folder: RunFolder, metric: str, epoch: int) -> float | None:
    """A run's metric after an epoch; None where it ended before or there, or the number is not finite."""
    if folder.status == "pruned" and folder.reason and folder.epoch <= epoch:
        return None
    lines = folder.metrics()
    value = lines[epoch].get(metric) if len(lines) > epoch else None
    return None if value is None else float(value)


def progress(job: Job) -> int:
    """The finished epochs of a run."""
    folder = RunFolder(job.folder)
    if folder.status in FINISHED:
        return len(folder.metrics()) - 1
    return folder.epoch


def optuna_version(search: Search) -> str | None:
    """The version of what samples; None for the runner's own samplers."""
    if search.sampler not in ("tpe", "gp"):
        return None
    from runner.search.optuna_samplers import VERSION

    return VERSION


def counted(trials: int) -> str:
    return "1 trial" if trials == 1 else f"{trials} trials"


def spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
