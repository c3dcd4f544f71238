"""Trains any number of runs in their folders; those that fit together as one model.

It knows nothing of Hydra. From Python, with configurations and folders:

    train_all([(config, path), ...], tell=print)
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from threading import Event

import torch

from runner.config.schema import Config
from runner.errors import CheckpointError, DataError, LockedError, summary
from runner.runs.folder import FINISHED, RunFolder
from runner.runs.writer import RunRecord
from runner.training.build import build_module, build_run, lightning_trainer
from runner.training.groups import (
    Assignment,
    Piece,
    begun_pieces,
    companions,
    counted,
    evenly,
    former_pieces,
    grouped,
    sizes,
)
from runner.training.plan import MAX_WIDTH, Plan, fastest_plan, widest_plan
from runner.training.progress import Bar, Bars
from runner.training.recorder import Recorder, RecorderCallback
from runner.training.run import Run
from runner.training.threads import set_threads, step_flops
from runner.training.workers import carried_out

ENDED = (*FINISHED, "pruned")


@dataclass(frozen=True)
class Ended:
    """A run has ended: it is complete, diverged, pruned or failed."""

    number: int  # its place among the assignments


@dataclass(frozen=True)
class Refused:
    """A run cannot begin: locked by another process, or damaged."""

    number: int
    error: Exception


# Given the runs after an epoch, by number: those that are to be trained no further, and why.
Prune = Callable[[dict[int, Run]], Mapping[int, str]]


def train_all(
    assignments: Sequence[Assignment],
    tell: Callable[[str], object],
    finished: Callable[[int, str], object] = lambda number, how: None,
    refused: Callable[[int, Exception], object] = lambda number, error: None,
    width: int | None = None,
    max_width: int = MAX_WIDTH,
    prune: Prune | None = None,
    bars: Callable[[], Bars] = Bars,
) -> None:
    """Trains and tests every run in its folder, stack by stack; goes on where it was interrupted.

    Args:
        assignments: The runs.
        tell: Is told in a line how each group of runs is trained, and why.
        finished: Is called with a run's place in `assignments` as soon as it has ended, and its line.
        refused: Is called for a run that cannot begin: locked by a process, damaged, or without a folder.
        width: Runs per stack; 1 trains them one by one. None measures which is fastest, or with `prune`
            takes as many as fit: what is measured may differ after a kill, and other last bits of the
            metrics may then give up other runs.
        max_width: The largest width to try.
        prune: Chooses, after each epoch of a stack, which of its runs are given up, and why. They leave
            the stack, and the others go on in it. None gives up none.
        bars: Makes the progress bars of a group.

    Raises:
        Interrupted: A signal; what was trained so far is in the folders.
    """
    gone: set[int] = set()  # refused
    for what, members in grouped([config for config, _ in assignments]):
        choose = fastest_plan if prune is None else widest_plan
        pieces, workers = planned(what, members, assignments, tell, width, max_width, choose)
        stopped = Event()
        with bars() as shown:

            def work(piece: Piece) -> Iterator[Ended | Refused]:
                return train_piece(piece, assignments, shown, stopped, prune)  # noqa: B023

            for piece, outcome in carried_out(work, pieces, workers, stopped):
                match outcome:
                    case Ended(number):
                        finished(number, piece.how)
                    case Refused(number, error):
                        gone.add(number)
                        refused(number, error)
                    case Exception() if len(piece.runs) == 1:
                        # Not even its folder could be made or locked, on a full disk, say.
                        gone.update(piece.runs)
                        refused(piece.runs[0], outcome)
                    case BaseException():
                        # Too large, or one of them is at fault: in the end that one fails alone.
                        left = [
                            n for n in piece.runs if n not in gone and unfinished(assignments[n])
                        ]
                        pieces.extendleft(halves(piece, left, what, outcome, tell))


def planned(
    what: str,
    members: Sequence[int],
    assignments: Sequence[Assignment],
    tell: Callable[[str], object],
    width: int | None,
    max_width: int,
    choose: Callable[[Sequence[Config], int | None, int], Plan],
) -> tuple[deque[Piece], int]:
    """The stacks of a group of runs, and how many of them are trained side by side."""
    begun: list[Piece] = []
    if choose is widest_plan:  # the plan that a killed process had
        plan = choose([assignments[n][0] for n in members], width, max_width)
        begun = begun_pieces(evenly(members, plan.width), assignments, plan.workers)
    left = {n: assignments[n] for n in members if not any(n in piece.runs for piece in begun)}
    former = begun + former_pieces(left, width or max_width)
    pieces = deque(former)
    for piece in former:
        piece.how = f"{counted(piece.runs)}{what}, as one again"
        tell(piece.how)
    again = {n for piece in former for n in piece.runs}
    workers = max((piece.workers for piece in former), default=1)
    if fresh := [n for n in members if n not in again]:
        plan = choose([assignments[n][0] for n in fresh], width, max_width)
        parts = list(evenly(fresh, plan.width))
        how = f"{counted(fresh)}{what}, {sizes(parts, plan.workers)} ({plan.why})"
        tell(how)
        pieces.extend(Piece(part, plan.workers, how) for part in parts)
        workers = max(workers, plan.workers)
    return pieces, workers


def unfinished(assignment: Assignment) -> bool:
    return RunFolder(assignment[1]).status not in (*ENDED, "failed")


def halves(
    piece: Piece, left: list[int], what: str, error: BaseException, tell: Callable[[str], object]
) -> list[Piece]:
    """What is left of a stack that failed, in two pieces; the last one first."""
    if not left:
        return []
    parts = list(evenly(left, (len(piece.runs) + 1) // 2))
    reason = (
        "more did not fit into memory"
        if isinstance(error, torch.OutOfMemoryError)
        else f"to find which fails: {summary(error)}"
    )
    how = f"{counted(left)}{what}, {sizes(parts)} ({reason})"
    tell(how)
    return [Piece(part, piece.workers, how) for part in reversed(parts)]


# One stack


def train_piece(
    piece: Piece,
    assignments: Sequence[Assignment],
    bars: Bars,
    stopped: Event,
    prune: Prune | None = None,
) -> Iterator[Ended | Refused]:
    """Trains and tests runs as one, each from where it stands, to their end.

    Raises:
        Interrupted: As `train_all`.
        Exception: Whatever goes wrong with several; the runs stand where their last finished epoch
            has left them. What goes wrong with one is told in its folder.
    """
    with ExitStack() as files:
        folders: dict[int, RunFolder] = {}
        records: dict[int, RunRecord] = {}
        try:
            for number in piece.runs:
                config, path = assignments[number]
                folder, lock = RunFolder(path), files.enter_context(ExitStack())
                try:
                    lock.enter_context(folder.lock())
                except (LockedError, DataError) as error:
                    yield Refused(number, error)
                    continue
                if config.resume and folder.status in FINISHED:  # by another process, just now
                    lock.close()
                    yield Ended(number)
                else:
                    folders[number] = folder
            up_to = last_common_epoch(folders.values()) if piece.again else None
            for number, folder in folders.items():
                try:
                    record = RunRecord(
                        assignments[number][0],
                        folder,
                        up_to,
                        companions(piece.runs, assignments, piece.workers),
                    )
                    records[number] = files.enter_context(closing(record))
                except CheckpointError as error:
                    yield Refused(number, error)
                except Exception as error:
                    folder.write_failure(error)
                    yield Ended(number)
            for record in records.values():
                record.start()
            for number in fit(records, piece, bars, stopped, prune):
                del records[number]
                yield Ended(number)
        except (Exception, SystemExit) as error:
            if len(piece.runs) == 1 and records:
                for number, record in records.items():
                    record.folder.write_failure(error)
                    yield Ended(number)
                return
            for number, record in records.items():
                if not interrupted(record):
                    yield Ended(number)
            raise
        except BaseException:
            for record in records.values():
                interrupted(record)
            raise


def last_common_epoch(folders: Iterable[RunFolder]) -> int | None:
    """The last epoch from which all runs of a stack can go on; None: each from its own.

    Killed while it saved, a stack has left some of its runs an epoch behind the others.
    """
    # A run that has nothing to go on from holds back no other.
    kept = [epochs for folder in folders if (epochs := folder.epochs_kept())]
    return max(set.intersection(*kept), default=None) if kept else None


def interrupted(record: RunRecord) -> bool:
    """Keeps an unfinished run as its last finished epoch has left it; whether that went well."""
    if record.folder.status in ENDED:
        return True  # just now, with others of its stack
    try:
        record.interrupted()
    except OSError as error:
        record.folder.write_failure(error)
        return False
    return True


def fit(
    records: dict[int, RunRecord], piece: Piece, bars: Bars, stopped: Event, prune: Prune | None
) -> Iterator[int]:
    """Trains and tests runs as one; yields the number of each as it ends.

    Lightning trains until one of them ends. The others go on in a module of their own, from the state
    that their records keep.
    """
    if not records:
        return
    runs = {build_run(record.config): number for number, record in records.items()}
    of_run = {run: records[number] for run, number in runs.items()}
    configs = [record.config for record in of_run.values()]
    if piece.workers == 1:
        set_threads(configs[0].trainer.threads, len(runs) * step_flops(configs[0]))
    first = configs[0]
    label = (
        f"{len(runs)} runs" if len(runs) > 1 else next(iter(of_run.values())).folder.path.name[:40]
    )
    begun = min(record.epoch for record in of_run.values())
    with closing(Bar(bars, label, len(runs), first.epochs, begun, first.trainer.progress)) as bar:
        while of_run:
            for run, record in of_run.items():
                if record.checkpoint:
                    run.resume(record.checkpoint)
            trained = [run for run in of_run if run.epoch == run.epochs]
            # All are saved before the first has a result: those left go on as they are.
            for run in trained:
                of_run[run].save()
            recorder = Recorder(of_run, prune and by_run(prune, runs))
            recorder.give_up_begun()
            callbacks = [RecorderCallback(recorder, bar, stopped)]
            if recorder.ended:
                trained = []
            elif trained:
                test(trained, of_run, callbacks)
            else:
                train(list(of_run), of_run, callbacks)
            for run in [*trained, *recorder.ended]:
                del of_run[run]
                yield runs[run]


def by_run(prune: Prune, numbers: dict[Run, int]) -> Callable[[Iterable[Run]], dict[Run, str]]:
    """Which runs the caller gives up, who knows them by number."""

    def pruned(now: Iterable[Run]) -> dict[Run, str]:
        of_number = {numbers[run]: run for run in now}
        return {of_number[number]: why for number, why in prune(of_number).items()}

    return pruned


def train(
    runs: list[Run], records: dict[Run, RunRecord], callbacks: list[RecorderCallback]
) -> None:
    """Trains runs until one of them ends."""
    configs = [records[run].config for run in runs]
    left = min(run.epochs - run.epoch for run in runs)
    trainer = lightning_trainer(configs[0], left, [*callbacks])
    device, precision = trainer.strategy.root_device, trainer.precision_plugin.forward_context
    trainer.fit(build_module(configs, runs, device, precision))


def test(runs: list[Run], records: dict[Run, RunRecord], callbacks: list[RecorderCallback]) -> None:
    """Tests the last or the best weights of runs."""
    configs = [records[run].config for run in runs]
    for run in runs:
        if records[run].config.select == "best":
            run.load_weights(records[run].best["state_dict"])
    trainer = lightning_trainer(configs[0], 0, [*callbacks])
    device, precision = trainer.strategy.root_device, trainer.precision_plugin.forward_context
    trainer.test(build_module(configs, runs, device, precision), verbose=False)
