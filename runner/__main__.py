"""python -m runner: read the command line, check every run, train, tell.

Exit codes: 0 complete; 1 a single run failed or diverged; 2 bad configuration, data or lock, found
before any training; 3 a sweep finished and some of its runs failed; 130 SIGINT; 143 SIGTERM.
"""

import gc
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from runner.command import terminal
from runner.command.compose import Request, read_command_line
from runner.command.launch import hand_to_hydra, launch, reserve
from runner.command.overrides import expanded
from runner.config.schema import Config
from runner.errors import MISTAKES, ConfigError, Stopped
from runner.interrupts import Interrupted, ignore_signals, raise_on_signals
from runner.runs.folder import FINISHED, RunFolder
from runner.runs.job import Job

FAILED = 1
BAD_REQUEST = 2
SOME_FAILED = 3


def main() -> int:
    raise_on_signals()
    threading.excepthook = terminal.tell_failed_thread
    try:
        sys.argv[1:] = [word for argument in sys.argv[1:] for word in expanded(argument)]
        parser = get_args_parser()
        parser.error = refuse  # type: ignore[method-assign]
        flags = parser.parse_args()
        plain_help = flags.help and not (flags.overrides or flags.config_dir)
        if plain_help or flags.hydra_help or flags.shell_completion:
            return hand_to_hydra(sys.argv[1:])
        request = read_command_line(flags)
        if flags.cfg or flags.help or flags.info:
            return hand_to_hydra(sys.argv[1:])
        return train_all(request)
    except MISTAKES as error:
        terminal.tell_problems(error)
        return BAD_REQUEST
    except OSError as error:  # a folder that cannot be written to, a full disk
        terminal.tell_problems(error)
        return FAILED
    except Stopped as stopped:
        terminal.tell_problems(stopped)
        return SOME_FAILED
    except Interrupted as interrupted:
        ignore_signals()
        terminal.tell_interrupted(interrupted)
        return interrupted.exit_code


def refuse(message: str) -> NoReturn:
    """What argparse has to say against the options, without its list of usage."""
    known = "--help --cfg --resolve --package --multirun (-m) --config-dir --info --hydra-help"
    raise ConfigError([f"{message}. Options: {known}; first options, then key=value"])


def train_all(request: Request) -> int:
    """Trains the runs that are not finished yet, tells the results, and returns the exit code."""
    if request.jobs[0].config.study:
        return carry_out(request)
    try:
        pending = train_pending(request.jobs, request.multirun)
    except Stopped:
        terminal.tell_sweep(request.jobs, already=0)
        raise
    folders = [RunFolder(job.folder) for job in request.jobs]
    if request.multirun:
        terminal.tell_sweep(request.jobs, already=len(request.jobs) - pending)
        failed = any(folder.status not in FINISHED for folder in folders)
        return SOME_FAILED if failed else 0
    terminal.tell_run(folders[0], already=not pending)
    return 0 if folders[0].status == "complete" else 1


def carry_out(request: Request) -> int:
    """Trains a study's runs stage by stage and reports what they say about its claims."""
    from runner.studies.campaign import Campaign

    campaign = Campaign(request)
    alone = campaign.study.measures_time
    evidence = campaign.carry_out(
        lambda jobs: train_pending(jobs, multirun=True, alone=alone, all_configs=campaign.configs)
    )

    from runner import report  # imports SciPy and matplotlib

    report.tell_verdicts(evidence)
    return SOME_FAILED if evidence.failed else 0


def train_pending(
    jobs: list[Job], multirun: bool, alone: bool = False, all_configs: Sequence[Config] = ()
) -> int:
    """Trains those jobs that are not finished yet and returns how many there were.

    Args:
        jobs: The runs.
        multirun: Whether they are a sweep.
        alone: One run after the other, because their seconds are compared.
        all_configs: What is to be trained later; its mistakes are told now.
    """
    pending = [job for job in jobs if not (finished(job) and job.config.resume)]
    if pending:
        import_torch()
        from runner.training import build as train

        train.prepare([*(job.config for job in pending), *all_configs])
        reserve(pending, multirun)
        launch(pending, train.run, multirun, alone)
    return len(pending)


def import_torch() -> None:
    """Imports what trains. It takes seconds, a quarter of them to look for garbage that there is not."""
    if "runner.training.build" not in sys.modules:
        gc.disable()
        import runner.training.build  # noqa: F401

        gc.freeze()  # nor is any of it worth looking at later
        gc.enable()


def finished(job: Job) -> bool:
    return RunFolder(job.folder).status in FINISHED


if __name__ == "__main__":
    sys.exit(main())
