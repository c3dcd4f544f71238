"""What goes wrong while runs are trained: exceptions, a second process, folders that are deleted.

Faults are planted in real processes (see processes.py) by the functions below; everything else is real.
"""

import json
import os
import shutil
import signal
import socket
from functools import partial
from pathlib import Path

import pytest
from conftest import Command
from folders import EVERY_EPOCH, LAUNCHERS, SIX, begun_or_ended, only_folder, statuses
from processes import TINY, Child, at_step, run, seeds_fail, start

from runner import ensembles
from runner.runs.folder import RunFolder

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
