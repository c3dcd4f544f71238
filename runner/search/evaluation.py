"""What trials come to: their runs trained up to a rung, and the metric there."""

from collections.abc import Callable, Sequence
from pathlib import Path

from runner.runs.folder import FINISHED, RunFolder
from runner.runs.job import Job
from runner.runs.rung import Rung
from runner.search.space import Draw
from runner.search.trials import TrialRuns

Train = Callable[[list[Job], Rung], object]


class Evaluation:
    """Trains the runs of trials, each as far as it is asked for and no epoch twice.

    Args:
        runs: Composes them.
        train: Trains jobs that have not come to a rung.

    Attributes:
        failed: The folders of runs that neither came to a rung nor ended before.
        done: The epochs that this process has trained, of all runs.
    """

    def __init__(self, runs: TrialRuns, train: Train) -> None:
        self.runs = runs
        self.train = train
        self.trained: set[str] = set()  # hashes; what resume=false has trained afresh already
        self.failed: set[Path] = set()
        self.done = 0

    def values(
        self, draws: dict[int, Draw], epoch: int, headline: str, seeds: Sequence[int] = ()
    ) -> dict[int, float | None]:
        """The metric that decides, at an epoch, of each trial; all of them are trained together.

        Args:
            draws: By the number of the trial.
            epoch: Up to which they are trained.
            headline: What the progress bars show.
            seeds: Other ones than those of the search.

        Returns:
            The mean over the seeds; None if one of the runs has not come to the epoch with a number.
        """
        jobs = {number: self.jobs(draw, seeds) for number, draw in draws.items()}
        self._train([job for found in jobs.values() for job in found], epoch, headline)
        return {number: self._mean(found, epoch) for number, found in jobs.items()}

    def jobs(self, draw: Draw, seeds: Sequence[int] = ()) -> list[Job]:
        """The runs of a trial, one for each seed."""
        return [self.runs.job(draw, seed) for seed in seeds or self.runs.seeds]

    def _train(self, jobs: Sequence[Job], epoch: int, headline: str) -> None:
        rung = Rung(epoch, self.runs.search.abort, headline)
        new = {job.config.hash: self._fresh(job) for job in jobs}
        before = sum(map(progress, new.values()))
        if new:
            self.train(list(new.values()), rung)
        self.trained |= set(new)
        self.done += sum(map(progress, new.values())) - before
        folders = [RunFolder(job.folder) for job in new.values()]
        self.failed |= {folder.path for folder in folders if not rung.reached(folder)}

    def _fresh(self, job: Job) -> Job:
        """With resume=false a run begins anew once, and then goes on from rung to rung."""
        if job.config.resume or job.config.hash not in self.trained:
            return job
        return Job(job.overrides, job.config.model_copy(update={"resume": True}), job.named)

    def _mean(self, jobs: Sequence[Job], epoch: int) -> float | None:
        by = self.runs.search.by
        values = [metric_at(RunFolder(job.folder), by, epoch) for job in jobs]
        there = [value for value in values if value is not None]
        return sum(there) / len(there) if len(there) == len(values) else None


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
