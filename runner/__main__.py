"""python -m runner: read the command line, check every run, train, tell.

Exit codes: 0 complete; 1 a single run failed or diverged; 2 bad configuration, data or lock, found
before any training; 3 a sweep or study finished and some of its runs failed; 129 SIGHUP; 130 SIGINT;
143 SIGTERM.
"""

import sys
import threading
from collections.abc import Sequence

from runner.command import terminal
from runner.command.compose import composing
from runner.command.flags import Parser, folders_of
from runner.command.help import group_help, help_text
from runner.command.hydra_internals import show
from runner.command.overrides import is_bare
from runner.command.pending import train_pending
from runner.command.plugins import plugins
from runner.command.request import Request, read_request
from runner.command.streams import lasting_streams
from runner.command.sweep_files import keep_command
from runner.errors import MISTAKES, ConfigError, Stopped
from runner.interrupts import Interrupted, ignore_signals, raise_on_signals
from runner.runs.folder import FINISHED, RunFolder
from runner.training.progress import whole

FAILED = 1
BAD_REQUEST = 2
SOME_FAILED = 3


@lasting_streams()
def main(argv: Sequence[str] | None = None) -> int:
    """Does what a command line asks for and returns the exit code.

    Args:
        argv: Options and overrides; None takes those of this process.
    """
    raise_on_signals()
    threading.excepthook = terminal.tell_failed_thread
    try:
        return obey(sys.argv[1:] if argv is None else argv)
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


def obey(argv: Sequence[str]) -> int:
    parser = Parser()
    flags = parser.parse_intermixed_args(argv)
    folders = folders_of(flags.config_dir)
    with plugins(flags.plugin), composing(folders) as composer:
        if flags.hydra_help or flags.shell_completion:
            if flags.hydra_help and flags.overrides:
                raise ConfigError(["--hydra-help stands alone; --help takes key=value"])
            show(flags, parser, flags.overrides)
            return 0
        if flags.help and flags.overrides and all(map(is_bare, flags.overrides)):
            print(group_help(composer, flags.overrides), end="")
            return 0
        request = read_request(flags.overrides, folders, flags.multirun)
        first = request.jobs[0]
        if flags.help:
            print(help_text(composer, first.overrides, first.config), end="")
            return 0
        if flags.cfg or flags.info:
            if flags.cfg == "job" and len(request.jobs) > 1:
                terminal.tell(f"# the first of {len(request.jobs)} runs")
            show(flags, parser, list(first.overrides))
            return 0
        if flags.resolve or flags.package:
            raise ConfigError(["--resolve and --package belong to --cfg"])
        return train_and_tell(request)


def train_and_tell(request: Request) -> int:
    """Trains the runs that are not finished yet, tells the results, and returns the exit code."""
    if request.jobs[0].config.study:
        return carry_out(request)
    if request.jobs[0].config.search:
        return search(request)
    folders = [RunFolder(job.folder) for job in request.jobs]  # checked where they exist
    if len(request.jobs) > 1:
        terminal.tell(terminal.plan_of(request.jobs))
    try:
        pending = train_pending(request.jobs, request, sweep=request.multirun)
    except Stopped:
        terminal.tell_sweep(request.jobs, already=0)
        raise
    if request.multirun:
        keep_command(folders[0].path.parent, request.command)
        already = len(request.jobs) - len(pending.jobs)
        terminal.tell_sweep(request.jobs, already, pending.refused)
        failed = any(folder.status not in FINISHED for folder in folders)
        return SOME_FAILED if failed else 0
    terminal.tell_run(folders[0], request.jobs[0].config.task, already=not pending.jobs)
    return 0 if folders[0].status == "complete" else FAILED


def carry_out(request: Request) -> int:
    """Trains a study's runs stage by stage and reports what they say about its claims."""
    from runner.studies.campaign import Campaign

    campaign = Campaign(request)
    terminal.tell(campaign.plan)
    with whole(campaign.planned, request.jobs[0].config.trainer.progress):
        evidence = campaign.carry_out(
            lambda jobs, rung: train_pending(
                jobs,
                request,
                True,
                campaign.study.measures_time,
                campaign.configs,
                campaign.stage,
                rung,
            )
        )

    from runner import report  # imports SciPy and matplotlib

    report.tell_verdicts(evidence)
    return SOME_FAILED if evidence.failed else 0


def search(request: Request) -> int:
    """Trains a search's trials rung by rung and reports which are best."""
    from runner.search.campaign import Campaign
    from runner.search.trials import runs_of

    campaign = Campaign(runs_of(request))
    campaign.carry_out(
        lambda jobs, rung: train_pending(
            jobs, request, True, all_configs=campaign.configs, rung=rung
        )
    )

    from runner.search.__main__ import tell_search  # imports matplotlib

    found = tell_search(campaign.folder)
    if campaign.finished_before:
        terminal.out.print("Finished before, nothing to train (resume=false searches afresh).")
    return SOME_FAILED if campaign.failed or not found else 0


if __name__ == "__main__":
    sys.exit(main())
