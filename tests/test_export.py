import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import runner
from runner.data.examples import load
from runner.export import main


@pytest.fixture(autouse=True)
def _at_home(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


@pytest.fixture(scope="module")
def images(trained: Path) -> np.ndarray:
    config = runner.load(trained / "outputs/best").config
    return load(config.data).test.images[:50].float().numpy()


def test_onnx_runtime_agrees(images: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "best.onnx"
    assert main(["outputs/best", "--onnx", str(path)]) == 0
    session = onnxruntime.InferenceSession(path)
    expected = runner.load("outputs/best").predict(images)
    for part in (slice(50), slice(1)):
        (found,) = session.run(["predictions"], {"images": images[part]})
        np.testing.assert_allclose(found, expected[part], atol=1e-5)
    metadata = {item.key: item.value for item in onnx.load(path).metadata_props}
    assert json.loads(metadata["class_names"]) == [str(digit) for digit in range(10)]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_agrees(images: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    assert main(["outputs/best", "--torchscript", str(path)]) == 0
    network = torch.jit.load(path)
    expected = runner.load("outputs/best").predict(images)
    for part in (slice(50), slice(1)):
        found = network(torch.from_numpy(images[part])).detach().numpy()
        np.testing.assert_allclose(found, expected[part], atol=1e-5)


def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Blocker:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name.startswith("onnx"):
                raise ModuleNotFoundError(name)

    for name in ("onnx", "onnxscript", "onnxruntime"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Blocker(), *sys.meta_path])
    assert main(["outputs/best", "--onnx", str(tmp_path / "a.onnx")]) == 2
    assert "pip install onnx onnxscript onnxruntime" in capsys.readouterr().err


def test_what_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("runner.export.TOLERANCE", -1.0)
    assert main(["outputs/best", "--torchscript", str(tmp_path / "a.pt")]) == 2
    assert "TorchScript differs" in capsys.readouterr().err
    assert not (tmp_path / "a.pt").exists()


def test_a_folder_that_is_missing_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["outputs/best", "--torchscript", str(tmp_path / "no/a.pt")]) == 2
    assert f"No such file or directory: '{tmp_path / 'no/a.pt'}'" in capsys.readouterr().err
