"""The report of a study: verdicts on the screen, report.md and report.html with figures.

python -m runner.report outputs/dropout_vs_none
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path

from rich.console import Console
from rich.table import Table as ScreenTable
from rich.text import Text

from runner.reporting import blocks as document
from runner.reporting import mean_curves as curves
from runner.reporting.blocks import Block, Bullets, Code, Heading, Paragraph, Table
from runner.reporting.figures import Picture, pictures
from runner.runs.files import write_atomically
from runner.studies.evidence import Evidence, measured, read_run
from runner.studies.statistics import mean_interval
from runner.studies.verdicts import Verdict, counts, explained, judge

out = Console(highlight=False, soft_wrap=True)
COLORS = {"confirmed": "green", "refuted": "red", "undecided": "yellow"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0; 2 no study has been run in the folder."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.report",
        description="Judges a study's claims again and writes its report.",
    )
    parser.add_argument("folder", type=Path, help="outputs/<name> of a study")
    folder = parser.parse_args(arguments).folder
    try:
        evidence = Evidence.read(folder)
    except FileNotFoundError:
        print(f"{folder}: no study has been run here", file=sys.stderr)
        return 2
    tell(evidence)
    return 0


def tell(evidence: Evidence) -> list[Verdict]:
    """Prints the verdicts, writes the report beside the runs and returns the verdicts."""
    verdicts = judge(evidence)
    out.print(Text(f"\n{evidence.study.question}"))
    table = ScreenTable(box=None, pad_edge=False)
    for heading in ("verdict", "claim", "numbers"):
        table.add_column(heading, no_wrap=heading == "verdict")
    for verdict in verdicts:
        numbers = "\n".join([*explained(verdict), *filter(None, [verdict.advice])])
        told = Text(verdict.verdict, style=COLORS[verdict.verdict])
        table.add_row(told, Text(verdict.claim.says), Text(numbers))
    out.print(table)
    for warning in warnings(evidence):
        out.print(Text(f"Note: {warning}"))
    path = write(evidence, verdicts)
    out.print(Text(f"Report: {path}"))
    return verdicts


def write(evidence: Evidence, verdicts: Sequence[Verdict]) -> Path:
    """Writes report.html, report.md, figures/ and TensorBoard's mean curves; returns the first."""
    folder = evidence.folder
    drawn = list(pictures(evidence))
    (folder / "figures").mkdir(exist_ok=True)
    for picture in drawn:
        write_atomically(folder / "figures" / f"{picture.name}.svg", picture.svg.encode())
    blocks = list(content(evidence, verdicts, drawn))
    write_atomically(folder / "report.md", document.markdown(blocks, "figures").encode())
    html = document.html(f"{folder.name}: {evidence.study.question}", blocks)
    write_atomically(folder / "report.html", html.encode())
    curves.write_means(evidence)
    return folder / "report.html"


def content(
    evidence: Evidence, verdicts: Sequence[Verdict], drawn: Sequence[Picture]
) -> Iterator[Block]:
    """The report from top to bottom."""
    study = evidence.study
    yield Heading(study.question, 1)
    told = ", ".join(f"{number} {name}" for name, number in counts(verdicts).items() if number)
    yield Paragraph(f"Source: {study.source}. {len(study.seed_list)} seeds an arm. Claims: {told}.")
    rows = [
        (
            verdict.verdict,
            verdict.claim.says,
            f"{verdict.claim.measure}: {verdict.claim.expect}"
            + (f" (margin {verdict.claim.margin:g})" if verdict.claim.margin else ""),
            "\n".join([*explained(verdict), *filter(None, [verdict.advice])]),
        )
        for verdict in verdicts
    ]
    yield Table(("verdict", "claim", "expected", "measured"), rows)
    yield Paragraph(
        "Differences are paired by seed, with their 95% interval; p is corrected for all comparisons of"
        " the study (Holm). Where a run diverged, a target was never reached, or all seeds give the"
        " same difference, a sign test decides."
    )
    yield from drawn
    yield Heading("Arms")
    keys = list(dict.fromkeys(key for arm in evidence.arms.values() for key in arm.settings))
    columns = ("arm", "parameters", "test error", "training time", *keys)
    yield Table(columns, [_row(evidence, name, keys) for name in evidence.arms])
    if found := list(warnings(evidence)):
        yield Heading("To bear in mind")
        yield Bullets(found)
    if any(arm.notes for arm in evidence.arms.values()):
        yield Heading("Tuning")
        yield Bullets(
            [f"{name}: {note}" for name, arm in evidence.arms.items() for note in arm.notes]
        )
    yield Heading("Again")
    yield Code(
        f"{evidence.command}\npython -m runner.report {evidence.folder}\ntensorboard --logdir {evidence.folder}"
    )


def _row(evidence: Evidence, name: str, keys: Sequence[str]) -> list[str]:
    """An arm's size, error, time and the settings in which arms differ."""
    arm = evidence.arms[name]
    results = [read_run(evidence.run(name, seed))[1] for seed in arm.runs]
    errors = [r["test/error"] for r in results if r.get("test/error") is not None]
    mean, low, high = mean_interval(errors)
    error = f"{mean:.2%}" if isfinite(mean) else "–"
    error += f" ± {(high - low) / 2:.2%}" if isfinite(high - low) else ""
    seconds = [r["train_seconds"] for r in results if r.get("train_seconds") is not None]
    parameters = next((f"{r['parameters']:,}" for r in results if "parameters" in r), "–")
    time = f"{sum(seconds) / len(seconds):.2g} s" if seconds else "–"
    return [name, parameters, error, time, *(_setting(arm.settings.get(key)) for key in keys)]


def _setting(value: object) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def warnings(evidence: Evidence) -> Iterator[str]:
    """What makes the comparison less than fair, and runs that did not complete."""
    study = evidence.study
    for key in study.tune:
        tuned = [name for name, arm in evidence.arms.items() if key in arm.chosen]
        fixed = [name for name in evidence.arms if name not in tuned]
        if tuned and fixed:
            yield f"{key} was tuned in {', '.join(tuned)}, but not in {', '.join(fixed)}"
    if study.refine and (rest := [name for name in evidence.arms if name not in study.refine.of]):
        yield f"{', '.join(study.refine.of)} had {study.refine.draws} tries more than {', '.join(rest)}"
    for name, arm in evidence.arms.items():
        yield from (
            f"{name}: {note}"
            for note in arm.notes
            if "border" in note and "extended to" not in note
        )
    same: dict[tuple[str, ...], list[str]] = {}
    for name, arm in evidence.arms.items():
        same.setdefault(tuple(arm.runs.values()), []).append(name)
    for names in same.values():
        if len(names) > 1:
            yield f"{', '.join(names)} are the same runs"
    for status, runs in evidence.statuses().items():
        if status != "complete":
            told = ", ".join(f"{arm} seed {seed}" for arm, seed in runs[:6])
            more = f" and {len(runs) - 6} more" if len(runs) > 6 else ""
            counts_as = " (counts as the worst value)" if status == "diverged" else ""
            yield f"{status}{counts_as}: {told}{more}"
    for measure in {claim.measure: claim.measured for claim in study.claims}.values():
        for name, arm in evidence.arms.items():
            if not measure.first.function:
                continue
            values = [measured(measure, evidence.run(name, seed)) for seed in arm.runs]
            if never := sum(value is not None and not isfinite(value) for value in values):
                yield f"{name}: {measure.text}: never in {never} of {len(values)} runs"


if __name__ == "__main__":
    sys.exit(main())
