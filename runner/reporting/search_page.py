"""What the report of a search says, and the files that it is written to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.config.claims import measured_metric
from runner.options.task import Metric
from runner.options.tasks import Classification
from runner.reporting import documents
from runner.reporting.run_findings import findings_of, first_complete
from runner.reporting.search_figures import pictures_of_search
from runner.reporting.settings import facts_of
from runner.reporting.words import shown, with_interval
from runner.runs.folder import RunFolder
from runner.search.experiment import command_of, command_of_experiment, write_experiment
from runner.search.findings import cautions, progress_of
from runner.search.record import Again, Record
from runner.search.space import words_of

SHOWN, TOLD = 10, 3  # of the best trials, in the report and on the screen


def write_search_report(record: Record, folder: Path) -> Path:
    """Writes report.html, report.md, figures/ and the best trial's experiment; returns the first."""
    pictures = pictures_of_search(record, folder)
    progress = progress_of(record, folder)
    best = [] if record.best is None else record.trials[record.best].runs
    shown = first_complete(RunFolder(folder / run) for run in best)
    found = findings_of(folder, {"": shown} if shown else {})
    all_runs = [run for each in (*record.trials, *(record.final or ())) for run in each.runs]
    text = documents.markdown(
        "search",
        name=folder.name,
        record=record,
        brackets=len({trial.bracket for trial in record.trials}),
        run_epochs=progress[-1].run_epochs if progress else 0,
        all_epochs=len(record.trials) * record.search.seeds * record.epochs,
        seconds=progress[-1].seconds if progress else 0.0,
        best=best_lines(record, folder),
        keys=list(record.search.space),
        rows=rows_of(record, folder),
        reported=reported(record, folder).name,
        finals=len(record.final or []),
        rungs=[_rung(record, number) for number in range(len(record.decisions))],
        cautions=list(cautions(record, folder)),
        pictures=pictures,
        of="the best trial",
        found=found,
        facts=facts_of([RunFolder(folder / run) for run in dict.fromkeys(all_runs)]),
        commands="\n".join([record.command, f"python -m runner.search {folder}"]),
    )
    return documents.write(folder, "report", f"{folder.name}: search", text, pictures, found.images)


def reported(record: Record, folder: Path) -> Metric:
    """The metric of the test split by which its task compares results."""
    config = RunFolder(folder / record.trials[0].runs[0]).config() if record.trials else None
    return (config.task if config else Classification).reported()


def best_lines(record: Record, folder: Path) -> str | None:
    """The commands that train the best trial; None if there is none."""
    if record.best is None:
        return None
    draw = record.draw(record.best)
    config = RunFolder(folder / record.trials[record.best].runs[0]).config()
    lines = [command_of(record, draw)]
    if config:
        write_experiment(record, folder, draw, config)
        lines.append(command_of_experiment(folder))
    return "\n".join(lines)


def rows_of(record: Record, folder: Path) -> list[list[str]]:
    """The best trials: number, value, that and the test metric with fresh seeds, settings."""
    final = {again.trial: again for again in record.final or []}
    test = f"test/{reported(record, folder).name}"
    order = sorted(
        record.ended()[:SHOWN],
        key=lambda n: (n != record.best, n not in final),
    )
    return [
        [
            str(number),
            _number(record.value(number)),
            *(_fresh(final.get(number), folder, (record.search.by, test)) if final else []),
            *(shown(draw[key]) if key in draw else "–" for key in record.search.space),
        ]
        for number in order
        for draw in [record.trials[number].draw]
    ]


def in_words(record: Record, folder: Path) -> list[str]:
    """The best few trials in two lines each: how well they do, and their settings."""
    lines = []
    for number, value, *cells in rows_of(record, folder)[: len(record.final or []) or TOLD]:
        said = f"{record.search.by} {value}"
        if record.search.final and record.final:
            fresh, test = cells[:2]
            said += f"; {record.search.final.seeds} fresh seeds {fresh}, test {reported(record, folder).name} {test}"
        lines += [f"trial {number}: {said}", f"    {' '.join(words_of(record.draw(int(number))))}"]
    return lines


def _fresh(again: Again | None, folder: Path, metrics: Sequence[str]) -> list[str]:
    """Metrics over the fresh seeds, with their 95% intervals."""
    results = [RunFolder(folder / run).result or {} for run in again.runs] if again else []
    cells = []
    for metric in metrics:
        values = [result[metric] for result in results if result.get(metric) is not None]
        if not values or len(values) < len(results):
            cells.append("–")
            continue
        cells.append(with_interval(values, measured_metric(metric) or Metric(metric)))
    return cells


def _rung(record: Record, number: int) -> dict[str, Any]:
    """What a rung has decided, in words."""
    decision = record.decisions[number]
    at_end = decision.epoch == record.epochs
    dropped = [] if at_end else sorted(decision.values.keys() - set(decision.kept))
    lost = [n for n, value in decision.values.items() if value is None]
    return {
        "bracket": decision.bracket + 1,
        "epoch": decision.epoch,
        "trials": len(decision.values),
        "kept": "the end" if at_end else f"{len(decision.kept)} go on",
        "worst": _number(decision.values[decision.kept[-1]]) if decision.kept else "–",
        "dropped": ", ".join(map(str, dropped)) or "–",
        "lost": ", ".join(map(str, lost)) or "–",
    }


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
