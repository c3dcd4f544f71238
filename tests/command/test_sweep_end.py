"""The end of a sweep: every run without a result is listed, with the reason."""

import signal
import socket
from functools import partial
from pathlib import Path

import pytest
from conftest import Command
from processes import TINY, run, seeds_fail, start

from runner.command.sweep_files import add_rows
from runner.runs.folder import RunFolder

SWEEP = ("-m", "seed=0,1,2", "epochs=1", *TINY)


def test_a_run_that_cannot_begin_is_listed_with_the_reason(
    command: Command, tmp_path: Path
) -> None:
    assert command("seed=1", "epochs=1", *TINY).code == 0
    (path,) = tmp_path.glob("outputs/runs/seed=1*")
    RunFolder(path).write_status("interrupted")
    for name in ("last", "previous"):
        (path / f"checkpoints/{name}.ckpt").write_bytes(b"damaged")
    code, out, err = command(*SWEEP)
    assert code == 3 and "Traceback" not in err
    place = path.relative_to(tmp_path)
    last = err.splitlines()[-1]
    assert last.startswith(f"interrupted: seed=1: {place}/checkpoints/last.ckpt is damaged")
    assert last.endswith(f"; see {place}")
    assert out.count("complete") == 0 and out.count("interrupted") == 1
    statuses = [RunFolder(p).status for p in tmp_path.glob("outputs/runs/*-*")]
    assert sorted(map(str, statuses)) == ["complete", "complete", "interrupted"]


@pytest.mark.parametrize(
    "damage", [b"seed;run\n0;a\n", b"", b"\xff", b"run\n../../x\n", b'"', b"run,run\n1,2,3\n"]
)
def test_a_damaged_table_costs_only_its_rows(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "sweep.csv").write_bytes(damage)
    path = add_rows(
        tmp_path, ["seed"], ["status", "run"], [{"seed": 0, "status": "failed", "run": "r"}]
    )
    assert path.read_text().splitlines()[:2] == ["seed,status,run", "0,failed,r"]


def test_a_run_of_another_process_is_listed_with_its_owner(tmp_path: Path) -> None:
    """It is waited for, unless the sweep stops before."""
    words = ("epochs=100000", *TINY)
    first = start(tmp_path, "seed=0", *words)
    first.wait_until(lambda: any(tmp_path.glob("outputs/runs/*/metrics.jsonl")))
    fault = partial(seeds_fail, (1,), RuntimeError("cursed"))
    ended = run(tmp_path, "-m", "seed=0,1,2", "fail_fast=true", *words, fault=fault)
    assert ended.code == 3
    owner = f"process {first.process.pid} is training this run on {socket.gethostname()}"
    assert f"\nrunning: seed=0: {owner}; see outputs/runs/" in ended.err
    assert "\nfailed: seed=1: RuntimeError: cursed; see outputs/runs/seed=1-" in ended.err
    assert "1 of 3 runs were not started." in ended.err
    first.kill(signal.SIGKILL)
    first.end()
