import dataclasses
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from runner.__main__ import main
from runner.data import files as datasets
from runner.interrupts import SIGNALS
from runner.runs.folder import RunFolder


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


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run and one that was killed in its third epoch, each in a folder of its own."""
    from folders import WORDS
    from processes import at_step, run  # both import this module

    roots = {name: tmp_path_factory.mktemp(name) for name in ("finished", "killed")}
    assert run(roots["finished"], *WORDS).code == 0
    assert run(roots["killed"], *WORDS, fault=partial(at_step, 6)).code == -9
    return roots


@pytest.fixture
def place(tmp_path: Path, runs: dict[str, Path]) -> Callable[[str], RunFolder]:
    """Puts one of them into this test's working directory."""

    def put(name: str) -> RunFolder:
        shutil.rmtree(tmp_path / "outputs", ignore_errors=True)
        shutil.copytree(runs[name] / "outputs", tmp_path / "outputs")
        (path,) = (tmp_path / "outputs/runs").glob("*-*")
        return RunFolder(path)

    return put


@pytest.fixture
def finished(
    place: Callable[[str], RunFolder], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    return place("finished")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no way to the real network: port 9 of this machine refuses."""
    monkeypatch.delenv("RUNNER_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(datasets, "cache_root", lambda: tmp_path / "cache")
    for name, origin in datasets.ORIGINS.items():
        offline = dataclasses.replace(origin, mirrors=("http://127.0.0.1:9/",))
        monkeypatch.setitem(datasets.ORIGINS, name, offline)
    return tmp_path / "cache"


@pytest.fixture
def experiment(command: Command) -> Command:
    """Writes an experiment by its text and runs it, one run after the other: faster than to measure widths."""

    def run(text: str, *words: str) -> Finished:
        folder = Path("conf/experiment")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "s.yaml").write_text(text)
        plain = ("trainer.progress=false", "trainer.threads=1", "hydra/launcher=basic")
        return command("--config-dir", "conf", "+experiment=s", *plain, *words)

    return run
