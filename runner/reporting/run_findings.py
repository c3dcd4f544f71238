"""What a report shows of the test split: the pictures that a few runs have left, and how well each class is recognised."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from runner.errors import DataError
from runner.options.task import Metric
from runner.runs.folder import RunFolder

MOST_RUNS, MOST_CLASSES = 6, 20
SHARE = Metric("share", percent=True)
SCORES = {"precision": "precision", "recall": "recall", "f1": "F1"}


@dataclass
class RunFindings:
    """Of a few runs.

    Attributes:
        pictures: What each kind of picture shows, by its name.
        paths: Those of each run by their names, from the folder of the report, as a URL.
        images: PNG by path.
        headings, classes: A table with a row for each class.
        notes: What cannot be shown.
    """

    pictures: dict[str, str] = field(default_factory=dict)
    paths: dict[str, dict[str, str]] = field(default_factory=dict)
    images: dict[str, bytes] = field(default_factory=dict)
    headings: list[str] = field(default_factory=list)
    classes: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def first_complete(runs: Iterable[RunFolder]) -> RunFolder | None:
    return next((run for run in runs if run.status == "complete"), None)


def findings_of(folder: Path, runs: Mapping[str, RunFolder]) -> RunFindings:
    """What is there of runs, by what the report calls them.

    Args:
        folder: Of the report.
        runs: Below it, or the folder itself.
    """
    found = RunFindings()
    scores: dict[str, list[dict[str, Any]]] = {}
    for name, run in list(runs.items())[:MOST_RUNS]:
        config = run.config()
        found.pictures |= getattr(config.task, "pictures", {}) if config else {}
        try:
            pictures = run.pictures()
        except DataError as error:
            found.notes.append(str(error))
            pictures = {}
        below = run.path.relative_to(folder)
        found.paths[name] = {
            picture: Markup(quote(os.fsencode((below / f"{picture}.png").as_posix()), safe="/=,"))
            for picture in pictures
        }
        found.images |= {found.paths[name][picture]: png for picture, png in pictures.items()}
        if per_class := (run.result or {}).get("per_class"):
            scores[name] = per_class
    there = {picture for paths in found.paths.values() for picture in paths}
    found.pictures |= {
        p: p.replace("_", " ").capitalize() for p in sorted(there - {*found.pictures})
    }
    found.pictures = {p: caption for p, caption in found.pictures.items() if p in there}
    if scores:
        found.headings, found.classes = _table(scores)
    if len(runs) > MOST_RUNS:
        found.notes.append(f"{len(runs) - MOST_RUNS} more are not shown.")
    return found


def _table(scores: Mapping[str, list[dict[str, Any]]]) -> tuple[list[str], list[list[str]]]:
    """All scores of one run, or F1 of several; of many classes those that are recognised worst."""
    by_class: dict[str, dict[str, dict[str, Any]]] = {}
    for run, classes in scores.items():
        for row in classes:
            by_class.setdefault(row["name"], {})[run] = row
    if len(scores) == 1:
        columns = [(heading, run, key) for run in scores for key, heading in SCORES.items()]
    else:
        columns = [(f"F1: {run}", run, "f1") for run in scores]
    worst_first = sorted(by_class, key=lambda name: _mean_f1(by_class[name].values()))
    shown = set(worst_first[:MOST_CLASSES])
    rows = [
        [
            name,
            *(SHARE.shown(of_run[run][key]) if run in of_run else "–" for _, run, key in columns),
            str(next(iter(of_run.values()))["support"]),
        ]
        for name, of_run in by_class.items()
        if name in shown
    ]
    few = len(by_class) > len(shown)
    first = f"the worst {len(shown)} of {len(by_class)} classes" if few else "class"
    return [first, *(heading for heading, *_ in columns), "examples"], rows


def _mean_f1(rows: Iterable[Mapping[str, Any]]) -> float:
    values = [row["f1"] or 0.0 for row in rows]
    return sum(values) / len(values)
