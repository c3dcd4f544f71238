"""Signals to processes that train: what was done is kept, and the same command goes on from there."""

import os
import random
import signal
import time
from functools import partial
from pathlib import Path
from types import FrameType

import pytest
from folders import LAUNCHERS, SIX, begun_or_ended, statuses, table
from processes import TINY, at_step, run, start

from runner.runs.folder import RunFolder


def slow_disk(seconds: float) -> None:
    """Whatever is flushed to the disk takes so long."""
    original = os.fsync

    def fsync(file: int) -> None:
        time.sleep(seconds)
        original(file)

    os.fsync = fsync


def noticed(file: Path) -> None:
    """As slow_disk; and a file says that the first signal has arrived."""
    from runner import interrupts

    slow_disk(0.03)
    original = interrupts._interrupt

    def interrupt(number: int, frame: FrameType | None = None) -> None:
        file.touch()
        original(number, frame)

    interrupts._interrupt = interrupt


HANGUP, CTRL_C = [signal.SIGHUP], [signal.SIGINT] * 3
ALL = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM]


@pytest.mark.parametrize(
    ("how", "numbers", "gap"),
    [
        ("alone", HANGUP, 0.0),
        ("alone", CTRL_C, 0.0),
        ("alone", CTRL_C, 0.02),
        ("alone", CTRL_C, 0.035),
        ("alone", ALL, 0.02),
        ("basic", CTRL_C, 0.02),
        ("stacked", HANGUP, 0.0),
        ("stacked", CTRL_C, 0.02),
        ("stacked", ALL, 0.0),
    ],
)
def test_signals_one_upon_the_other(
    tmp_path: Path, how: str, numbers: list[signal.Signals], gap: float
) -> None:
    """Whatever comes within 70 ms of the first finds the run being saved, to a slow disk."""
    words = ["epochs=100000", "optimizer=adam", *TINY]
    if how != "alone":
        words = ["-m", "seed=0,1,2,3,4,5", *LAUNCHERS[how], *words]
    arrived = tmp_path / "arrived"
    child = start(tmp_path, *words, fault=partial(noticed, arrived))
    child.wait_until(lambda: begun_or_ended(tmp_path, child))
    child.process.join(0.1)
    for number in numbers:
        child.kill(number)
        if gap:
            child.wait_until(arrived.exists)
            child.process.join(gap)
    ended = child.end()
    # The system hands over in its own order what comes at once.
    assert ended.code - 128 in (numbers[:1] if gap else numbers), ended.err
    assert ended.err.splitlines()[-1].endswith("The same command goes on from here.")
    assert "Traceback" not in ended.err
    found = [RunFolder(path).status for path in tmp_path.glob("outputs/runs/*-*")]
    assert set(found) - {None} == {"interrupted"}


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow, id="SIGINT"),
        pytest.param(signal.SIGTERM, id="SIGTERM"),
    ],
)
@pytest.mark.parametrize("how", LAUNCHERS)
def test_a_signal_in_a_sweep(tmp_path: Path, how: str, number: int) -> None:
    whole = start(tmp_path / "whole", *SIX, *LAUNCHERS[how])
    step = 2 * 6 + 4 if how == "basic" else 4  # in run 2, or in the second epoch of all
    ended = run(tmp_path, *SIX, *LAUNCHERS[how], fault=partial(at_step, step, number))
    assert ended.code == 128 + number
    assert "The same command goes on from here." in ended.err and "Traceback" not in ended.err
    stopped = ["complete"] * 2 + ["interrupted"] + [None] * 3
    assert statuses(tmp_path) == (stopped if how == "basic" else ["interrupted"] * 6)
    untouched = {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for done in tmp_path.glob("outputs/runs/*-*")
        if RunFolder(done).status == "complete"
        for path in done.rglob("*")
        if path.is_file()
    }
    again = run(tmp_path, *SIX, *LAUNCHERS[how])
    assert (again.code, again.err) == (0, "")
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in untouched} == untouched
    assert whole.end().code == 0
    assert table(tmp_path) == table(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("how", LAUNCHERS)
def test_signals_at_random_moments(tmp_path: Path, how: str, number: int) -> None:
    """Ten times: the exit code, no traceback, the statuses, and every checkpoint loads."""
    words = ["-m", "seed=0,1,2,3,4,5", "epochs=300", "trainer.checkpoint_seconds=1", *TINY]
    draw = random.Random(int(number))
    for _ in range(10):
        child = start(tmp_path, *words, *LAUNCHERS[how])
        child.wait_until(partial(begun_or_ended, tmp_path, child))
        child.process.join(draw.uniform(0, 2))
        child.kill(number)
        ended = child.end()
        assert ended.code in (128 + number, 0)
        assert "Traceback" not in ended.err
        assert "running" not in statuses(tmp_path)
        for path in tmp_path.glob("outputs/runs/*-*"):
            RunFolder(path).load_checkpoint("last")


@pytest.mark.slow
@pytest.mark.parametrize("how", LAUNCHERS)
def test_killed_at_random_until_done_costs_at_most_half_as_much_again(
    tmp_path: Path, how: str
) -> None:
    """In seconds of the processor, which other processes do not change as much as those of a clock."""
    words = ["-m", "seed=0,1,2,3,4,5", "epochs=1500", "trainer.checkpoint_seconds=2", *TINY]

    def spent(folder: Path, kills: int) -> float:
        draw, total = random.Random(0), 0.0
        while True:
            child = start(folder, *words, *LAUNCHERS[how])
            pid = child.process.pid
            if kills:
                child.process.join(draw.uniform(3, 12))
            kills -= 1
            seconds = 0.0
            while child.process.exitcode is None:
                seconds = max(seconds, processor_seconds(pid))
                if kills >= 0:
                    child.kill()
                child.process.join(0.2)
            total += seconds
            if child.end().code == 0:
                return total

    clean = spent(tmp_path / "clean", 0)
    assert spent(tmp_path / "killed", 5) <= 1.5 * clean
    assert table(tmp_path / "killed") == table(tmp_path / "clean")


def processor_seconds(pid: int | None) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:  # it has just ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
