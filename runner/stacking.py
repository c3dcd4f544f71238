"""Trains many runs, those that fit together as one model; leaves the same files as runner.train.

It knows nothing of Hydra. From Python, with configurations and folders:

    train_all([(config, path), ...], tell=print)
"""

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from runner import train
from runner.callbacks import Recorder
from runner.errors import CheckpointError, LockedError
from runner.interrupts import Interrupted
from runner.machine import Machine
from runner.module import Diverged, RunModule
from runner.record import RunRecord
from runner.results import FINISHED, RunFolder
from runner.schema import Config
from runner.stack import Stack
from runner.widths import MAX_WIDTH, fastest_plan

Job = tuple[Config, Path]
Finished = Callable[[int, str], object]
Refused = Callable[[int, Exception], object]

# What the runs of a stack may differ in; of optimizer and schedule, all but the kind.
OWN = ("name", "resume", "study", "seed", "select", "init", "diagnostics")
OWN_REGULARIZER = ("l1", "l2", "dropout", "dropout_input", "max_norm")
OWN_TRAINER = ("checkpoint_seconds", "progress")


def train_all(
    jobs: Sequence[Job],
    tell: Callable[[str], object],
    finished: Finished = lambda number, how: None,
    refused: Refused = lambda number, error: None,
    width: int | None = None,
    max_width: int = MAX_WIDTH,
) -> None:
    """Trains and tests every run in its folder, stack by stack; goes on where it was interrupted.

    Args:
        jobs: The runs.
        tell: Is told in a line how each group of runs is trained, and why.
        finished: Is called with a run's place in `jobs` as soon as it has ended, and its line.
        refused: Is called for a run that cannot begin: locked by a process, or damaged.
        width: Runs per stack; None measures which is fastest. 1 trains them one by one.
        max_width: The largest width to try.

    Raises:
        Interrupted: SIGINT or SIGTERM; what was trained so far is in the folders.
    """
    for what, members in grouped([config for config, _ in jobs]):
        plan = fastest_plan([jobs[n][0] for n in members], width, max_width)
        pieces = deque(evenly(members, plan.width))
        how = f"{len(members)} runs{what}, {sizes(pieces)} ({plan.why})"
        tell(how)
        while pieces:
            piece = pieces.popleft()
            if len(piece) == 1:
                train_alone(piece[0], *jobs[piece[0]], how, finished, refused)
                continue
            try:
                train_stack({n: jobs[n] for n in piece}, plan.workers, how, finished, refused)
            except (Exception, SystemExit) as error:
                # Too large, or one of them is at fault: in the end that one fails alone.
                left = [n for n in piece if RunFolder(jobs[n][1]).status == "interrupted"]
                if not left:
                    continue
                halves = list(evenly(left, (len(piece) + 1) // 2))
                how = f"{len(left)} runs{what}, {sizes(halves)} ({reason_of(error)})"
                tell(how)
                pieces.extendleft(reversed(halves))


def reason_of(error: BaseException) -> str:
    """Why a stack is halved."""
    if isinstance(error, torch.OutOfMemoryError):
        return "more did not fit into memory"
    return f"to find which fails: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def sizes(pieces: Sequence[Sequence[int]]) -> str:
    """How many runs are trained at a time, in words."""
    if len(pieces) == 1:
        return "all as one" if len(pieces[0]) > 1 else "alone"
    most = max(len(piece) for piece in pieces)
    return f"{len(pieces)} stacks of up to {most}" if most > 1 else "one by one"


# Which runs form a stack


def grouped(configs: Sequence[Config]) -> list[tuple[str, list[int]]]:
    """What tells each group of stackable runs from the other groups, and the places of its runs."""
    groups: dict[str, list[int]] = {}
    for number, config in enumerate(configs):
        groups.setdefault(json.dumps(shared_settings(config)), []).append(number)
    settings: list[dict[str, Any]] = [json.loads(group) for group in groups]
    varying = [
        key
        for key in dict.fromkeys(key for group in settings for key in group)
        if any(group.get(key) != settings[0].get(key) for group in settings)
    ]
    whats = ["".join(f" {k}={group[k]}" for k in varying if k in group) for group in settings]
    return [(what and f" with{what}", n) for what, n in zip(whats, groups.values(), strict=True)]


def shared_settings(config: Config) -> dict[str, Any]:
    """The settings, by dotted key, that all runs of a stack have in common."""
    values = config.model_dump(mode="json", exclude=set(OWN))
    for group in ("optimizer", "schedule"):
        values[group] = {"name": values[group]["name"]}
    for group, own in (("regularizer", OWN_REGULARIZER), ("trainer", OWN_TRAINER)):
        values[group] = {key: v for key, v in values[group].items() if key not in own}
    shared: dict[str, Any] = {}
    for group, value in values.items():
        keys = {f"{group}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {}
        shared |= keys or {group: value}
    return shared


def evenly(members: Sequence[int], width: int) -> Iterator[list[int]]:
    """The members in as few pieces of at most `width` as possible, of nearly equal sizes."""
    count = -(-len(members) // width)
    for i in range(count):
        yield list(members[i * len(members) // count : (i + 1) * len(members) // count])


# Training them


@dataclass(eq=False)
class Run:
    """A run while it is trained in a stack."""

    number: int  # its place among the jobs
    config: Config
    record: RunRecord
    module: RunModule

    def __post_init__(self) -> None:
        self.recorder = Recorder(self.record, self.config.diagnostics.layers)


def train_alone(
    number: int, config: Config, path: Path, how: str, finished: Finished, refused: Refused
) -> None:
    """A stack of one is an ordinary run."""
    try:
        train.run(config, path)
    except (LockedError, CheckpointError) as error:
        refused(number, error)
    else:
        finished(number, how)


def train_stack(
    stacked: dict[int, Job], workers: int, how: str, finished: Finished, refused: Refused
) -> None:
    """Trains runs as one, each from where it stands, to their end.

    Raises:
        Interrupted: As `train_all`.
        Exception: Whatever goes wrong; the runs stand where their last finished epoch has left them.
    """
    with ExitStack() as files:
        records: dict[int, RunRecord] = {}
        try:
            for number, (config, path) in stacked.items():
                folder = RunFolder(path)
                try:
                    files.enter_context(folder.lock())
                    records[number] = files.enter_context(closing(RunRecord(config, folder)))
                except (LockedError, CheckpointError) as error:
                    refused(number, error)
                except Exception as error:
                    folder.write_failure(error)
                    finished(number, how)
            for number in fit(records, workers):
                del records[number]
                finished(number, how)
        except (Interrupted, Exception, SystemExit) as error:
            for number, record in records.items():
                interrupt(record)
                if record.folder.status != "interrupted" and not isinstance(error, Interrupted):
                    finished(number, how)
            raise


def interrupt(record: RunRecord) -> None:
    """Keeps an unfinished run as its last finished epoch has left it."""
    if record.folder.status in FINISHED:
        return  # just now, with others of its stack
    try:
        record.save()
        record.folder.write_status("interrupted", epoch=record.epoch)
    except OSError as error:
        record.folder.write_failure(error)


def fit(records: dict[int, RunRecord], workers: int) -> Iterator[int]:
    """Trains and tests the runs; yields the number of each as it ends."""
    if not records:
        return
    with Machine([record.config for record in records.values()], workers) as machine:
        runs = [Run(n, r.config, r, machine.built(r.config)) for n, r in records.items()]
        machine.each(begin, runs, machine)
        stacks: list[Stack] = []
        with Bar(runs) as bar:
            while runs:
                by_module = {run.module: run for run in runs}
                ended = [run for run in runs if run.module.epoch == run.config.epochs]
                if ended:
                    last = machine.stacks([run.module for run in ended])
                    machine.each(test, last, by_module, machine)
                else:
                    stacks = stacks or machine.stacks([run.module for run in runs])
                    diverged = machine.each(train_epoch, stacks, by_module, machine, bar)
                    bar.epoch_ended(runs)
                    ended = [run for part in diverged for run in part]
                runs = [run for run in runs if run not in ended]
                if ended:
                    stacks = []  # the others move together
                yield from (run.number for run in ended)


def begin(run: Run, machine: Machine) -> None:
    """Brings a run to where its last process has left it, or measures the untrained network."""
    if run.record.checkpoint:
        run.module.resume(run.record.checkpoint)
    run.recorder.on_train_start(machine.trainer, run.module)


def train_epoch(
    stack: Stack, runs: dict[RunModule, Run], machine: Machine, bar: "Bar"
) -> list[Run]:
    """One epoch of every run of a stack, measured and recorded; returns those that diverge in it."""
    mine = [runs[module] for module in stack.modules]
    last = stack.steps_per_epoch - 1
    start = time.perf_counter()
    stack.start_epoch()
    for number in range(stack.steps_per_epoch):
        if machine.stopped.is_set():
            return []
        if number == last:
            for run in mine:
                run.recorder.on_train_batch_start(machine.trainer, run.module, [number], number)
        stack.step(number)
        bar.advance(len(mine) / len(runs))
    machine.wait()
    share = (time.perf_counter() - start) / len(runs)
    diverged = []
    for run, step in zip(mine, stack.end_epoch(), strict=True):
        run.module.seconds += share
        try:
            if step:
                raise Diverged((run.module.epoch - 1) * stack.steps_per_epoch + step)
            run.recorder.on_train_epoch_end(machine.trainer, run.module)
        except Diverged as error:
            run.record.diverged(error.step, *machine.described(run.module))
            diverged.append(run)
    return diverged


def test(stack: Stack, runs: dict[RunModule, Run], machine: Machine) -> None:
    """Tests the last or the best weights of each run of a stack and writes its results."""
    mine = [runs[module] for module in stack.modules]
    for run in mine:
        run.record.save()
        if run.config.select == "best":
            run.module.network.load_state_dict(run.record.best["state_dict"])
    labels = stack.data.test.labels.cpu().numpy()
    for run, (metrics, probabilities) in zip(mine, stack.tested(), strict=True):
        described = machine.described(run.module)
        run.record.complete(metrics, probabilities.cpu().numpy(), labels, *described)


class Bar:
    """Shows the progress of a stack on a terminal, and nothing elsewhere."""

    def __init__(self, runs: Sequence[Run]) -> None:
        first = runs[0].module
        self.epochs, self.steps = first.epochs, first.steps_per_epoch
        console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.fields[runs]} runs"),
            BarColumn(bar_width=None),
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}{task.fields[accuracy]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
            disable=not (console.is_terminal and runs[0].config.trainer.progress),
        )
        begun = min(run.module.epoch for run in runs)
        self.task = self.bar.add_task(
            "",
            total=self.epochs * self.steps,
            completed=begun * self.steps,
            runs=len(runs),
            epoch=begun,
            epochs=self.epochs,
            accuracy="",
        )

    def __enter__(self) -> "Bar":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def advance(self, steps: float) -> None:
        self.bar.advance(self.task, steps)

    def epoch_ended(self, runs: Sequence[Run]) -> None:
        accuracies = [run.module.metrics["val/accuracy"] for run in runs]
        shown = f"  val accuracy best {max(accuracies):.2%}, median {median(accuracies):.2%}"
        epoch = min(run.module.epoch for run in runs)
        self.bar.update(self.task, epoch=epoch, accuracy=shown)
