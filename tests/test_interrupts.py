"""Signals: raised once, held back in blocks that are done as a whole."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from runner import interrupts
from runner.interrupts import SIGNALS, Interrupted, raise_on_signals, uninterrupted


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    raise_on_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0)  # the handler runs between two instructions


@pytest.mark.parametrize(
    ("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)], ids=str
)
def test_a_signal_is_raised(name: str, code: int) -> None:
    with pytest.raises(Interrupted, match=name) as caught:
        send(getattr(signal, name))
    assert caught.value.exit_code == code
    assert not isinstance(caught.value, Exception)


def test_further_ones_do_not_break_off_what_the_first_began() -> None:
    saved = []

    def interrupted_while_saving() -> None:
        try:
            send(signal.SIGINT)
        finally:
            send(signal.SIGINT)
            with uninterrupted():
                send(signal.SIGTERM)
                saved.append(1)
            send(signal.SIGHUP)
            saved.append(2)

    with pytest.raises(Interrupted, match="SIGINT"):
        interrupted_while_saving()
    assert saved == [1, 2]


def test_a_block_is_done_as_a_whole_and_so_is_the_one_around_it() -> None:
    done = []

    def blocks() -> None:
        with uninterrupted():
            with uninterrupted():
                send(signal.SIGTERM)
                done.append("inner")
            send(signal.SIGINT)
            done.append("outer")

    with pytest.raises(Interrupted, match="SIGTERM"):
        blocks()
    assert done == ["inner", "outer"]
    with uninterrupted():  # nothing is left of it
        pass


def test_a_lost_interruption_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Interrupted):
        send(signal.SIGINT)
    send(signal.SIGINT)
    monkeypatch.setattr(interrupts, "SAME_SECONDS", 0.0)
    with pytest.raises(Interrupted):
        send(signal.SIGINT)


def test_a_hangup_that_the_parent_ignores_stays_ignored() -> None:
    """As under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_on_signals()
    send(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
