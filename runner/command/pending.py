"""Trains those runs of a command that are not finished yet; says how each has ended."""

import errno
import gc
import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from runner.command import terminal
from runner.command.compose import composing
from runner.command.request import Request
from runner.command.run_files import RunLogs, logging_to, write_hydra
from runner.config.schema import Config
from runner.config.varying import leaves, varying
from runner.errors import LockedError, Stopped, one_line
from runner.launch.basic import Basic
from runner.runs.folder import FINISHED, RunFolder
from runner.runs.hparams import add_varying
from runner.runs.job import Job
from runner.runs.lock import POLL_SECONDS, owner_of
from runner.runs.rung import Rung
from runner.training.progress import current, whole


def train_pending(
    jobs: Sequence[Job],
    request: Request,
    sweep: bool,
    alone: bool = False,
    all_configs: Sequence[Config] = (),
    stage: str = "",
    rung: Rung | None = None,
) -> "Pending":
    """Trains those jobs that are not finished yet, and returns them.

    Args:
        jobs: The runs.
        request: The command that they belong to.
        sweep: Whether a run that fails stops no other, and one that another process trains is waited for.
        alone: One run after the other, because their seconds are compared.
        all_configs: What is to be trained later; its mistakes are reported now.
        stage: What the runs are for, where they are a part of more.
        rung: Where the runs stop for now; then only those that fail are told of.

    Raises:
        LockedError, CheckpointError: A single run cannot begin.
        Stopped: A run of a sweep failed, with fail_fast.
    """
    unfinished = [job for job in jobs if not (job.config.resume and finished(job, rung))]
    pending = Pending(unfinished, request, sweep, alone, rung)
    checked = unfinished + [job for job in jobs if job not in unfinished and gpu_in_doubt(job)]
    if checked:
        import_torch()
        from runner.training.build import prepare

        prepare([*(job.config for job in checked), *all_configs])
    stage = rung.headline if rung else stage
    if line := current():
        line.begin(stage, len(unfinished), len(jobs) - len(unfinished))
    if unfinished:
        check_writable(unfinished)
        shown = unfinished[0].config.trainer.progress
        shares_line = line or not sweep
        with nullcontext() if shares_line else whole(len(unfinished), shown, bool(rung)) as own:
            if own:
                own.begin(stage, len(unfinished), 0)
            pending.carry_out()
        tell_tensorboard(jobs)
    return pending


def tell_tensorboard(jobs: Sequence[Job]) -> None:
    """Has TensorBoard's HParams tab show what varies among the runs, and what was asked for."""
    settings = [dict(leaves(job.config.identity())) for job in jobs]
    asked = {key if key in settings[0] else f"{key}.name" for job in jobs for key in job.settings}
    keys = [key for key in settings[0] if key in asked] + varying(settings)
    values = {key: [run[key] for run in settings if key in run] for key in keys}
    home = jobs[0].folder.parent
    name = jobs[0].config.task.criterion
    metrics = list(
        dict.fromkeys(f"{split}/{m}" for m in (name, "loss") for split in ("val", "test"))
    )
    for folder in (home, home.parent):
        with suppress(OSError):  # no run depends on it
            add_varying(folder, values, metrics)


