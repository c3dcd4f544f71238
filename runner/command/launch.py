"""Checked runs, handed to Hydra: its launcher trains them, its files land in their folders."""

import errno
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from runner.command import terminal
from runner.command.compose import CONF
from runner.config.schema import Config
from runner.errors import CheckpointError, LockedError, Stopped
from runner.runs.folder import FINISHED, OUTPUTS, RunFolder
from runner.runs.job import Job

# The jobs of the sweep in progress, for the sweeper plugin: Hydra makes the plugin, so that it cannot
# be given them, and loads its module twice, so that they cannot lie there.
sweep: list[Job] = []


def launch(
    jobs: list[Job],
    run: Callable[[Config, Path], RunFolder],
    multirun: bool,
    alone: bool = False,
) -> None:
    """Has Hydra call `run` for each job; in a sweep a run that fails stops no other.

    Args:
        jobs: What to train.
        run: Trains one.
        multirun: Whether this is a sweep.
        alone: One run after the other, because their seconds are compared.

    Raises:
        LockedError, CheckpointError: A single run cannot begin.
        Stopped: A run of a sweep failed, with fail_fast.
    """
    errors: list[Exception] = []

    def task(composed: DictConfig) -> None:
        number = HydraConfig.get().job.num if multirun else 0
        job = jobs[number]
        config = Config.model_validate(OmegaConf.to_container(composed, resolve=True))
        assert config.hash == job.config.hash, "Hydra composed another run than was checked"
        try:
            folder = run(config, job.folder)
        except (LockedError, CheckpointError) as error:
            errors.append(error)
            if multirun:
                terminal.tell_problems(error)
        else:
            if multirun:
                terminal.tell_finished(job, folder, number + 1, len(jobs))
        if multirun:
            stop_if_failed(job)

    sweep[:] = jobs
    logging.raiseExceptions = False  # a full disk is told once, not for every line of run.log
    # An exception is for main to tell; Hydra would print its traceback and exit.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    place = f"sweep.dir={OUTPUTS}" if multirun else f"run.dir='{jobs[0].folder}'"
    flags = ["--multirun"] if multirun else []  # a study needs no -m
    launcher = ["hydra/launcher=basic"] if alone else []
    hand_to_hydra([*flags, *sys.argv[1:], *launcher, f"hydra.{place}"], task)
    if errors and not multirun:
        raise errors[0]


def stop_if_failed(job: Job) -> None:
    """Raises Stopped after a run that did not end, if the user wants no further ones then."""
    if job.config.fail_fast and RunFolder(job.folder).status not in FINISHED:
        raise Stopped(f"{terminal.described(job)} failed: stopped, because of fail_fast=true")


def reserve(jobs: list[Job], multirun: bool) -> None:
    """Sees that the run folders can be written to.

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
            if not multirun or job.folder.exists():
                with RunFolder(job.folder).lock():
                    pass
        except LockedError:
            if not multirun:
                raise


def hand_to_hydra(arguments: list[str], task: Callable[[DictConfig], None] = lambda _: None) -> int:
    """Calls Hydra's own main function with these command-line arguments."""
    words, sys.argv[1:] = sys.argv[1:], arguments
    try:
        hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")(task)()
    finally:
        sys.argv[1:] = words  # a study calls several times
    return 0
