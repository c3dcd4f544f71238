import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from runner.__main__ import main
from runner.interrupts import SIGNALS


class Finished(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Finished]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Calls `python -m runner ARGUMENTS` in this process, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}

    def call(*arguments: str) -> Finished:
        capfd.readouterr()
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Finished(code, *capfd.readouterr())

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


TINY = (
    "data.train_size=64", "architecture.hidden=[8]", "epochs=2", "trainer.progress=false",
    "trainer.threads=1", "trainer.accelerator=cpu",
)  # fmt: skip


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with two runs in outputs/grid and one in outputs/best, to be read only."""
    import runner

    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        runner.train(*TINY, "name=grid", "optimizer.lr=0.01,0.1", multirun=True)
        runner.train(
            *TINY, "name=best", "select=best", "data.standardize=per_feature", "architecture=convnet",
            "architecture.channels=[4]", "regularizer=batch_norm_dropout",
        )  # fmt: skip
    return home
