"""SIGINT and SIGTERM as an exception that no `except Exception` swallows."""

import signal
from types import FrameType


class Interrupted(BaseException):
    """The process was asked to stop; `exit_code` is 130 for SIGINT and 143 for SIGTERM."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


def raise_on_signals() -> None:
    """Makes both signals raise Interrupted, from now on."""

    def interrupt(signal_number: int, _: FrameType | None) -> None:
        raise Interrupted(signal_number)

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
