"""A process that is killed while it saves: there is always a checkpoint that can be loaded."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from processes import SERVER

from runner.runs.folder import RunFolder

SHM = Path("/dev/shm")
OPERATIONS = ("fsync", "replace", "unlink")  # of os, of which a save consists
KILLS = 40  # the first after no save, the last after three


def killed_at(number: int) -> None:
    """SIGKILL before this operation, counted from 1, on the files of checkpoints."""
    left = [number]

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return operation

    for name in OPERATIONS:
        setattr(os, name, counted(getattr(os, name)))


def saves_until_killed(path: Path, number: int) -> NoReturn:
    import torch

    folder = RunFolder(path)
    with folder.lock():
        checkpoint = folder.load_checkpoint("last") or {"epoch": 0}
        epoch = checkpoint["epoch"]
        killed_at(number)
        while True:
            epoch += 1
            state = {"w": torch.full((100_000,), float(epoch))}
            best = {"epoch": epoch, "state_dict": state}
            rest = {"seconds": 0.0, "optimizer_states": [state], "state_dict": state}
            folder.save_checkpoint("best", best)
            folder.save_checkpoint("last", {"epoch": epoch, "best": best, **rest})


@pytest.mark.parametrize("where", ["same file system", "another file system"])
def test_there_is_always_a_checkpoint(tmp_path: Path, where: str) -> None:
    """SIGKILL before each step of a save, in a process that does nothing but save."""
    path = tmp_path
    if where == "another file system":
        if not SHM.is_dir() or SHM.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("no other file system here")
        path = SHM / f"runner-{os.getpid()}"
        path.mkdir()
    reached, half_written = 0, 0
    try:
        for number in range(1, KILLS + 1):
            process = SERVER.Process(target=saves_until_killed, args=(path, number))
            process.start()
            process.join(60)
            assert process.exitcode == -signal.SIGKILL
            half_written += len(list((path / "checkpoints").glob(".*")))
            checkpoint = RunFolder(path).load_checkpoint("last")
            if checkpoint or reached:
                assert checkpoint
                assert checkpoint["epoch"] >= reached
                assert (checkpoint["state_dict"]["w"] == checkpoint["epoch"]).all()
                reached = checkpoint["epoch"]
        assert reached > KILLS // 2
        assert half_written > KILLS // 4  # some were killed while they wrote
        with RunFolder(path).lock():
            assert not list((path / "checkpoints").glob(".*"))
    finally:
        if path != tmp_path:
            shutil.rmtree(path)
