"""The runner in real processes that can be killed, each started in a moment.

A server that has imported torch and Lightning forks a process for every command: its own memory, its own
signals, its own end, without the seconds of a fresh start.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from conftest import Finished

from runner.__main__ import main

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "runner.__main__",
        "runner.training.train",
        "sklearn.datasets",
        "pytest",
        "tensorboard.backend.event_processing.event_accumulator",
    ]
)
TINY = (
    "data.train_size=64",
    "trainer.progress=false",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
)

Fault = Callable[[], object]


@dataclass
class Child:
    """A process and the files with what it says."""

    process: ForkServerProcess
    out: Path
    err: Path

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process.pid
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(self.process.pid, number)

    def end(self, within: float = 120) -> Finished:
        self.process.join(within)
        assert self.process.exitcode is not None, "it does not end"
        return Finished(self.process.exitcode, self.out.read_text(), self.err.read_text())

    def wait_until(self, happened: Callable[[], bool], within: float = 60) -> None:
        deadline = time.monotonic() + within
        while not happened():
            assert self.process.exitcode is None, self.err.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)


def start(folder: Path, *arguments: str, fault: Fault | None = None) -> Child:
    """`python -m runner ARGUMENTS` in a folder; `fault` is called in the process before."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob("*.out")))
    out, err = folder / f"{number}.out", folder / f"{number}.err"
    out.touch()
    err.touch()
    process = SERVER.Process(target=_child, args=(folder, arguments, fault, out, err))
    process.start()
    return Child(process, out, err)


def run(folder: Path, *arguments: str, fault: Fault | None = None) -> Finished:
    return start(folder, *arguments, fault=fault).end()


def _child(
    folder: Path, arguments: tuple[str, ...], fault: Fault | None, out: Path, err: Path
) -> None:
    os.chdir(folder)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    if fault:
        fault()
    sys.exit(main(arguments))


def at_step(number: int, signal_number: int = signal.SIGKILL) -> None:
    """A fault: the process gets a signal in its update of this number, of a run or a stack."""
    from runner.training.module import RunsModule

    left, original = [number], RunsModule.step

    def step(module: RunsModule, number: int) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal_number)
        original(module, number)

    RunsModule.step = step  # type: ignore[method-assign]


def seeds_fail(seeds: tuple[int, ...], error: BaseException) -> None:
    """The networks of these seeds cannot be built."""
    from runner.training import plan, train

    original = train.build_run

    def build_run(config: Any) -> Any:
        if config.seed in seeds:
            raise error
        return original(config)

    train.build_run = plan.build_run = build_run
