"""The whole lecture: every study in order, then one table of verdicts.

    python -m runner.lecture
    python -m runner.lecture dropout_vs_none l1_l2   # only these
    python -m runner.lecture study.seeds=10          # overrides apply to every study

Stopped and started again, it continues where it left off; finished studies only report.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from runner import __main__ as runner
from runner.command.streams import lasting_streams
from runner.command.terminal import out, tell_problems
from runner.config.mistakes import nearest
from runner.errors import MISTAKES
from runner.report import in_color
from runner.reporting.documents import markdown
from runner.runs.files import write_atomically
from runner.runs.folder import OUTPUTS
from runner.studies.evidence import Evidence
from runner.studies.record import name_for
from runner.studies.verdicts import count, judge, numbers_behind

STUDIES = (
    "init_scale",
    "init_glorot",
    "reduced_problem",
    "train_fraction",
    "depth",
    "overfit_small",
    "lr_decades",
    "lr_then_lambda",
    "batch_size",
    "optimizers",
    "adagrad_stalls",
    "adam_bias_correction",
    "l1_l2",
    "ensemble",
    "dropout_vs_none",
    "dropout_data_size",
    "mlpconv_heads",
    "batch_norm_speed",
    "batch_norm_larger_lr",
    "batch_norm_less_regularization",
    "batch_norm_shift",
)
INTERRUPTED = (129, 130, 143)


@lasting_streams()
def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: those of python -m runner; the largest of all studies."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.lecture", description="Runs every study of the lecture."
    )
    words_help = (
        "names of studies (default: all) and overrides for each of them, e.g. study.seeds=10"
    )
    parser.add_argument("words", nargs="*", metavar="study | key=value", help=words_help)
    words = parser.parse_args(arguments).words
    overrides = [word for word in words if "=" in word]
    names = [word for word in words if "=" not in word] or list(STUDIES)
    for name in names:
        if name not in STUDIES:
            parser.error(f"unknown study '{name}'{nearest(name, list(STUDIES))}")
    codes = []
    if len(names) > 1:
        out.print(f"{len(names)} studies: {', '.join(names)}")
    for number, name in enumerate(names, start=1):
        out.print(f"\n[{number}/{len(names)}] {name}", style="bold")
        start = time.monotonic()
        codes.append(runner.main([f"+experiment={name}", *overrides]))
        if codes[-1] in INTERRUPTED:
            return codes[-1]
        out.print(f"{name}: {time.monotonic() - start:.0f} s")
    try:
        tell_verdicts(records_of(names, overrides))
    except (*MISTAKES, OSError) as error:
        tell_problems(error)
        return 2
    return max(codes)


def records_of(names: Sequence[str], overrides: Sequence[str]) -> list[Path]:
    """The records of these studies with these overrides, as far as they were carried out."""
    found = []
    for name in names:
        command = shlex.join(["python", "-m", "runner", f"+experiment={name}", *overrides])
        folder = OUTPUTS / name
        found.append(folder / name_for(folder, command, plain=not overrides))
    return [path for path in found if path.exists()]


def tell_verdicts(records: Sequence[Path]) -> None:
    """Prints the verdicts of all studies and writes them to outputs/lecture.md."""
    judged = [
        (path.parent.name, verdict)
        for path in records
        for verdict in judge(Evidence.read(path.parent, path.name))
    ]
    table = Table(box=None, pad_edge=False)
    for heading in ("study", "verdict", "claim"):
        table.add_column(heading, no_wrap=heading != "claim")
    for name, verdict in judged:
        table.add_row(name, in_color(verdict), verdict.claim.says)
    out.print("\n", table)
    numbers = count([verdict for _, verdict in judged])
    summary = f"{len(judged)} claims: {', '.join(f'{n} {word}' for word, n in numbers.items())}"
    out.print(summary)
    path = OUTPUTS / "lecture.md"
    text = markdown("lecture", summary=summary, verdicts=judged, numbers_behind=numbers_behind)
    write_atomically(path, text.encode())
    out.print(f"Table: {path}")


if __name__ == "__main__":
    sys.exit(main())
