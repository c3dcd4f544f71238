"""The lock of a run folder: one process trains a run, and the others are told which one."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from runner.errors import DataError, LockedError
from runner.runs.files import check_regular, read_file

Identity = tuple[
    int, int
]  # device and number of a file, which a new one of the same name does not have
POLL_SECONDS = 0.2


@contextmanager
def locked(folder: Path, timeout: float = 0) -> Iterator[Identity]:
    """Keeps other processes out of a folder. The system frees the lock of a process that is dead.

    Args:
        folder: It is made if there is none.
        timeout: Seconds to wait for another process; infinite if negative.

    Yields:
        The lock file's identity: as long as `identity_of` finds it, the folder is the one locked here.

    Raises:
        LockedError: Another process holds it.
        DataError: .lock is not a regular file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    with suppress(FileNotFoundError):
        check_regular(path, path.lstat())
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=timeout, blocking=timeout != 0, poll_interval=POLL_SECONDS)
    except Timeout:
        raise LockedError(f"{folder}: {_owner(folder)}") from None
    try:
        _write_owner(folder)
        identity = identity_of(folder)
        assert identity
        yield identity
    finally:
        lock.release()


def identity_of(folder: Path) -> Identity | None:
    """Which file is the folder's lock; None if there is none."""
    try:
        found = (folder / ".lock").lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _write_owner(folder: Path) -> None:
    """In a file beside the lock, which other processes cannot read on Windows."""
    path = folder / ".owner"
    path.unlink(missing_ok=True)
    with path.open("x") as file:  # never through a link that somebody has put there
        file.write(f"{os.getpid()} {socket.gethostname()}")


def _owner(folder: Path) -> str:
    try:
        process, host = (read_file(folder / ".owner", 1000) or b"").decode().split()
        return f"process {int(process)} is training this run on {host}"
    except (DataError, ValueError):  # it has the lock, but has not written this yet
        return "another process is training this run"
