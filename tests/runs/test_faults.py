"""What goes wrong while runs are trained: signals, full disks, exceptions, a second process.

Faults are planted in real processes (see processes.py) by the functions below; everything else is real.
"""

import csv
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from conftest import Command
from processes import SERVER, TINY, Child, at_step, run, seeds_fail, start

from runner import ensembles
from runner.runs.folder import RunFolder

EVERY_EPOCH = "trainer.checkpoint_seconds=0"
LAUNCHERS = {"basic": ["hydra/launcher=basic"], "stacked": ["hydra.launcher.width=6"]}
SIX = ["-m", "seed=0,1,2,3,4,5", "epochs=3", EVERY_EPOCH, *TINY]
SHM = Path("/dev/shm")


def statuses(root: Path) -> list[str | None]:
    """Of the six runs, by seed; None for a run that was not started."""
    found = {json.loads(p.read_text())["seed"]: p.parent for p in configs(root)}
    return [RunFolder(found[seed]).status if seed in found else None for seed in range(6)]


def configs(root: Path) -> Iterator[Path]:
    import yaml

    for path in root.glob("outputs/runs/*-*/config.yaml"):
        (path.parent / "seed.json").write_text(json.dumps(yaml.safe_load(path.read_text())))
        yield path.parent / "seed.json"


def table(root: Path) -> list[dict[str, str]]:
    with (root / "outputs/runs/sweep.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def only_folder(root: Path) -> RunFolder:
    (path,) = root.glob("outputs/runs/*-*")
    return RunFolder(path)


# Faults


def breaks_at(step: int) -> None:
    """The weights are not finite after this update of a run alone."""
    from runner.training.module import RunsModule

    original, left = RunsModule.step, [step]

    def broken(module: RunsModule, number: int) -> None:
        original(module, number)
        left[0] -= 1
        if not left[0]:
            module.networks.parameters[0][0, 0] = float("nan")

    RunsModule.step = broken  # type: ignore[method-assign]


def no_room(epoch: int, limit: int, all_files: bool = False) -> None:
    """No file can be longer than `limit` when the first run saves after an epoch, or from then on."""
    from runner.runs.writer import RunRecord

    original = RunRecord.save
    struck: list[Path] = []
    everything = resource.getrlimit(resource.RLIMIT_FSIZE)

    def save(record: RunRecord) -> None:
        path = record.folder.path
        if record.epoch == epoch and struck in ([], [path]):
            if not struck:
                shutil.copytree(path / "checkpoints", path.parent.parent / "before")
            struck[:] = [path]
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, everything[1]))
        try:
            original(record)
        finally:
            if not all_files:
                resource.setrlimit(resource.RLIMIT_FSIZE, everything)

    RunRecord.save = save  # type: ignore[method-assign]


def slow_disk(seconds: float) -> None:
    """Whatever is flushed to the disk takes so long."""
    original = os.fsync

    def fsync(file: int) -> None:
        time.sleep(seconds)
        original(file)

    os.fsync = fsync


# Checkpoints


def saves_until_killed(path: Path) -> NoReturn:
    import torch

    folder = RunFolder(path)
    with folder.lock():
        checkpoint = folder.load_checkpoint("last") or {"epoch": 0}
        epoch = checkpoint["epoch"]
        (path / "begun").write_text("")
        while True:
            epoch += 1
            state = {"w": torch.full((100_000,), float(epoch))}
            best = {"epoch": epoch, "state_dict": state}
            rest = {"seconds": 0.0, "optimizer_states": [state], "state_dict": state}
            folder.save_checkpoint("best", best)
            folder.save_checkpoint("last", {"epoch": epoch, "best": best, **rest})


@pytest.mark.parametrize("where", ["same file system", "another file system"])
def test_killed_in_a_save_there_is_always_a_checkpoint(tmp_path: Path, where: str) -> None:
    """SIGKILL at twenty random moments of a process that does nothing but save."""
    path = tmp_path
    if where == "another file system":
        if not SHM.is_dir() or SHM.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("no other file system here")
        path = SHM / f"runner-{os.getpid()}"
        path.mkdir()
    draw, reached, half_written = random.Random(0), 0, 0
    try:
        for _ in range(20):
            (path / "begun").unlink(missing_ok=True)
            process = SERVER.Process(target=saves_until_killed, args=(path,))
            process.start()
            while not (path / "begun").exists() or not RunFolder(path).checkpoints._sums():
                process.join(0.002)
            process.join(draw.uniform(0, 0.03))
            process.kill()
            process.join()
            half_written += len(list((path / "checkpoints").glob(".*")))
            checkpoint = RunFolder(path).load_checkpoint("last")
            if checkpoint or reached:
                assert checkpoint
                assert checkpoint["epoch"] >= reached
                assert (checkpoint["state_dict"]["w"] == checkpoint["epoch"]).all()
                reached = checkpoint["epoch"]
        assert reached > 5
        assert half_written > 0  # some were killed while they wrote
        with RunFolder(path).lock():
            assert not list((path / "checkpoints").glob(".*"))
    finally:
        if path != tmp_path:
            shutil.rmtree(path)


