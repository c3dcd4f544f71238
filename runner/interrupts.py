"""SIGINT, SIGTERM and SIGHUP as an exception that no `except Exception` swallows.

The first signal is raised; those that follow while the run is being saved are not, or a second Ctrl-C
would break off what the first one began.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
# So long after an interruption a further signal is taken for the same. Later it is raised again, in case
# the first one was lost, as an exception is that is raised while Python deletes an object.
SAME_SECONDS = 5.0

_blocks = 0  # how many blocks that are not to be interrupted we are in
_held: int | None = None  # the first signal that came in them
_raised_at: float | None = None  # when the last interruption began


class Interrupted(BaseException):
    """The process was asked to stop; `exit_code` is 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


def raise_on_signals() -> None:
    """Makes these signals raise Interrupted, from now on."""
    global _blocks, _held, _raised_at
    _blocks, _held, _raised_at = 0, None, None
    for number in SIGNALS:
        # Under nohup a run outlives its terminal.
        if number != getattr(signal, "SIGHUP", None) or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def ignore_signals() -> None:
    """From now on; the process is about to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A block that is done as a whole: a signal is raised at its end, if none was raised before."""
    global _blocks, _held
    _blocks += 1
    try:
        yield
    finally:
        _blocks -= 1
        if _blocks == 0 and _held is not None:
            number, _held = _held, None
            _interrupt(number)


def _interrupt(number: int, _: FrameType | None = None) -> None:
    global _held, _raised_at
    now = time.monotonic()
    if _raised_at is not None and now - _raised_at < SAME_SECONDS:
        return
    if _blocks:
        _held = _held or number
        return
    _raised_at = now
    raise Interrupted(number)
