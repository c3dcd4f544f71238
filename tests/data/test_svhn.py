"""SVHN's MATLAB files, as SciPy writes them, and what is refused of them."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from runner.data import svhn
from runner.data.svhn import read_svhn
from runner.errors import DataError

X = (np.arange(32 * 32 * 3 * 5) % 251).astype(np.uint8).reshape(32, 32, 3, 5)
Y = np.array([[1], [10], [5], [9], [2]], np.uint8)


def written(path: Path, compressed: bool = True, **changed: Any) -> Path:
    savemat(path, {"X": X, "y": Y} | changed, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_read(tmp_path: Path, compressed: bool) -> None:
    path = written(tmp_path / "train_32x32.mat", compressed)
    raw = read_svhn([path, path])
    assert raw.train_targets.tolist() == [1, 0, 5, 9, 2] and raw.class_names == tuple("0123456789")
    assert raw.test_images.shape == (5, 3, 32, 32) and raw.test_images.flags.writeable
    for n, c, row, column in ((0, 0, 0, 0), (4, 2, 31, 30), (1, 1, 7, 20)):
        assert raw.train_images[n, c, row, column] == X[row, column, c, n]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "other arrays": ({"z": Y, "X": Y}, "X of shape (5, 1)"),
    "another size": ({"X": X[:16]}, "X of shape (16, 32, 3, 5)"),
    "fewer labels": ({"y": Y[:4]}, "y of shape (4, 1)"),
    "label 0": ({"y": Y - 1}, "labels from 0 to 9"),
    "other numbers": ({"X": X / 7}, "other values than bytes"),
    "text": ({"y": "hello"}, "bytes"),
    "objects": ({"y": np.array([1, "a"], object)}, "bytes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    changed, found = REFUSED[case]
    path = written(tmp_path / "x.mat", **changed)
    with pytest.raises(DataError) as caught:
        read_svhn([path, path])
    assert str(caught.value).startswith(str(path)) and found in str(caught.value)


def damaged(content: bytes) -> dict[str, bytes]:
    head = content[:128]
    bomb = zlib.compress(bytes(200_000))
    return {
        "empty": b"",
        "a web page": b"<!DOCTYPE html>" * 20,
        "only a header": head,
        "cut": content[:-50],
        "garbage": head + bytes(range(256)),
        "a bomb": head + (15).to_bytes(4, "little") + len(bomb).to_bytes(4, "little") + bomb,
    }


@pytest.mark.parametrize("case", damaged(b""))
def test_damaged(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svhn, "MAX_BYTES", 100_000)
    path = written(tmp_path / "x.mat")
    path.write_bytes(damaged(path.read_bytes())[case])
    with pytest.raises(DataError) as caught:
        read_svhn([path, path])
    assert str(caught.value).startswith(str(path)) and len(str(caught.value).splitlines()) == 3