@pytest.mark.parametrize(
    ("limit", "how"),
    [
        pytest.param(0, "basic", id="sums"),
        pytest.param(10_000, "basic", id="best", marks=pytest.mark.slow),
        pytest.param(90_000, "basic", id="last"),
        pytest.param(0, "stacked", id="sums-stacked", marks=pytest.mark.slow),
        pytest.param(90_000, "stacked", id="last-stacked"),
    ],
)
def test_a_full_disk_leaves_the_checkpoints_as_they_are(
    tmp_path: Path, limit: int, how: str
) -> None:
    words = ["-m", "seed=0,1", *LAUNCHERS[how]] if how == "stacked" else []
    words += ["optimizer=adam", "epochs=4", EVERY_EPOCH, *TINY]
    ended = run(tmp_path, *words, fault=partial(no_room, 3, limit))
    assert ended.code == (3 if how == "stacked" else 1)
    assert "OSError: [Errno 27] File too large" in ended.err and "Traceback" not in ended.err
    broken = [p for p in tmp_path.glob("outputs/runs/*-*") if RunFolder(p).status == "failed"]
    (path,) = broken
    before = {p.name: p.read_bytes() for p in (tmp_path / "outputs/before").iterdir()}
    after = {p.name: p.read_bytes() for p in (path / "checkpoints").iterdir()}
    kept = set(before) - ({"best.ckpt", "SHA256SUMS"} if limit == 90_000 else set())
    assert {"last.ckpt", "previous.ckpt"} <= kept
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert "File too large" in (path / "error.txt").read_text()
    again = run(tmp_path, *words)
    assert (again.code, again.err) == (0, "")


@pytest.mark.slow
def test_a_disk_too_full_to_say_so(tmp_path: Path) -> None:
    """Not even the status can be written: it is told on the screen, and the next start goes on."""
    words = ["epochs=4", EVERY_EPOCH, *TINY]
    program = (
        "import sys; sys.path[:0] = [sys.argv.pop(1), sys.argv.pop(1)];"
        "import test_faults; test_faults.no_room(2, 0, True);"
        "from runner.__main__ import main; sys.exit(main())"
    )
    line = [
        sys.executable,
        "-c",
        program,
        str(Path(__file__).parents[1]),
        str(Path(__file__).parent),
        *words,
    ]
    ended = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "File too large" in ended.stderr and "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 6
    assert run(tmp_path, *words).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", LAUNCHERS)
def test_a_disk_that_is_really_full(tmp_path: Path, how: str) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", str(outputs)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        words = ["-m", "seed=0,1,2,3,4,5", "optimizer=adam", "epochs=4", EVERY_EPOCH, *TINY]
        ended = run(tmp_path, *words, *LAUNCHERS[how])
        assert ended.code in (1, 3)
        assert "No space left on device" in ended.err and "Traceback" not in ended.err
        subprocess.run(["mount", "-o", "remount,size=20m", str(outputs)], check=True)
        again = run(tmp_path, *words, *LAUNCHERS[how])
        assert again.code == 0 and "damaged" not in again.err
    finally:
        subprocess.run(["umount", str(outputs)], check=True)


# One run


@pytest.mark.parametrize("flags", [[], ["-m"]], ids=["run", "sweep"])
@pytest.mark.parametrize("place", ["outputs", "outputs/runs"])
def test_a_folder_that_cannot_be_written_to(
    command: Command, tmp_path: Path, place: str, flags: list[str]
) -> None:
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("a file, no folder")
    code, out, err = command(*flags, "epochs=1", *TINY)
    assert (code, out) == (1, "")
    assert place in err and len(err.splitlines()) == 1
    assert path.read_text() == "a file, no folder"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("no luck\nat all"), "failed: RuntimeError: no luck; see outputs/"),
        (SystemExit(0), "failed: SystemExit: 0; see outputs/"),
        (MemoryError(), "failed: MemoryError: ; see outputs/"),
    ],
    ids=repr,
)
def test_an_exception_is_one_line_and_a_file(
    tmp_path: Path, error: BaseException, said: str
) -> None:
    ended = run(tmp_path, "epochs=1", *TINY, fault=partial(seeds_fail, (0,), error))
    assert ended.code == 1
    assert ended.err.startswith(said) and len(ended.err.splitlines()) == 1
    folder = only_folder(tmp_path)
    assert folder.status == "failed"
    text = (folder.path / "error.txt").read_text()
    assert text.startswith("Traceback") and type(error).__name__ in text
    assert run(tmp_path, "epochs=1", *TINY).code == 0
    assert not (folder.path / "error.txt").exists()


