"""The lock of a run folder: only one process at a time trains a run; the others are told which."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from runner.errors import DataError, LockedError
from runner.runs.files import check_regular, read_file

Identity = tuple[int, int]  # device and inode: a new file of the same name has another
POLL_SECONDS = 0.2


@contextmanager
def locked(folder: Path, timeout: float = 0) -> Iterator[Identity]:
    """Keeps other processes out of a folder. When a process dies, the system releases its lock.

    Args:
        folder: Created if it does not exist.
        timeout: Seconds to wait for another process; negative waits for ever.

    Yields:
        The identity of the lock file. While `identity_of` returns the same, the folder has not been deleted.

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


def owner_of(folder: Path) -> str | None:
    """In words, who keeps other processes out of a folder; None if nobody does.

    Raises:
        DataError: .lock is not a regular file.
    """
    path = folder / ".lock"
    try:
        check_regular(path, path.lstat())
        with FileLock(path, thread_local=False, blocking=False):
            return None
    except FileNotFoundError:
        return None
    except Timeout:
        return _owner(folder)


def identity_of(folder: Path) -> Identity | None:
    """The identity of the folder's lock file; None if there is none."""
    try:
        found = (folder / ".lock").lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _write_owner(folder: Path) -> None:
    """In a file of its own, because Windows lets no other process read a locked file."""
    path = folder / ".owner"
    path.unlink(missing_ok=True)
    with path.open("x") as file:  # "x" never follows a symbolic link
        file.write(f"{os.getpid()} {socket.gethostname()}")


def _owner(folder: Path) -> str:
    try:
        process, host = (read_file(folder / ".owner", 1000) or b"").decode().split()
        return f"process {int(process)} is training this run on {host}"
    except (DataError, ValueError):  # the other process has not written it yet
        return "another process is training this run"
