"""The whole lecture: every study in order, then one table of verdicts.

    python -m runner.lecture
    python -m runner.lecture dropout_vs_none l1_l2   # only these
    python -m runner.lecture study.seeds=10          # overrides apply to every study

Stopped and started again it goes on where it was; finished studies only report.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from runner import __main__ as runner
from runner.config.mistakes import nearest
from runner.report import COLORS, out
from runner.reporting.blocks import Heading, Paragraph, markdown
from runner.reporting.blocks import Table as DocumentTable
from runner.runs.files import write_atomically
from runner.runs.folder import OUTPUTS
from runner.studies.evidence import RECORD, Evidence
from runner.studies.verdicts import Verdict, counts, explained, judge

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
INTERRUPTED = (130, 143)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: those of python -m runner; the largest of all studies."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.lecture", description="Runs every study of the lecture."
    )
    told = "names of studies (default: all) and overrides for each of them, e.g. study.seeds=10"
    parser.add_argument("words", nargs="*", metavar="study | key=value", help=told)
    words = parser.parse_args(arguments).words
    overrides = [word for word in words if "=" in word]
    names = [word for word in words if "=" not in word] or list(STUDIES)
    for name in names:
        if name not in STUDIES:
            parser.error(f"unknown study '{name}'{nearest(name, list(STUDIES))}")
    codes = []
    for number, name in enumerate(names, start=1):
        out.print(Text(f"\n[{number}/{len(names)}] {name}", style="bold"))
        start = time.monotonic()
        codes.append(runner.main([f"+experiment={name}", *overrides]))
        if codes[-1] in INTERRUPTED:
            return codes[-1]
        out.print(f"{name}: {time.monotonic() - start:.0f} s")
    tell([name for name in names if (OUTPUTS / name / RECORD).exists()])
    return max(codes)


def tell(names: Sequence[str]) -> None:
    """Prints the verdicts of all studies and writes them to outputs/lecture.md."""
    judged = [(name, verdict) for name in names for verdict in judge(Evidence.read(OUTPUTS / name))]
    table = Table(box=None, pad_edge=False)
    for heading in ("study", "verdict", "claim"):
        table.add_column(heading, no_wrap=heading != "claim")
    for name, verdict in judged:
        told = Text(verdict.verdict, style=COLORS[verdict.verdict])
        table.add_row(name, told, Text(verdict.claim.says))
    out.print("\n", table)
    found = counts([verdict for _, verdict in judged])
    summary = ", ".join(f"{number} {name}" for name, number in found.items())
    out.print(f"{len(judged)} claims: {summary}")
    rows = [_row(name, verdict) for name, verdict in judged]
    blocks = (
        Heading("The lecture's claims, as measured", 1),
        Paragraph(f"{len(judged)} claims: {summary}."),
        DocumentTable(("study", "claim", "verdict", "measured"), rows),
    )
    path = OUTPUTS / "lecture.md"
    write_atomically(path, markdown(blocks, "").encode())
    out.print(Text(f"Table: {path}"))


def _row(name: str, verdict: Verdict) -> tuple[str, str, str, str]:
    numbers = "\n".join([*explained(verdict), *filter(None, [verdict.advice])])
    return name, verdict.claim.says, verdict.verdict, numbers


if __name__ == "__main__":
    sys.exit(main())