def test_a_run_that_diverges_keeps_what_was_finite(tmp_path: Path) -> None:
    import torch

    words = ["epochs=4", "optimizer=adam", "regularizer=batch_norm", *TINY]
    ended = run(tmp_path, *words, fault=partial(breaks_at, 5))  # in the third epoch of two updates
    assert ended.code == 1 and "not finite at step" in ended.err
    folder = only_folder(tmp_path)
    assert folder.status == "diverged"
    assert [line["epoch"] for line in folder.metrics()] == [0, 1, 2]
    last, best = (folder.load_checkpoint(name) for name in ("last", "best"))
    assert last and best and last["epoch"] == 2
    whole = run(tmp_path, *words, "name=whole", fault=partial(at_step, 5))
    assert whole.code == -9
    for checkpoint in (last, best):
        assert all(torch.isfinite(w).all() for w in checkpoint["state_dict"].values())
    accuracies = [line["val/accuracy"] for line in folder.metrics()[1:]]
    assert best["epoch"] == accuracies.index(max(accuracies)) + 1


def test_a_second_process_and_a_dead_owner(tmp_path: Path) -> None:
    words = ["epochs=2000", EVERY_EPOCH, *TINY]
    first = start(tmp_path, *words)
    first.wait_until(lambda: any(tmp_path.glob("outputs/runs/*/checkpoints/previous.ckpt")))
    second = run(tmp_path, *words)
    assert second.code == 2
    assert second.err.splitlines() == [
        f"{only_folder(tmp_path).path.relative_to(tmp_path)}:"
        f" process {first.process.pid} is training this run on {socket.gethostname()}"
    ]
    both = ["-m", "seed=0,1", *words, *LAUNCHERS["stacked"]]
    sweep = run(tmp_path, *both, fault=partial(at_step, 9, 15))
    assert f"process {first.process.pid} is training this run" in sweep.err
    epoch = only_running(tmp_path).metrics()[-1]["epoch"]
    first.wait_until(lambda: only_running(tmp_path).metrics()[-1]["epoch"] > epoch)
    first.kill()
    assert first.end().code == -9
    third = start(tmp_path, *words)
    status = only_running(tmp_path).path / "status.json"
    third.wait_until(lambda: json.loads(status.read_text())["pid"] == third.process.pid)
    assert json.loads(status.read_text())["epoch"] >= epoch
    third.kill(signal.SIGTERM)
    assert third.end().code == 143


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
    child = start(tmp_path, *words, fault=partial(slow_disk, 0.03))
    child.wait_until(lambda: begun_or_ended(tmp_path, child))
    child.process.join(0.1)
    for number in numbers:
        child.kill(number)
        child.process.join(gap)
    ended = child.end()
    # The system hands over in its own order what comes at once.
    assert ended.code - 128 in (numbers[:1] if gap else numbers), ended.err
    assert ended.err.splitlines()[-1].endswith("The same command goes on from here.")
    assert "Traceback" not in ended.err
    found = [RunFolder(path).status for path in tmp_path.glob("outputs/runs/*-*")]
    assert set(found) - {None} == {"interrupted"}


def test_a_run_folder_that_is_deleted_fails(tmp_path: Path) -> None:
    words = ["epochs=100000", *TINY]
    child = start(tmp_path, *words)
    child.wait_until(lambda: begun_or_ended(tmp_path, child))
    shutil.rmtree(only_folder(tmp_path).path, ignore_errors=True)
    ended = child.end()
    assert ended.code == 1
    assert "was deleted while its run was being trained; see outputs/" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert only_folder(tmp_path).status == "failed"
    assert run(tmp_path, "epochs=2", *TINY).code == 0


@pytest.mark.parametrize("how", LAUNCHERS)
def test_one_deleted_folder_of_a_sweep(tmp_path: Path, how: str) -> None:
    words = ["-m", "seed=0,1,2,3,4,5", "epochs=300", *TINY, *LAUNCHERS[how]]
    child = start(tmp_path, *words)
    (path,) = wait_for_first(child, tmp_path, "seed=0-*")
    shutil.rmtree(path, ignore_errors=True)
    ended = child.end()
    assert ended.code == 3, ended.err
    assert (
        "was deleted while its run was being trained" in ended.err and "Traceback" not in ended.err
    )
    found = [RunFolder(p).status for p in sorted(tmp_path.glob("outputs/runs/seed=*-*"))]
    assert found == ["failed", *["complete"] * 5]


