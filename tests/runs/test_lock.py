"""Who may train in a run folder."""

import os
import re
import socket
import stat
import threading
import time
from pathlib import Path

import pytest
from conftest import Command
from processes import SERVER, TINY

from runner.errors import DataError, LockedError
from runner.runs.folder import RunFolder


def hold(path: Path, seconds: float) -> None:
    with RunFolder(path).lock():
        (path / "held").touch()
        time.sleep(seconds)


def test_another_process_is_named_with_its_host(tmp_path: Path) -> None:
    process = SERVER.Process(target=hold, args=(tmp_path, 60))
    process.start()
    while not (tmp_path / "held").exists():
        process.join(0.01)
    expected = f"{tmp_path}: process {process.pid} is training this run on {socket.gethostname()}"
    with pytest.raises(LockedError, match=f"^{re.escape(expected)}$"), RunFolder(tmp_path).lock():
        pass
    process.kill()
    process.join()
    with RunFolder(tmp_path).lock():
        pass


def test_waiting_until_it_is_free(tmp_path: Path) -> None:
    other = threading.Thread(target=hold, args=(tmp_path, 0.5))
    other.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    with pytest.raises(LockedError), RunFolder(tmp_path).lock(timeout=0.1):
        pass
    with RunFolder(tmp_path).lock(timeout=60):
        assert not other.is_alive() or other.join() is None


@pytest.mark.parametrize("name", [".lock", ".owner"])
def test_a_link_is_not_followed(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / name).symlink_to(victim)
    if name == ".lock":
        with pytest.raises(DataError, match=r"\.lock: .* symbolic link"), RunFolder(folder).lock():
            pass
    else:
        with RunFolder(folder).lock():
            assert (folder / name).read_text().startswith(f"{os.getpid()} ")
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("flags", [[], ["-m"]], ids=["run", "sweep"])
def test_a_link_in_a_run_that_is_asked_for(
    command: Command, tmp_path: Path, flags: list[str]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    command("epochs=1", *TINY)
    (path,) = tmp_path.glob("outputs/runs/*-*")
    (path / ".lock").unlink()
    (path / ".lock").symlink_to(victim)
    code, out, err = command(*flags, "epochs=1", "resume=false", *TINY)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert ".lock: expected a regular file, found a symbolic link" in err
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_lock_that_is_no_file(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / ".lock")
    expected = r"\.lock: expected a regular file"
    with pytest.raises(DataError, match=expected), RunFolder(tmp_path).lock():
        pass
    assert not stat.S_ISREG((tmp_path / ".lock").lstat().st_mode)


@pytest.mark.parametrize("owner", [b"", b"x", b"1 2 3", b"\xff\xfe 1", b"9" * 5000])
def test_an_owner_that_says_nothing(tmp_path: Path, owner: bytes) -> None:
    with RunFolder(tmp_path).lock():
        (tmp_path / ".owner").write_bytes(owner)
        expected = "another process is training this run"
        with pytest.raises(LockedError, match=expected), RunFolder(tmp_path).lock():
            pass


def test_what_another_process_took_over_is_left_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.lock():
        folder.clear()
        (folder.path / ".lock").unlink()
        with RunFolder(folder.path).lock():  # a second process, after the folder was deleted
            with pytest.raises(FileNotFoundError, match="was deleted"):
                folder.append_metrics({"epoch": 0, "step": 0, "seconds": 0.0})
            folder.write_failure(RuntimeError("so"))
            assert RunFolder(folder.path).status is None
    assert "RuntimeError: so; this cannot be kept: " in capsys.readouterr().err
