"""SIGINT and SIGTERM as an exception that no `except Exception` swallows."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_held: list[int] | None = None  # the signals that came in a block that is not to be interrupted


class Interrupted(BaseException):
    """The process was asked to stop; `exit_code` is 130 for SIGINT and 143 for SIGTERM."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


def raise_on_signals() -> None:
    """Makes both signals raise Interrupted, from now on."""

    def interrupt(signal_number: int, _: FrameType | None) -> None:
        if _held is None:
            raise Interrupted(signal_number)
        _held.append(signal_number)

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)


def ignore_signals() -> None:
    """From now on; the process is about to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A block that is done as a whole: a signal is raised at its end."""
    global _held
    _held = []
    try:
        yield
    finally:
        held, _held = _held, None
        if held:
            raise Interrupted(held[0])