def wait_for_first(child: Child, root: Path, pattern: str) -> list[Path]:
    child.wait_until(lambda: any(root.glob(f"outputs/runs/{pattern}/metrics.jsonl")))
    return list(root.glob(f"outputs/runs/{pattern}"))


@pytest.mark.parametrize("part", ["metrics.jsonl", ".lock"])
def test_a_part_that_is_deleted_is_not_made_anew(tmp_path: Path, part: str) -> None:
    """Or a run would end complete with half its curves."""
    child = start(tmp_path, "epochs=100000", *TINY)
    child.wait_until(lambda: begun_or_ended(tmp_path, child))
    (only_folder(tmp_path).path / part).unlink()
    ended = child.end()
    assert (ended.code, only_folder(tmp_path).status) == (1, "failed"), ended.err


def only_running(root: Path) -> RunFolder:
    (path,) = (p for p in root.glob("outputs/runs/*-*") if RunFolder(p).status == "running")
    return RunFolder(path)


def inside_a_slurm_job(bin_folder: Path) -> None:
    os.environ |= {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "SLURM_JOB_ID": "1", "SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1",
        "SLURM_NODEID": "1", "SLURM_JOB_NAME": "train", "SLURM_NODELIST": "n1",
    }  # fmt: skip


def test_a_run_is_no_task_of_the_slurm_job_that_it_is_started_in(tmp_path: Path) -> None:
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text("#!/bin/sh\nexit 1\n")
    srun.chmod(0o755)
    ended = run(tmp_path, "epochs=1", *TINY, fault=partial(inside_a_slurm_job, srun.parent))
    assert (ended.code, ended.err) == (0, "")
    assert only_folder(tmp_path).status == "complete"


# Sweeps


@pytest.mark.parametrize("how", LAUNCHERS)
def test_two_of_six_runs_fail(tmp_path: Path, how: str) -> None:
    fault = partial(seeds_fail, (2, 4), RuntimeError("cursed"))
    ended = run(tmp_path, *SIX, *LAUNCHERS[how], fault=fault)
    assert ended.code == 3 and "Traceback" not in ended.err
    expected = ["complete", "complete", "failed", "complete", "failed", "complete"]
    assert statuses(tmp_path) == expected
    for seed in (2, 4):  # at once, and again at the end
        (line,) = (x for x in ended.out.splitlines() if f"seed={seed}" in x and x.startswith("["))
        assert "failed: RuntimeError: cursed; see outputs/runs/seed=" in line
        (line,) = (x for x in ended.err.splitlines() if f"seed={seed}" in x)
        assert "failed" in line and "see outputs/runs/seed=" in line
    assert ensembles.main([str(tmp_path / "outputs/runs")]) == 2
    again = run(tmp_path, *SIX, *LAUNCHERS[how])
    assert (again.code, again.err) == (0, "")
    assert "4 of 6 runs were finished before" in again.out


def test_a_run_that_fails_while_the_width_is_measured(tmp_path: Path) -> None:
    fault = partial(seeds_fail, (0,), RuntimeError("cursed"))
    ended = run(tmp_path, *SIX, fault=fault)
    assert ended.code == 3 and "Traceback" not in ended.err
    assert "6 runs, one by one (the measurement failed: RuntimeError: cursed)" in ended.out
    assert statuses(tmp_path) == ["failed", *["complete"] * 5]


@pytest.mark.parametrize("how", LAUNCHERS)
def test_fail_fast_stops_at_the_first_failure(tmp_path: Path, how: str) -> None:
    fault = partial(seeds_fail, (2, 4), SystemExit(0))
    ended = run(tmp_path, *SIX, "fail_fast=true", *LAUNCHERS[how], fault=fault)
    assert ended.code == 3
    assert ended.err.splitlines()[-1] == "seed=2 failed: stopped, because of fail_fast=true"
    assert "seed=2: SystemExit: 0; see outputs/runs/" in ended.err
    found = statuses(tmp_path)
    assert found[2] == "failed" and found[4] != "failed"
    assert (found[3], found[5]) == (None, None) if how == "basic" else True
    again = run(tmp_path, *SIX, *LAUNCHERS[how])  # the same runs: it is not in the hash
    assert again.code == 0
    assert f"{found.count('complete')} of 6 runs were finished before" in again.out


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


def begun_or_ended(root: Path, child: Child) -> bool:
    found = (json.loads(path.read_text()) for path in root.glob("outputs/runs/*-*/status.json"))
    return child.process.exitcode is not None or any(s["pid"] == child.process.pid for s in found)


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
