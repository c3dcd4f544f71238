"""What the report of a study says, and the files that it is written to."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path

from runner.config.search import option_of, path_of
from runner.reporting import documents
from runner.reporting.budget import chooser, sensitivity
from runner.reporting.figures import pictures_of
from runner.reporting.mean_curves import MEANS, write_mean_curves
from runner.reporting.run_findings import findings_of, first_complete
from runner.reporting.settings import facts_of
from runner.reporting.words import shown, with_interval
from runner.runs.files import make_folder
from runner.runs.folder import FINISHED, RunFolder
from runner.studies.evidence import Evidence
from runner.studies.fairness import unfairness
from runner.studies.measuring import numbers_of, value_in
from runner.studies.tuning import LEFT_OUT
from runner.studies.verdicts import Verdict, count, numbers_behind


def write_report(
    evidence: Evidence, verdicts: Sequence[Verdict], replicated: Sequence[Verdict] = ()
) -> Path:
    """Writes report.html, report.md, figures/ and TensorBoard's mean curves; returns the first.

    Args:
        evidence: The study.
        verdicts: On its claims.
        replicated: Those of its replication, in the same order; none if it was not replicated.
    """
    folder, study, arms = evidence.folder, evidence.study, evidence.arms
    make_folder(folder / f"{MEANS}{evidence.suffix}")  # before anything is written
    pictures = [
        replace(picture, folder=f"figures{evidence.suffix}") for picture in pictures_of(evidence)
    ]
    keys = list(dict.fromkeys(key for arm in arms.values() for key in arm.settings))
    runs = dict.fromkeys(run for arm in arms.values() for run in arm.all_runs)
    place = folder / evidence.name if evidence.suffix else folder
    found = findings_of(folder, _shown_runs(evidence))
    again = (evidence.record.command, shlex.join(["python", "-m", "runner.report", str(place)]))
    text = documents.markdown(
        "study",
        study=study,
        summary=", ".join(f"{number} {name}" for name, number in count(verdicts).items() if number),
        verdicts=verdicts,
        replicated=list(zip(verdicts, replicated, strict=False)),
        numbers_behind=numbers_behind,
        pictures=pictures,
        keys=keys,
        reported=evidence.task.reported().name,
        arms=[_row(evidence, name, keys) for name in arms],
        of="the first complete run of each arm" if len(found.paths) > 1 else "",
        found=found,
        cautions=list(cautions(evidence)),
        notes=[f"{name}: {note}" for name, arm in arms.items() for note in arm.notes],
        sensitivity=sensitivity(evidence),
        tuned_by=chooser(evidence).text,
        facts=facts_of([evidence.folder_of(run) for run in runs]),
        commands="\n".join([*again, f"tensorboard --logdir {folder}"]),
    )
    title = f"{folder.name}: {study.question}"
    path = documents.write(folder, f"report{evidence.suffix}", title, text, pictures, found.images)
    write_mean_curves(evidence)
    return path


def _shown_runs(evidence: Evidence) -> dict[str, RunFolder]:
    """Of each arm the first run that completed."""
    found = {
        name: first_complete(evidence.folder_of(run) for _, run in arm.final_runs)
        for name, arm in evidence.arms.items()
    }
    return {name: run for name, run in found.items() if run}


def _row(evidence: Evidence, name: str, keys: Sequence[str]) -> list[str]:
    """An arm's size, test error (or what else its task reports), time and the settings in which arms differ."""
    arm = evidence.arms[name]
    results = [numbers_of(evidence.run(name, seed)).final for seed in arm.runs]
    metric = evidence.task.reported()
    errors = _present(r.get(f"test/{metric.name}") for r in results)
    seconds = _present(r.get("train_seconds") for r in results)
    sizes = _present(r.get("parameters") for r in results)
    parameters = f"{sizes[0]:,}" if sizes else "–"
    time = f"{sum(seconds) / len(seconds):.2g} s" if seconds else "–"
    values = (arm.settings.get(key) for key in keys)
    settings = ["–" if value is None else shown(value) for value in values]
    return [name, parameters, with_interval(errors, metric), time, *settings]


def _present(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def cautions(evidence: Evidence) -> Iterator[str]:
    """What makes the comparison less than fair, and which runs did not complete."""
    study = evidence.study
    searched = study.search.space if study.search else {}
    of_all = [path_of(key) for key in searched if not option_of(key)]
    for key in [*study.tune, *of_all]:
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
            if ("border" in note and "extended to" not in note) or LEFT_OUT in note
        )
    yield from unfairness(evidence)
    same: dict[tuple[str, ...], list[str]] = {}
    for name, arm in evidence.arms.items():
        if arm.final_runs:
            same.setdefault(tuple(run for _, run in arm.final_runs), []).append(name)
    for names in same.values():
        if len(names) > 1:
            yield f"{', '.join(names)} are the same runs"
    yield from runs_that_did_not_complete(evidence)
    for measure in {claim.measure: claim.parsed_measure for claim in study.claims}.values():
        for name, arm in evidence.arms.items():
            if not measure.first.function:
                continue
            values = [value_in(evidence.run(name, seed), measure) for seed in arm.runs]
            if never := sum(value is not None and not isfinite(value) for value in values):
                yield f"{name}: {measure.text}: never in {never} of {len(values)} runs"


def runs_that_did_not_complete(evidence: Evidence) -> Iterator[str]:
    """Runs by status, and what becomes of them in the verdicts."""
    for status, runs in evidence.statuses().items():
        if status == "complete":
            continue
        named = ", ".join(f"{arm} seed {seed}" for arm, seed in runs[:6])
        more = f" and {len(runs) - 6} more" if len(runs) > 6 else ""
        effect = "counts as the worst value" if status in FINISHED else "the verdicts do without"
        yield f"{status} ({effect}): {named}{more}"
