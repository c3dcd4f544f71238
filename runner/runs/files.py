"""The files of a run folder: only regular files are read, and a file is replaced as a whole or not at all.

A new file is written under a temporary name, flushed to the disk, then renamed. A process killed at any
moment therefore leaves the old file or the new one, never half a file.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.errors import DataError

# Do not follow a symbolic link, and do not wait for the other end of a pipe. Windows has neither flag.
SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def read_file(path: Path, limit: int | None = None) -> bytes | None:
    """The content of a regular file, or None if nothing has this name.

    Args:
        path: The file.
        limit: The largest size in bytes that is accepted; None for any size.

    Raises:
        DataError: It is a link, folder, pipe or device, is too large, or cannot be read.
    """
    try:
        check_regular(path, path.lstat())
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | SAFELY)) as file:
            found = os.fstat(file.fileno())
            check_regular(path, found)
            if limit is not None and found.st_size > limit:
                raise DataError(f"{path}: larger than {limit:,} bytes")
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None


def check_regular(path: Path, found: os.stat_result) -> None:
    """Raises DataError for anything that is not a regular file."""
    if not stat.S_ISREG(found.st_mode):
        kind = "symbolic link" if stat.S_ISLNK(found.st_mode) else "folder, pipe or device"
        raise DataError(f"{path}: expected a regular file, found a {kind}")


def make_folder(path: Path) -> None:
    """Makes a folder unless there is one.

    Raises:
        DataError: It is a symbolic link: whoever made it would choose where files are written.
    """
    check_no_link(path)
    path.mkdir(exist_ok=True)


def check_no_link(path: Path) -> None:
    """Raises DataError for a symbolic link in place of a folder."""
    if path.is_symlink():
        raise DataError(f"{path}: expected a folder, found a symbolic link")


def append(path: Path, data: bytes, sync: bool = False, create: bool = False) -> None:
    """Adds to the end of a file.

    Raises:
        FileNotFoundError: There is no such file, and `create` is false: a new one would lack what was
            written before.
    """

    def safely(name: str, flags: int) -> int:
        return os.open(name, (flags if create else flags & ~os.O_CREAT) | SAFELY, 0o666)

    with open(path, "ab", opener=safely) as file:
        file.write(data)
        if sync:
            os.fsync(file.fileno())


def write_atomically(path: Path, data: bytes, sync: bool = True) -> None:
    """Replaces a file as a whole: a reader, or a crash, finds the old content or the new.

    Args:
        path: The file.
        data: Its new content.
        sync: Flushed to the disk first; without, a power cut may leave it empty.
    """
    with replacing(path, data, sync):
        pass


@contextmanager
def replacing(path: Path, data: bytes, sync: bool = True) -> Iterator[None]:
    """Writes beside a file and takes its place at the end of the block."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:  # "x" never follows a symbolic link
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        yield
        os.replace(temporary, path)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename = str(path)  # the name that people know
        raise
    finally:
        with suppress(OSError):  # no such folder
            temporary.unlink(missing_ok=True)
