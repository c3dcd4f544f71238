"""The result of a search: its best trials on the screen, and a report beside its runs.

python -m runner.search outputs/find_lr
python -m runner.search --to-optuna find_lr.db outputs/find_lr      # for optuna-dashboard
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.command.streams import lasting_streams
from runner.command.terminal import out, tell_problems
from runner.errors import MISTAKES
from runner.search.record import Record


@lasting_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0; 2 no search in the folder, or a damaged one; 3 it has no best trial."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.search", description="Shows what a search has found."
    )
    parser.add_argument("folder", type=Path, help="outputs/<name> of a search")
    told = "write its trials into a new file that optuna-dashboard reads, and no report"
    parser.add_argument("--to-optuna", type=Path, metavar="FILE.db", help=told)
    options = parser.parse_args(arguments)
    try:
        if options.to_optuna:
            from runner.search.export import export_to_optuna

            out.print(
                export_to_optuna(Record.read(options.folder), options.folder, options.to_optuna)
            )
            return 0
        return 0 if tell_search(options.folder) else 3
    except (*MISTAKES, OSError) as error:
        tell_problems(error)
        return 2


def tell_search(folder: Path) -> bool:
    """Prints the best trials and writes the report; whether there is a best one."""
    record = Record.read(folder)
    out.print(str(record.best))
    return record.best is not None


if __name__ == "__main__":
    sys.exit(main())
