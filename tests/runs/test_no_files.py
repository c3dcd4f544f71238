"""Pipes, devices, links and folders in place of a run's files: not read, and nothing is written through them."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Command
from folders import FILES, WORDS

from runner.runs.folder import RunFolder


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def bound_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # its address may have only 100 characters
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def link(path: Path) -> None:
    (path.parent / "elsewhere").write_text('{"status": "complete"}')
    path.symlink_to("elsewhere")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 2_000_000_000)  # takes no room on the disk


NO_FILES = [fifo, folder, bound_socket, link, loop, device, huge]


@pytest.mark.parametrize("make", NO_FILES)
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_is_not_read(
    command: Command, place: Callable[[str], RunFolder], name: str, make: Callable[[Path], None]
) -> None:
    path = place("finished").path / name
    path.unlink()
    make(path)
    code, out, err = command(*WORDS)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert name in err


@pytest.mark.parametrize("make", [fifo, folder, link, loop, device])
@pytest.mark.parametrize("name", ["last.ckpt", "SHA256SUMS"])
def test_what_is_no_file_is_no_checkpoint(
    command: Command, place: Callable[[str], RunFolder], name: str, make: Callable[[Path], None]
) -> None:
    folder = place("killed")
    path = folder.path / "checkpoints" / name
    path.unlink()
    (folder.path / "checkpoints/previous.ckpt").unlink()
    make(path)
    code, out, err = command(*WORDS)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "last.ckpt is damaged" in err and "resume=false" in err


# Links that a stranger's folder has in place of its own folders and files


WHERE_TO = {  # which of them, to a folder or a file
    "run.log": False,
    ".hydra/config.yaml": False,
    ".hydra": True,
    "checkpoints": True,
    "val": True,
    "": True,
}


@pytest.mark.parametrize("which", ["finished", "killed"])
@pytest.mark.parametrize("name", WHERE_TO)
def test_nothing_is_written_through_a_link(
    command: Command, tmp_path: Path, place: Callable[[str], RunFolder], name: str, which: str
) -> None:
    link = place(which).path / name
    elsewhere = tmp_path / "elsewhere"
    if link.exists():
        link.rename(elsewhere)
    elif WHERE_TO[name]:
        elsewhere.mkdir()
    else:
        elsewhere.write_text("precious")
        link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    before = content(elsewhere)
    code, out, err = command(*WORDS, *(["resume=false"] if which == "finished" else []))
    assert content(elsewhere) == before
    if WHERE_TO[name]:
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert "expected a folder, found a symbolic link" in err
    else:
        assert (code, err) == (0, "")
    code, out, err = command("-m", "seed=0,1", *WORDS, "resume=false")
    assert (code, content(elsewhere)) == (2 if WHERE_TO[name] else 0, before)


def content(path: Path) -> dict[Path, bytes]:
    files = [path, *path.rglob("*")]
    return {file: file.read_bytes() if file.is_file() else b"" for file in files}


def test_nor_through_one_with_the_name_of_a_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    temporary = tmp_path / f".status.json.{os.getpid()}"
    temporary.symlink_to("precious")
    RunFolder(tmp_path).write_status("running")
    assert RunFolder(tmp_path).status == "running" and not temporary.is_symlink()
    assert (tmp_path / "precious").read_text() == "precious"
