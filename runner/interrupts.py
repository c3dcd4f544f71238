"""SIGINT, SIGTERM and SIGHUP as an exception that no `except Exception` swallows.

Only the first signal is raised. Others that follow at once are ignored: a second Ctrl-C must not stop
the run from being saved.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
# Signals within this time of an interruption are taken to be part of it. A later one is raised again,
# because the first may be lost: Python drops an exception that is raised inside a destructor.
SAME_SECONDS = 5.0

_blocks = 0  # how many `uninterrupted` blocks are open
_held: int | None = None  # the first signal that arrived inside them
_raised_at: float | None = None  # when the last interruption began


class Interrupted(BaseException):
    """The process was asked to stop; `exit_code` is 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


def raise_on_signals() -> None:
    """From now on these signals raise Interrupted."""
    global _blocks, _held, _raised_at
    _blocks, _held, _raised_at = 0, None, None
    for number in SIGNALS:
        # Started under nohup, a run is meant to outlive its terminal.
        if number != getattr(signal, "SIGHUP", None) or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def ignore_signals() -> None:
    """From now on these signals do nothing: the process is about to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A block that runs to its end: a signal that arrives inside it is raised afterwards."""
    global _blocks, _held
    if threading.current_thread() is not threading.main_thread():
        yield  # Python raises signals in the main thread only
        return
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
