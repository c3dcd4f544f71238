"""The result of a search: its best trials on the screen, and a report beside its runs.

python -m runner.search outputs/find_lr
python -m runner.search --to-optuna find_lr.db outputs/find_lr      # for optuna-dashboard
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from runner.command.streams import lasting_streams
from runner.command.terminal import err, out, tell_problems
from runner.errors import MISTAKES
from runner.reporting.search_page import best_lines, in_words, write_search_report
from runner.runs.lock import locked
from runner.search.findings import cautions
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
    for line in in_words(record, folder):
        out.print(line)
    for caution in cautions(record, folder):
        loud = "at the" in caution and "end of its range" in caution
        out.print(Text(f"Note: {caution}", style="bold yellow" if loud else ""))
    with locked(folder, timeout=-1):  # another process may carry out the same search
        report = write_search_report(record, folder)
    if best := best_lines(record, folder):
        out.print(f"Best:    {best.splitlines()[-1]}")
    elif record.complete:
        err.print("No trial has come to its end with a number: there is no best one.")
    out.print(f"Report:  {report}")
    out.print(f"Curves:  tensorboard --logdir {folder}")
    return record.best is not None or not record.complete


if __name__ == "__main__":
    sys.exit(main())
