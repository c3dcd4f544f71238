"""The report of a study, of a sweep or of one run: on the screen, and report.md and report.html with figures.

python -m runner.report outputs/dropout_vs_none
python -m runner.report outputs/grid
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from runner.command.streams import lasting_streams
from runner.command.sweep_files import commands_of
from runner.command.terminal import out, tell_problems
from runner.errors import MISTAKES
from runner.reporting.content import cautions, runs_that_did_not_complete, write_report
from runner.reporting.sweep import Sweep
from runner.reporting.sweep_content import cautions as cautions_of_sweep
from runner.reporting.sweep_content import findings, write_sweep_report
from runner.runs.lock import locked
from runner.search.__main__ import tell_search
from runner.search.record import RECORD as SEARCH
from runner.studies.evidence import Evidence
from runner.studies.record import RECORD, REPLICATION
from runner.studies.replication import read_replication
from runner.studies.verdicts import Verdict, judge, numbers_behind

COLORS = {"confirmed": "green", "refuted": "red", "undecided": "yellow"}


@lasting_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0; 2 nothing to report on, or damaged; 3 the report does without some runs."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.report",
        description="Judges a study's claims again, or compares the runs of a sweep, and writes the report.",
    )
    parser.add_argument(
        "folder",
        type=Path,
        help="outputs/<name> of a sweep, study or search, one run's folder, or the file of a study's record",
    )
    folder = parser.parse_args(arguments).folder
    try:
        if (folder / SEARCH).is_file():
            return 0 if tell_search(folder) else 3
        if not (folder / RECORD).is_file() and folder.suffix != ".json":
            return tell_sweep(Sweep.read(folder))
        record = folder if folder.suffix == ".json" else folder / RECORD
        evidence = Evidence.read(record.parent, record.name)
        tell_verdicts(evidence)
    except (*MISTAKES, OSError) as error:
        tell_problems(error)
        return 2
    return 3 if evidence.failed else 0


def tell_sweep(sweep: Sweep) -> int:
    """Prints which combination of a sweep is best, writes the report, and returns the exit code."""
    for sentence in findings(sweep):
        out.print(sentence)
    for caution in cautions_of_sweep(sweep):
        out.print(f"Note: {caution}")
    out.print(f"Report: {write_sweep_report(sweep, commands_of(sweep.folder))}")
    return 3 if sweep.unfinished or sweep.damaged else 0


def tell_verdicts(evidence: Evidence) -> None:
    """Prints the verdicts on a study's claims and writes the report beside its runs."""
    verdicts = judge(evidence)
    is_trial = bool(evidence.suffix)  # what was replicated is the study itself
    again = None if is_trial else read_replication(evidence.folder)
    out.print(f"\n{evidence.study.question}")
    out.print(_table(verdicts))
    for caution in cautions(evidence):
        out.print(f"Note: {caution}")
    if not is_trial and not again and (evidence.folder / REPLICATION).exists():
        out.print(f"Note: {REPLICATION} is left out: it is of what this study was before")
    replicated = judge(again) if again else []
    if again:
        out.print(f"\nReplicated with {len(again.study.seed_list)} fresh seeds:")
        out.print(_table(replicated))
        for caution in runs_that_did_not_complete(again):
            out.print(f"Note: {caution}")
    with locked(evidence.folder, timeout=-1):  # another process may carry out the same study
        out.print(f"Report: {write_report(evidence, verdicts, replicated)}")


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("verdict", "claim", "numbers"):
        table.add_column(heading, no_wrap=heading == "verdict")
    for verdict in verdicts:
        numbers = "\n".join(numbers_behind(verdict))
        table.add_row(in_color(verdict), verdict.claim.says, numbers)
    return table


def in_color(verdict: Verdict) -> Text:
    return Text(verdict.verdict, style=COLORS[verdict.verdict])


if __name__ == "__main__":
    sys.exit(main())
