"""`import runner`: train, load and compare runs from Python."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY

import runner
from runner.data.examples import load as load_data
from runner.errors import ConfigError, DataError, RunError
from runner.training.module import RunsModule


@pytest.fixture(autouse=True)
def _at_home(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


@pytest.fixture
def run() -> runner.Run:
    return runner.load("outputs/best")


def test_a_run_has_settings_numbers_and_curves(run: runner.Run) -> None:
    assert (run.status, run.config.epochs, run.result["epochs"]) == ("complete", 2, 2)
    assert list(run.metrics["epoch"]) == [0, 1, 2]
    assert run.metrics["val/loss"].notna().all()


def test_without_pandas_there_are_dictionaries(
    run: runner.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert [line["epoch"] for line in run.metrics] == [0, 1, 2]
    assert {row["optimizer.lr"] for row in runner.results("outputs/grid")} == {0.01, 0.1}


def test_raw_images_give_what_the_run_kept(run: runner.Run) -> None:
    data = load_data(run.config.data)
    images, kept = data.test.images.numpy(), run.predictions["probabilities"]
    for given in (images, images[:, 0], images.reshape(len(images), -1), images.astype(float)):
        np.testing.assert_allclose(run.predict(given), kept, atol=1e-6)
    np.testing.assert_allclose(run.predict(data.test.images[:3]), kept[:3], atol=1e-6)
    network = run.network()
    assert not network.training
    with torch.no_grad():
        np.testing.assert_allclose(network(data.test.images), kept, atol=1e-6)


def test_prediction_needs_no_data(run: runner.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.data.examples.load", None)
    assert run.predict(np.zeros((2, 8, 8), np.uint8)).shape == (2, 10)


def test_a_checkpoint_that_does_not_say_what_the_network_takes_is_read_with_its_data(
    run: runner.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = runner.api.RunFolder(run.folder)
    images = load_data(run.config.data).test.images
    old = files.load_checkpoint("last")
    assert old
    del old["inputs"]
    monkeypatch.setattr("runner.runs.checkpoints.Checkpoints.peek", lambda _: old)
    np.testing.assert_allclose(run.predict(images), run.predictions["probabilities"], atol=1e-6)


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (np.zeros((8, 8), np.uint8), "images[None]"),
        (
            np.zeros((2, 28, 28), np.uint8),
            "(n, 1, 8, 8) or (n, 8, 8) or (n, 64), found (2, 28, 28)",
        ),
        (np.zeros((2, 8, 8, 1), np.uint8), "transpose(0, 3, 1, 2)"),
        (np.full((2, 8, 8), 0.5), "scales them by itself"),
        (np.full((2, 8, 8), np.nan), "not finite"),
        (np.full((2, 8, 8), "a"), "must be numbers"),
        (np.zeros((0, 8, 8)), "no images"),
    ],
)
def test_other_images_are_refused(run: runner.Run, images: np.ndarray, told: str) -> None:
    with pytest.raises(ValueError, match="images") as error:
        run.predict(images)
    assert told in str(error.value)


def test_a_sweep_gives_its_runs_in_the_order_of_its_values() -> None:
    runs = runner.train(*TINY, "name=grid", "optimizer.lr=0.1,0.01", multirun=True)
    assert [run.config.optimizer.lr for run in runs] == [0.1, 0.01]


def test_a_row_for_each_run() -> None:
    frame = runner.results("outputs")
    assert list(frame["name"]) == ["best", "grid", "grid"]
    assert set(frame["status"]) == {"complete"}
    assert frame["test/accuracy"].between(0, 1).all()
    assert set(frame["architecture.hidden"]) == {"[8]"}
    assert set(frame["optimizer.lr"][1:]) == {0.01, 0.1}


def test_a_damaged_run_is_a_row(tmp_path: Path) -> None:
    run = tmp_path / "mine"
    run.mkdir()
    (run / "status.json").write_text("{")
    (row,) = runner.results(tmp_path).to_dict("records")
    assert row["status"] == "damaged"
    assert "status.json" in row["reason"]


def test_mistakes_are_exceptions(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'lrr'; did you mean 'lr'"):
        runner.train("optimizer.lrr=3")
    with pytest.raises(ConfigError, match="--multirun"):
        runner.train("seed=0,1")
    with pytest.raises(DataError, match="2 runs; name one, such as outputs/grid/"):
        runner.load("outputs/grid")
    with pytest.raises(DataError, match="no such folder"):
        runner.results(tmp_path / "nothing")
    with pytest.raises(TypeError, match="takes words"):
        runner.train(["seed=1"])  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="lod"):
        _ = runner.lod


def test_a_run_that_fails_is_an_exception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def build_run(config: object) -> None:
        raise ArithmeticError("planted")

    monkeypatch.setattr("runner.training.train.build_run", build_run)
    with pytest.raises(RunError, match="failed: ArithmeticError: planted") as error:
        runner.train(*TINY, "name=failing")
    assert [run.status for run in error.value.runs] == ["failed"]


def test_a_run_that_diverges_is_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (run,) = runner.train(
        *TINY, "name=diverging", "optimizer.lr=1e30", "loss=quadratic", "regularizer.l2=1"
    )
    assert run.status == "diverged"


def test_ctrl_c_saves_and_the_same_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = (*TINY, "name=stopped", "epochs=3")
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        original, left = RunsModule.step, [3]

        def step(module: RunsModule, number: int) -> None:
            left[0] -= 1
            if not left[0]:
                signal.raise_signal(signal.SIGINT)
            original(module, number)

        patch.setattr(RunsModule, "step", step)
        with pytest.raises(KeyboardInterrupt):
            runner.train(*words)
    assert signal.getsignal(signal.SIGINT) is handler
    run = runner.load("outputs/stopped")
    assert (run.status, len(run.metrics), run.result) == ("interrupted", 2, {})
    assert run.predict(np.zeros((1, 64))).shape == (1, 10)
    assert [run.status for run in runner.train(*words)] == ["complete"]


STUDY = """# @package _global_
name: pair
epochs: 1
study:
  question: Does it matter?
  source: none
  seeds: 2
  arms: {small: [optimizer.lr=0.01], large: [optimizer.lr=0.1]}
  claims:
    - {says: It does., measure: test/error, expect: large < small}
"""


def test_a_study_gives_the_runs_that_it_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own/experiment").mkdir(parents=True)
    (tmp_path / "own/experiment/pair.yaml").write_text(STUDY)
    words = [word for word in TINY if not word.startswith("epochs")]
    runs = runner.train("+experiment=pair", *words, config_dir="own")
    assert [(run.config.seed, run.config.optimizer.lr) for run in runs] == [
        (0, 0.01), (0, 0.1), (1, 0.01), (1, 0.1)
    ]  # fmt: skip
    assert (tmp_path / "outputs/pair/report.html").exists()


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, runner; print(sorted({'torch', 'pydantic', 'hydra'} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
