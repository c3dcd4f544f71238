"""What the runner says on the screen: problems on stderr, results on stdout."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runner.command.sweep_files import add_rows
from runner.errors import ConfigError
from runner.foreign import for_terminal
from runner.interrupts import Interrupted
from runner.options.task import Metric, Task, all_metrics
from runner.runs.folder import FINISHED, OUTPUTS, RunFolder
from runner.runs.job import Job
from runner.runs.lock import owner_of

MAX_LINES = 6
SPLITS = ("train", "val", "test")


class Screen(Console):
    """A console that takes every string for foreign: it is shown, and never markup or a control code."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, soft_wrap=True, stderr=stderr)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(for_terminal(text), **options)


out = Screen()
err = Screen(stderr=True)


def tell(line: str) -> None:
    """A line on what is being done."""
    out.print(Text(line))


def plan_of(jobs: Sequence[Job]) -> str:
    """What a sweep will train: 3 optimizer × 2 seed: 6 runs."""
    columns: dict[str, set[str]] = {}
    for job in jobs:
        for key, value in job.settings.items():
            columns.setdefault(key, set()).add(value)
    parts = [f"{len(values)} {key}" for key, values in columns.items() if len(values) > 1]
    count = f"{len(jobs)} run{'s' * (len(jobs) > 1)}"
    return f"{' × '.join(parts)}: {count}" if parts else count


def tell_problems(error: BaseException) -> None:
    """Why nothing was trained, in at most six lines."""
    problems = error.problems if isinstance(error, ConfigError) else str(error).splitlines()
    lines = [problem.replace("\n", r"\n") for problem in problems]  # of a foreign key, say
    if len(lines) > MAX_LINES:
        rest = len(lines) - MAX_LINES + 1
        lines = [*lines[: MAX_LINES - 1], f"... and {rest} more"]
    for line in lines:
        err.print(line)


def tell_failed_thread(failure: threading.ExceptHookArgs) -> None:
    """Says nothing of a thread that could not write: whoever waits for its work reports it (threading.excepthook)."""
    if not issubclass(failure.exc_type, OSError):
        threading.__excepthook__(failure)


def tell_interrupted(interrupted: Interrupted) -> None:
    err.print(f"Interrupted ({interrupted}). The same command goes on from here.")


def tell_run(folder: RunFolder, task: Task, already: bool) -> None:
    """The final table of one run, or why there is none."""
    result = folder.result
    if folder.status == "complete" and result:
        table = Table(box=None, pad_edge=False)
        for heading in ("", *(metric.name for metric in task.metrics)):
            table.add_column(heading, justify="right" if heading else "left")
        for split in SPLITS:
            values = [metric.shown(result[f"{split}/{metric.name}"]) for metric in task.metrics]
            table.add_row(split, *values)
        out.print(table)
        epochs, plural = result["epochs"], "s" * (result["epochs"] != 1)
        out.print(
            f"{epochs} epoch{plural}, {result['steps']} steps in {result['train_seconds']:.1f} s on"
            f" {result['device']}; {result['parameters']:,} parameters; best epoch"
            f" {result['best_epoch']}"
        )
        if already:
            out.print("Finished before, nothing to train (resume=false trains afresh).")
    else:
        tell_status(folder)
    out.print(f"Results: {folder}")
    out.print(f"Curves:  tensorboard --logdir {OUTPUTS}")


def tell_status(folder: RunFolder) -> None:
    """Why a run has no result."""
    reason = folder.reason
    hint = f"; see {folder}/error.txt" if folder.status == "failed" else ""
    err.print(f"{folder.status}: {reason}{hint}")


def tell_finished(job: Job, folder: RunFolder, number_: int, total: int) -> None:
    """One line on a run of a sweep that has just ended."""
    result = folder.result
    if folder.status == "complete" and result:
        metric = job.config.task.metric(job.config.task.criterion)
        val, test = (metric.shown(result[f"{split}/{metric.name}"]) for split in ("val", "test"))
        name = "" if metric.percent else f"{metric.name} "
        text = f"val {name}{val}  test {name}{test}  {result['train_seconds']:.1f} s"
    else:
        text = f"{folder.status}: {folder.reason}"
        if folder.status == "failed":
            text += f"; see {folder}/error.txt"
    width = len(str(total))
    out.print(f"[{number_:{width}}/{total}] {described(job)}  {text}")


def tell_awaited(jobs: Sequence[Job], owner: str) -> None:
    """Which runs are waited for, and who trains them."""
    names = ", ".join(described(job) for job in jobs[:MAX_LINES])
    if len(jobs) > MAX_LINES:
        names += f" and {len(jobs) - MAX_LINES} more"
    who = owner if len(jobs) == 1 else owner.replace("this run", "these runs")
    err.print(f"Waiting for {names}: {who}")