class Pending:
    """Runs that are not finished: this process trains those that no other one is training.

    Several processes with the same command so divide its runs among them, and each ends with all results.

    Args:
        jobs: The runs.
        request, sweep, alone, rung: As for `train_pending`.

    Attributes:
        refused: Why a run could not begin, by its folder.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        request: Request,
        sweep: bool,
        alone: bool,
        rung: Rung | None = None,
    ) -> None:
        self.jobs = jobs
        self.request = request
        self.sweep = sweep
        self.rung = rung
        self.launcher = request.settings.launcher if sweep and not alone else Basic()
        self.refused: dict[Path, str] = {}
        self.awaited: set[Path] = set()  # runs that another process was training
        self.told: set[Path] = set()  # those of them that the user knows of
        self.ended = 0

    def carry_out(self) -> None:
        """Trains what is free; waits for the rest, and trains what another process leaves unfinished."""
        left = list(self.jobs)
        while left:
            owners = [owner_of(job.folder) if self.sweep else None for job in left]
            held = [job for job, owner in zip(left, owners, strict=True) if owner]
            self._tell_awaited(held, [owner for owner in owners if owner])
            free = [job for job in left if job not in held]
            theirs = [
                job for job in free if job.folder in self.awaited and finished(job, self.rung)
            ]
            for job in theirs:
                self._tell_end(job)
            mine = [job for job in free if job not in theirs]
            left = held + (self._train(mine) if mine else [])
            if not free:
                time.sleep(POLL_SECONDS)

    def _tell_awaited(self, jobs: Sequence[Job], owners: Sequence[str]) -> None:
        """Says once of each run that it is waited for, and who trains it."""
        new: dict[str, list[Job]] = {}
        for job, owner in zip(jobs, owners, strict=True):
            if job.folder not in self.told:
                new.setdefault(owner, []).append(job)
        for owner, members in new.items():
            terminal.tell_awaited(members, owner)
        self.told |= {job.folder for job in jobs}
        self.awaited |= self.told

    def _train(self, jobs: Sequence[Job]) -> list[Job]:
        """Has the launcher train runs, tells the end of each as it comes; those that were locked."""
        logs = RunLogs([job.folder for job in jobs])
        mode = "MULTIRUN" if self.sweep else "RUN"
        faults: list[Exception] = []  # of telling and recording; they stop no run
        locked: list[Job] = []

        def ended(number: int, how: str) -> None:
            job = jobs[number]
            try:
                logs.ended(job.folder, how)
                self._tell_end(job)
                if not (self.rung and (job.folder / ".hydra").exists()):  # not at every rung anew
                    write_hydra(job, composer, mode)
            except Exception as error:
                faults.append(error)
            if self.sweep:
                stop_if_failed(job)

        def refused(number: int, error: Exception) -> None:
            if not self.sweep:
                raise error
            if isinstance(error, LockedError):
                self.awaited.add(jobs[number].folder)
                locked.append(jobs[number])
                return
            self.refused[jobs[number].folder] = one_line(error)
            terminal.tell_problems(error)
            stop_if_failed(jobs[number])

        runs = [(job.config, job.folder) for job in jobs]
        verbose = self.request.settings.verbose
        with composing(self.request.folders) as composer, logging_to(logs, verbose):
            try:
                if self.rung:
                    self.launcher.train(runs, lambda how: None, ended, refused, self.rung)
                else:
                    self.launcher.train(runs, terminal.tell, ended, refused)
            except BaseException:
                for job in jobs:
                    if RunFolder(job.folder).status == "interrupted":
                        write_hydra(job, composer, mode)
                raise
        if faults:
            raise faults[0]
        return locked

    def _tell_end(self, job: Job) -> None:
        self.ended += 1
        if line := current():
            line.run_ended()
        if self.rung and self.rung.reached(RunFolder(job.folder)):
            return
        if self.sweep:
            terminal.tell_finished(job, RunFolder(job.folder), self.ended, len(self.jobs))


def stop_if_failed(job: Job) -> None:
    """Raises Stopped after a run that failed, if fail_fast=true."""
    if job.config.fail_fast and RunFolder(job.folder).status not in (*FINISHED, "pruned"):
        raise Stopped(f"{terminal.described(job)} failed: stopped, because of fail_fast=true")


def check_writable(jobs: Sequence[Job]) -> None:
    """Makes sure that the run folders can be written to.

    Raises:
        DataError: The lock of one is not a regular file, or a folder is a link.
        OSError: A folder cannot be made or written to.
    """
    for job in jobs:
        above = job.folder.parent
        above.mkdir(parents=True, exist_ok=True)
        if not os.access(above, os.W_OK):
            raise PermissionError(errno.EACCES, "cannot be written to", str(above))
        RunFolder(job.folder).check_folders()
        owner_of(job.folder)


def import_torch() -> None:
    """Imports what trains. It takes seconds, a quarter of them garbage collection, which finds nothing."""
    if "runner.training.train" not in sys.modules:
        gc.disable()
        import runner.training.train  # noqa: F401

        gc.freeze()  # nor is any of it worth looking at later
        gc.enable()


def gpu_in_doubt(job: Job) -> bool:
    """Whether a finished run that is asked for on a GPU was trained on the CPU: there may be no GPU."""
    if job.config.trainer.accelerator != "gpu":
        return False
    return (RunFolder(job.folder).result or {}).get("device") == "cpu"


def finished(job: Job, rung: Rung | None = None) -> bool:
    folder = RunFolder(job.folder)
    return rung.reached(folder) if rung else folder.status in FINISHED
