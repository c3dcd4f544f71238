"""What is done with a finished run fits every task: here those that learn no classes."""

from pathlib import Path

import numpy as np
import pytest
from conftest import TINY
from PIL import Image

import runner
from runner import export, listing, predict
from runner import test as testing
from runner.data.examples import load


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory: pytest.TempPathFactory) -> runner.Run:
    folder = tmp_path_factory.mktemp("denoiser")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (run,) = runner.train(
            *TINY,
            "task=reconstruction",
            "task.noise=masking",
            "task.level=0.3",
            "loss=mean_squared_error",
        )
    return runner.load(folder / run.folder)


def test_a_denoiser_gives_images_and_is_tested_with_its_noise(
    denoiser: runner.Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert denoiser.predictions["reconstructions"].shape == (473, 1, 8, 8)
    images = load(denoiser.config.data).test.images[:5].numpy()
    assert denoiser.predict(images).shape == (5, 1, 8, 8)
    assert testing.main([str(denoiser.folder)]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["test/psnr"][0] == lines["test/psnr"][1]
    assert float(lines["test/mse"][2]) == pytest.approx(0, abs=1e-6)
    assert listing.main([str(denoiser.folder), "--sort", "test/psnr"]) == 0
    assert capsys.readouterr().out.startswith("test/psnr")
    assert export.main([str(denoiser.folder), "--torchscript", str(tmp_path / "a.pt")]) == 0
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    assert predict.main([str(denoiser.folder), str(tmp_path / "black.png")]) == 2
    assert "answers with an image" in capsys.readouterr().err


def test_an_answer_is_a_value_or_a_share_of_each_class() -> None:
    assert list(predict.in_words(np.array(1234.5678), None)) == ["  1234.57"]
    best, _ = predict.in_words(np.array([0.25, 0.75]), ["a", "b"])
    assert best.split()[:2] == ["b", "75.00%"]