def tell_sweep(jobs: list[Job], already: int, refused: Mapping[Path, str] | None = None) -> None:
    """The table of a sweep, the best by its task's criterion first, with only what varies; also sweep.csv.

    Args:
        jobs: Its runs.
        already: How many of them were finished before.
        refused: Why a run could not begin, by its folder.
    """
    tasks = [job.config.task for job in jobs]
    criteria = list(dict.fromkeys(task.metric(task.criterion) for task in tasks))
    rows = sorted((row_of(job) for job in jobs), key=lambda row: rank(row, criteria))
    varying = [
        key
        for key in dict.fromkeys(key for job in jobs for key in job.settings)
        if len({job.settings.get(key) for job in jobs}) > 1
    ]
    chosen_by = [f"val/{metric.name}" for metric in criteria]
    also = [f"test/{metric.name}" for metric in criteria]
    metrics = list(dict.fromkeys([*chosen_by, "val/loss", *also, "train/loss", "seconds"]))
    home = OUTPUTS / jobs[0].config.name
    path = add_rows(home, varying, ["status", *metrics, "run"], rows)

    lines = []
    for row in rows:
        shown = [in_words(name, row.get(name)) for name in metrics]
        shown = shown if row["status"] == "complete" else [str(row["status"]), *shown[1:]]
        lines.append([*(str(row.get(key, "")) for key in varying), *shown])
    print_table([*varying, *metrics], lines, len(varying))
    if already:
        out.print(
            f"{already} of {len(jobs)} runs were finished before (resume=false trains afresh)."
        )
    not_started = sum(RunFolder(job.folder).status is None for job in jobs)
    if not_started:
        err.print(f"{not_started} of {len(jobs)} runs were not started.")
    for job in jobs:
        folder = RunFolder(job.folder)
        refusal = (refused or {}).get(job.folder)
        if folder.status not in (None, *FINISHED) or refusal:
            reason = refusal or folder.reason or owner_of(job.folder)
            why = f"{reason}; " if reason else ""
            err.print(f"{folder.status or 'not started'}: {described(job)}: {why}see {folder}")
    out.print(f"Table:   {path}")
    out.print(f"Report:  python -m runner.report {home}")
    out.print(f"Curves:  tensorboard --logdir {OUTPUTS}")


def described(job: Job) -> str:
    return " ".join(f"{key}={value}" for key, value in job.settings.items()) or "default"


def row_of(job: Job) -> dict[str, Any]:
    folder = RunFolder(job.folder)
    result = folder.result or {}
    names = [name for split in SPLITS for name in job.config.task.names(split)]
    metrics = {name: result.get(name) for name in names}
    return {
        **job.settings,
        **metrics,
        "status": folder.status or "not started",
        "seconds": result.get("train_seconds"),
        "run": folder.path.name,
    }


def rank(row: dict[str, Any], criteria: Sequence[Metric]) -> tuple[float, ...]:
    """The best by each criterion on the validation split first, the lower loss first among equals."""
    key: list[float] = []
    for metric in criteria:
        value = row.get(f"val/{metric.name}")
        sign = -1.0 if metric.higher_is_better else 1.0
        key += [value is None, sign * (value or 0.0)]
    loss = row["val/loss"]
    return *key, loss if loss is not None else float("inf")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], settings: int) -> None:
    """A table as wide as the screen: the last columns are left out where they do not fit.

    Args:
        headings: Of all columns.
        rows: Their cells.
        settings: How many columns, from the first, say which run it is; none of them is left out.
    """
    columns = list(zip(headings, *rows, strict=True))
    widths = [max(len(for_terminal(cell)) for cell in column) + 1 for column in columns]
    fitting = [n for n in range(len(columns)) if n <= settings or sum(widths[: n + 1]) <= out.width]
    table = Table(box=None, pad_edge=False)
    for n in fitting:
        table.add_column(
            headings[n],
            justify="left" if n < settings else "right",
            overflow="fold",
            no_wrap=n >= settings,
        )
    for row in rows:
        table.add_row(*(row[n] for n in fitting))
    out.print(table)


def in_words(name: str, value: float | None) -> str:
    """A number of a run for people: val/accuracy, seconds or another."""
    return metric_of(name).shown(value)


def metric_of(name: str) -> Metric:
    """What a number of a run is."""
    return all_metrics().get(name.rpartition("/")[2], Metric(name))
