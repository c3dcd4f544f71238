"""Trains those runs of a command that are not finished yet; says how each has ended."""

import errno
import gc
import os
import sys
from collections.abc import Sequence

from runner.command import terminal
from runner.command.compose import composing
from runner.command.request import Request
from runner.command.run_files import RunLogs, logging_to, write_hydra
from runner.config.schema import Config
from runner.errors import LockedError, Stopped
from runner.launch.basic import Basic
from runner.runs.folder import FINISHED, RunFolder
from runner.runs.job import Job


def train_pending(
    jobs: Sequence[Job],
    request: Request,
    sweep: bool,
    alone: bool = False,
    all_configs: Sequence[Config] = (),
) -> int:
    """Trains those jobs that are not finished yet and returns how many there were.

    Args:
        jobs: The runs.
        request: The command that they belong to.
        sweep: Whether a run that fails stops no other.
        alone: One run after the other, because their seconds are compared.
        all_configs: What is to be trained later; its mistakes are reported now.

    Raises:
        LockedError, CheckpointError: A single run cannot begin.
        Stopped: A run of a sweep failed, with fail_fast.
    """
    pending = [job for job in jobs if not (job.config.resume and finished(job))]
    if pending:
        import_torch()
        from runner.training.build import prepare

        prepare([*(job.config for job in pending), *all_configs])
        reserve(pending, sweep)
        train(pending, request, sweep, alone)
    return len(pending)


def train(jobs: Sequence[Job], request: Request, sweep: bool, alone: bool) -> None:
    """Has the launcher train the jobs and reports each as it ends."""
    launcher = request.settings.launcher if sweep and not alone else Basic()
    logs = RunLogs([job.folder for job in jobs])
    mode = "MULTIRUN" if sweep else "RUN"
    faults: list[Exception] = []  # while reporting and recording; they stop no run

    def ended(number: int, how: str) -> None:
        job = jobs[number]
        try:
            logs.ended(job.folder, how)
            if sweep:
                place = len(jobs) - len(logs.open)
                terminal.tell_finished(job, RunFolder(job.folder), place, len(jobs))
            write_hydra(job, composer, mode)
        except Exception as error:
            faults.append(error)
        if sweep:
            stop_if_failed(job)

    def refused(number: int, error: Exception) -> None:
        if not sweep:
            raise error
        terminal.tell_problems(error)
        stop_if_failed(jobs[number])

    runs = [(job.config, job.folder) for job in jobs]
    with composing(request.folders) as composer, logging_to(logs, request.settings.verbose):
        try:
            launcher.train(runs, terminal.tell, ended, refused)
        except BaseException:
            for job in jobs:
                if RunFolder(job.folder).status == "interrupted":
                    write_hydra(job, composer, mode)
            raise
    if faults:
        raise faults[0]


def stop_if_failed(job: Job) -> None:
    """Raises Stopped after a run that failed, if fail_fast=true."""
    if job.config.fail_fast and RunFolder(job.folder).status not in FINISHED:
        raise Stopped(f"{terminal.described(job)} failed: stopped, because of fail_fast=true")


def reserve(jobs: Sequence[Job], sweep: bool) -> None:
    """Makes sure that the run folders can be written to.

    Raises:
        LockedError: Another process is training a single run; a sweep leaves such a run out.
        OSError: A folder cannot be made or written to.
    """
    for job in jobs:
        above = job.folder.parent
        above.mkdir(parents=True, exist_ok=True)
        if not os.access(above, os.W_OK):
            raise PermissionError(errno.EACCES, "cannot be written to", str(above))
        try:
            if not sweep or job.folder.exists():
                with RunFolder(job.folder).lock():
                    pass
        except LockedError:
            if not sweep:
                raise


def import_torch() -> None:
    """Imports what trains. It takes seconds, a quarter of them garbage collection, which finds nothing."""
    if "runner.training.train" not in sys.modules:
        gc.disable()
        import runner.training.train  # noqa: F401

        gc.freeze()  # nor is any of it worth looking at later
        gc.enable()


def finished(job: Job) -> bool:
    return RunFolder(job.folder).status in FINISHED
