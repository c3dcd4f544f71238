"""A finished study once more with fresh seeds: the same arms, values and claims, and a verdict of its own.

    python -m runner.replicate outputs/dropout_vs_none --seeds 20

No seed that tuned or judged is used again, and nothing is tuned again, so that the second verdict owes nothing
to the first. The number of seeds is chosen once. Stopped and started again, it goes on where it was.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.command.flags import folders_of
from runner.command.pending import train_pending
from runner.command.streams import lasting_streams
from runner.command.terminal import tell_interrupted, tell_problems
from runner.errors import MISTAKES, Stopped
from runner.interrupts import Interrupted, ignore_signals, raise_on_signals
from runner.report import tell_verdicts
from runner.studies.evidence import Evidence
from runner.studies.replication import Replication


@lasting_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: those of python -m runner for a study."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.replicate",
        description="Carries a finished study out again with fresh seeds.",
    )
    parser.add_argument("folder", type=Path, help="outputs/<name> of a study")
    told = "where and how to train, e.g. trainer=cpu; not what"
    parser.add_argument("words", nargs="*", metavar="key=value", help=told)
    parser.add_argument("--seeds", type=int, required=True, help="how many fresh seeds")
    told = "a folder of your own YAML files; again for another"
    parser.add_argument("--config-dir", "-cd", action="append", default=[], help=told)
    options = parser.parse_intermixed_args(arguments)
    try:
        folders = folders_of(options.config_dir)
        replication = Replication(options.folder, options.seeds, options.words, folders)
        raise_on_signals()
        replication.write()
        jobs, alone = list(replication.jobs.values()), replication.study.measures_time
        train_pending(jobs, replication.request, True, alone)
        tell_verdicts(replication.first)
        again = Evidence(options.folder, replication.record)
        return 3 if again.failed else 0
    except MISTAKES as error:
        tell_problems(error)
        return 2
    except OSError as error:  # a folder that cannot be written to, a full disk
        tell_problems(error)
        return 1
    except Stopped as stopped:
        tell_problems(stopped)
        return 3
    except Interrupted as interrupted:
        ignore_signals()
        tell_interrupted(interrupted)
        return interrupted.exit_code


if __name__ == "__main__":
    sys.exit(main())
