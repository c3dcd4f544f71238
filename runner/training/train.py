"""Trains many runs, those that fit together as one model; leaves the same files as runner.train.

It knows nothing of Hydra. From Python, with configurations and folders:

    train_all([(config, path), ...], tell=print)
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from hashlib import sha256
from statistics import median

import torch

from runner.config.schema import Config
from runner.errors import CheckpointError, LockedError, summary
from runner.interrupts import Interrupted, uninterrupted
from runner.runs.folder import FINISHED, RunFolder
from runner.runs.writer import RunRecord
from runner.training import build as train
from runner.training.groups import Job, Piece, evenly, former_stacks, grouped, sizes
from runner.training.module import STEPS_PER_BLOCK, Diverged, RunModule
from runner.training.plan import MAX_WIDTH, fastest_plan
from runner.training.progress import Bar
from runner.training.recorder import Recorder
from runner.training.stack import Stack
from runner.training.workers import Machine

Finished = Callable[[int, str], object]
Refused = Callable[[int, Exception], object]


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
    gone: set[int] = set()

    def refuse(number: int, error: Exception) -> None:
        gone.add(number)
        refused(number, error)

    for what, members in grouped([config for config, _ in jobs]):
        pieces = deque(former_stacks({n: jobs[n] for n in members}, width or max_width))
        for piece in pieces:
            piece.how = f"{len(piece.runs)} runs{what}, as one again"
            tell(piece.how)
        again = {n for piece in pieces for n in piece.runs}
        if fresh := [n for n in members if n not in again]:
            plan = fastest_plan([jobs[n][0] for n in fresh], width, max_width)
            parts = list(evenly(fresh, plan.width))
            how = f"{len(fresh)} runs{what}, {sizes(parts)} ({plan.why})"
            tell(how)
            pieces.extend(Piece(part, plan.workers, how) for part in parts)
        while pieces:
            piece = pieces.popleft()
            if len(piece.runs) == 1:
                (n,) = piece.runs
                train_alone(n, jobs[n], piece.how, finished, refuse)
                continue
            try:
                train_stack(piece, jobs, finished, refuse)
            except (Exception, SystemExit) as error:
                # Too large, or one of them is at fault: in the end that one fails alone.
                left = [n for n in piece.runs if n not in gone and unfinished(jobs[n])]
                if not left:
                    continue
                halves = list(evenly(left, (len(piece.runs) + 1) // 2))
                how = f"{len(left)} runs{what}, {sizes(halves)} ({reason_of(error)})"
                tell(how)
                pieces.extendleft(Piece(half, piece.workers, how) for half in reversed(halves))


def unfinished(job: Job) -> bool:
    return RunFolder(job[1]).status not in (*FINISHED, "failed")


def reason_of(error: BaseException) -> str:
    """Why a stack is halved."""
    if isinstance(error, torch.OutOfMemoryError):
        return "more did not fit into memory"
    return f"to find which fails: {summary(error)}"


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


def train_alone(number: int, job: Job, how: str, finished: Finished, refused: Refused) -> None:
    """A stack of one is an ordinary run."""
    try:
        train.run(*job)
    except (LockedError, CheckpointError) as error:
        refused(number, error)
    else:
        finished(number, how)


def train_stack(piece: Piece, jobs: Sequence[Job], finished: Finished, refused: Refused) -> None:
    """Trains runs as one, each from where it stands, to their end.

    Raises:
        Interrupted: As `train_all`.
        Exception: Whatever goes wrong; the runs stand where their last finished epoch has left them.
    """
    with ExitStack() as files:
        folders: dict[int, RunFolder] = {}
        records: dict[int, RunRecord] = {}
        try:
            for number in piece.runs:
                folder = RunFolder(jobs[number][1])
                try:
                    files.enter_context(folder.lock())
                    folders[number] = folder
                except LockedError as error:
                    refused(number, error)
            up_to = last_common_epoch(folders.values()) if piece.again else None
            names = ",".join(jobs[number][1].name for number in piece.runs)
            stack = {"runs": sha256(names.encode()).hexdigest()[:8], "workers": piece.workers}
            for number, folder in folders.items():
                try:
                    record = RunRecord(jobs[number][0], folder, up_to, stack)
                    records[number] = files.enter_context(closing(record))
                except CheckpointError as error:
                    refused(number, error)
                except Exception as error:
                    folder.write_failure(error)
                    finished(number, piece.how)
            for record in records.values():
                record.start()
            for number in fit(records, piece.workers):
                del records[number]
                finished(number, piece.how)
        except (Interrupted, Exception, SystemExit) as error:
            for number, record in records.items():
                interrupt(record)
                if record.folder.status != "interrupted" and not isinstance(error, Interrupted):
                    finished(number, piece.how)
            raise


def last_common_epoch(folders: Iterable[RunFolder]) -> int | None:
    """The last epoch from which all runs of a stack can go on; None: each from its own.

    Killed while it saved, a stack has left some of its runs an epoch behind the others.
    """
    # A run that has nothing to go on from holds back no other.
    kept = [epochs for folder in folders if (epochs := folder.epochs_kept())]
    return max(set.intersection(*kept), default=None) if kept else None


def interrupt(record: RunRecord) -> None:
    """Keeps an unfinished run as its last finished epoch has left it."""
    if record.folder.status in FINISHED:
        return  # just now, with others of its stack
    try:
        record.interrupted()
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
        first = runs[0].config
        begun = min(run.module.epoch for run in runs)
        label = f"{len(runs)} runs"
        with closing(Bar(label, first.epochs, begun, first.trainer.progress)) as bar:
            while runs:
                by_module = {run.module: run for run in runs}
                ended = [run for run in runs if run.module.epoch == run.config.epochs]
                if ended:
                    # All are saved before the first has a result: those left go on as they are.
                    machine.each(save, ended)
                    last = machine.stacks([run.module for run in ended])
                    machine.each(test, last, by_module, machine)
                else:
                    stacks = stacks or machine.stacks([run.module for run in runs])
                    broken = machine.each(train_epoch, stacks, by_module, machine, bar)
                    with uninterrupted():  # or some would stand an epoch before the others
                        diverged = machine.each(
                            record_epoch, zip(stacks, broken, strict=True), by_module, machine
                        )
                    bar.epoch_ended(*outcome(runs))
                    ended = [run for part in diverged for run in part]
                    if any(run.record.due for run in runs):
                        machine.each(save, [run for run in runs if run not in ended])
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
    stack: Stack, runs: dict[RunModule, Run], machine: Machine, bar: Bar
) -> list[int | None]:
    """One epoch of every run of a stack, measured: `Stack.end_epoch`, or nothing if it is to stop."""
    mine = [runs[module] for module in stack.modules]
    last = stack.steps_per_epoch - 1
    shown = 0
    start = time.perf_counter()
    stack.start_epoch()
    for number in range(stack.steps_per_epoch):
        if machine.stopped.is_set():
            return []
        if number == last:
            for run in mine:
                run.recorder.on_train_batch_start(machine.trainer, run.module, [number], number)
        stack.step(number)
        if (last - number) % STEPS_PER_BLOCK == 0:
            bar.advance((number + 1 - shown) / stack.steps_per_epoch * len(mine) / len(runs))
            shown = number + 1
    machine.wait()
    share = (time.perf_counter() - start) / len(runs)
    for run in mine:
        run.module.seconds += share
    return stack.end_epoch()


def record_epoch(
    ended: tuple[Stack, list[int | None]], runs: dict[RunModule, Run], machine: Machine
) -> list[Run]:
    """Records the epoch that a stack has ended; returns the runs that diverged in it."""
    stack, broken = ended
    diverged = []
    for module, step in zip(stack.modules, broken, strict=True):
        run = runs[module]
        try:
            if step:
                raise Diverged((module.epoch - 1) * stack.steps_per_epoch + step)
            run.recorder.record_epoch(module)
        except Diverged as error:
            run.record.diverged(error.step, *machine.described(module))
            diverged.append(run)
    return diverged


def outcome(runs: Sequence[Run]) -> tuple[int, str]:
    """The epoch that is behind all of them, and how well they do."""
    accuracies = [run.module.metrics["val/accuracy"] for run in runs]
    shown = f"val accuracy best {max(accuracies):.2%}, median {median(accuracies):.2%}"
    return min(run.module.epoch for run in runs), shown


def save(run: Run) -> None:
    run.record.save()


def test(stack: Stack, runs: dict[RunModule, Run], machine: Machine) -> None:
    """Tests the last or the best weights of each run of a stack and writes its results."""
    mine = [runs[module] for module in stack.modules]
    for run in mine:
        if run.config.select == "best":
            run.module.network.load_state_dict(run.record.best["state_dict"])
    labels = stack.data.test.labels.cpu().numpy()
    for run, (metrics, probabilities) in zip(mine, stack.tested(), strict=True):
        described = machine.described(run.module)
        run.record.complete(metrics, probabilities.cpu().numpy(), labels, *described)
