from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runner
from runner.data.examples import load
from runner.predict import as_pixels, main

Screen = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _at_home(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


@pytest.fixture
def digit(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A test image of the data, 0 to 16, and a picture of it, 0 to 255."""
    image = load(runner.load("outputs/best").config.data).test.images[0, 0].numpy()
    path = tmp_path / "digit.png"
    Image.fromarray((image * (255 / 16)).round().astype(np.uint8)).save(path)
    return path, image


def test_a_picture_is_seen_in_the_units_of_the_data(digit: tuple[Path, np.ndarray]) -> None:
    path, image = digit
    pixels, how = as_pixels(path, runner.load("outputs/best").network().inputs, invert=False)
    np.testing.assert_allclose(pixels[0], image, atol=0.04)  # 255 is not a multiple of 16
    assert how == "8×8 L, seen as 8×8 grey"


def test_a_bar_for_each_class(digit: tuple[Path, np.ndarray], capsys: Screen) -> None:
    path, image = digit
    assert main(["outputs/best", str(path), "--show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (expected,) = runner.load("outputs/best").predict(image[None])
    assert len(lines) == 1 + 8 + 10
    best = lines[9].split()
    assert int(best[0]) == expected.argmax()
    assert float(best[1].rstrip("%")) == pytest.approx(100 * expected.max(), abs=1)
    assert best[2] == "█" * len(best[2])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "1", "P"])
def test_another_size_and_colour_are_converted_and_told(
    mode: str, tmp_path: Path, capsys: Screen
) -> None:
    path = tmp_path / "large.png"
    Image.new("L", (40, 30), 255).convert(mode).save(path)
    assert main(["outputs/best", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"40×30 {mode}, seen as 8×8 grey" in out
    assert "mostly bright" in out
    assert main(["outputs/best", str(path), "--invert"]) == 0
    assert "mostly bright" not in capsys.readouterr().out


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    path = tmp_path / "transparent.png"
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(path)
    inputs = runner.load("outputs/best").network().inputs
    assert (as_pixels(path, inputs, invert=False)[0] == inputs.white).all()


def test_what_is_no_picture_is_told(tmp_path: Path, capsys: Screen) -> None:
    Image.effect_noise((99, 99), 50).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:900])
    (tmp_path / "text.png").write_text("no picture")
    for name, told in (
        ("missing.png", "no such file"),
        ("text.png", "format that is not known"),
        ("cut.png", "no picture that can be read"),
    ):
        assert main(["outputs/best", str(tmp_path / name)]) == 2
        assert told in capsys.readouterr().err
    assert main(["outputs/grid", str(tmp_path / "cut.png")]) == 2
    assert "2 runs; name one" in capsys.readouterr().err
