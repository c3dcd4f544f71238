"""stdout and stderr that outlive whoever reads them.

`python -m runner ... | head -1`, a terminal that is closed, a full disk below `> log`: what was being written is
lost, but the training goes on and ends with the exit code that it would have had.
"""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeVar

Returned = TypeVar("Returned")
NAMES = ("stdout", "stderr")
GONE = "{} cannot be written to ({}): what would be said there is lost, the rest goes on.\n"


@contextmanager
def lasting_streams() -> Iterator[None]:
    """A block in which no failure to write to stdout or stderr is an error; told once, on stderr."""
    before = {name: getattr(sys, name) for name in NAMES}
    closed = [name for name in NAMES if before[name] is None]
    for name in closed:
        setattr(sys, name, _nowhere(NAMES.index(name) + 1))
    for name in NAMES:
        setattr(sys, name, Lasting(getattr(sys, name), name))
    if "stdout" in closed:
        sys.stderr.write(GONE.format("stdout", "it is closed"))
    try:
        yield
    finally:
        for name in NAMES:
            getattr(sys, name).flush()
            if before[name] is not None:
                setattr(sys, name, before[name])


class Lasting(io.TextIOBase):
    """A stream that writes to another one, and to nowhere once that fails.

    Args:
        stream: stdout or stderr.
        name: Which of the two.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self.stream = stream
        self.name = name

    def write(self, text: str) -> int:
        return self._lasting(lambda: self.stream.write(text))

    def flush(self) -> None:
        self._lasting(self.stream.flush)

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    def _lasting(self, do: Callable[[], Returned]) -> Returned:
        try:
            return do()
        except OSError as error:
            # What the stream still holds would fail again, at the latest as Python ends, with exit code 120.
            _to_nowhere(self.stream.fileno())
            if self.name != "stderr":
                sys.stderr.write(GONE.format(self.name, error.strerror or error))
            return do()


def _nowhere(number: int) -> TextIO:
    """A stream in place of one that was closed before Python started.

    Its descriptor is taken, too, or the next file that is opened would get it, and whatever a library
    prints.
    """
    try:
        os.fstat(number)
    except OSError:
        _to_nowhere(number)
    return open(os.devnull, "w", encoding="utf-8")


def _to_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
