"""The fingerprint of a data set: the SHA-256 of the bytes that are trained on, wherever they lie.

It is a part of a run's identity, so a finished run has to answer with it before a second is over. The sum of
large files is kept in the user's cache with what the file system says of them (size, times, inode): as long
as that is the same, nothing is read.
"""

import gzip
import json
import os
import re
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO

from runner.data import files as places
from runner.data.refusals import unexpected
from runner.options.data import Data

SMALL = 1_000_000  # bytes; summed up sooner than looked up
LARGEST = 1 << 33
MOST_UNPACKED = 1 << 30  # a gzip file that unpacks to more is no data set, and summed up as it is
CHUNK = 1 << 20
SETTLED_NS = 2_000_000_000  # a file changed so lately may change again without a sign of it
ENTRY = re.compile(rb"[0-9a-f]{64} [0-9a-f]{64} [0-9a-f]{64}\n")

_known: dict[Data, str] = {}


def fingerprint(source: Data) -> str:
    """The fingerprint of a data set, worked out once in a command; moving or gzipping its files leaves it.

    Raises:
        DataError: A file is missing or cannot be read.
    """
    if source not in _known:
        _known[source] = source.pinned() or computed(source)
    return _known[source]


def forget() -> None:
    """Has the files looked at anew: they may have changed since the last command of this process."""
    _known.clear()


def computed(source: Data) -> str:
    """The fingerprint of the files as they are now.

    Raises:
        DataError: A file is missing or cannot be read.
    """
    files = source.files()
    stats = {name: _stat(path) for name, path in files.items()}
    size = sum(found.st_size for found in stats.values())
    if size > LARGEST:
        place = max(files.items(), key=lambda item: stats[item[0]].st_size)[1]
        raise unexpected(
            place, f"{size:,} bytes of data", f"up to {LARGEST:,}: they stay in memory"
        )
    if size <= SMALL:
        return combined({name: _sum(path) for name, path in files.items()})
    looks = [[s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev] for s in stats.values()]
    state = _hash([*zip(map(_text, files), looks, strict=True)])
    entry = _entry(files)
    if kept := _kept(entry, state):
        return kept
    found = combined({name: _sum(path) for name, path in files.items()})
    newest = max(max(s.st_mtime_ns, s.st_ctime_ns) for s in stats.values())
    if time.time_ns() - newest > SETTLED_NS:
        _keep(entry, state, found)
    return found


def combined(sums: Mapping[str, str]) -> str:
    """The fingerprint of files by their names and the SHA-256 of their contents."""
    return _hash(sorted((_text(name), total) for name, total in sums.items()))


def _hash(values: object) -> str:
    return sha256(json.dumps(values).encode()).hexdigest()


def _text(name: str) -> str:
    return os.fsencode(name).decode("latin-1")  # a file's name need not be text


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise unexpected(path, error.strerror or str(error), "a file to read") from None


def _sum(path: Path) -> str:
    """The SHA-256 of a file's content, unpacked if it is gzipped."""
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
        if gzipped:
            with suppress(EOFError, zlib.error, gzip.BadGzipFile), gzip.open(path) as file:
                return _sum_of(file, MOST_UNPACKED)
        with path.open("rb") as file:  # also what only begins as if it were gzipped
            return _sum_of(file)
    except OSError as error:
        raise unexpected(path, error.strerror or str(error), "a file to read") from None


def _sum_of(file: IO[bytes] | gzip.GzipFile, most: int | None = None) -> str:
    """Raises EOFError if there are more bytes than `most`."""
    total, size = sha256(), 0
    while chunk := file.read(CHUNK):
        total.update(chunk)
        size += len(chunk)
        if most is not None and size > most:
            raise EOFError
    return total.hexdigest()


def _entry(files: Mapping[str, Path]) -> Path:
    """Where the fingerprint of these files is kept: a file for each place, which the next one replaces."""
    lies = sorted((_text(name), _text(str(path.absolute()))) for name, path in files.items())
    return places.cache_root() / "fingerprints" / _hash(lies)[:32]


def _kept(entry: Path, state: str) -> str | None:
    """The fingerprint that was kept when the files were in this state; None for anything damaged."""
    with suppress(OSError):
        with entry.open("rb") as file:
            content = file.read(3 * 65 + 1)
        if ENTRY.fullmatch(content):
            of_state, found, check = content.decode().split()
            if of_state == state and check == _hash([state, found]):
                return found
    return None


def _keep(entry: Path, state: str, found: str) -> None:
    """Keeps a fingerprint; a cache that cannot be written to costs time and nothing else."""
    with suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary = entry.with_name(f".{entry.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            temporary.write_text(f"{state} {found} {_hash([state, found])}\n")
            os.replace(temporary, entry)
        finally:
            temporary.unlink(missing_ok=True)
