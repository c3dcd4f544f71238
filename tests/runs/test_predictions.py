"""predictions.npz that is damaged or forged: never a wrong number, and never more memory than it may take."""

import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner import ensembles
from runner.errors import DataError
from runner.runs.folder import RunFolder
from runner.runs.predictions import MAX_BYTES, read_arrays, read_predictions

PROBABILITIES = np.random.default_rng(0).dirichlet(np.ones(3), size=4).astype(np.float32)
LABELS = np.array([0, 1, 2, 1])


def archive(probabilities: Any = PROBABILITIES, labels: Any = LABELS, **others: Any) -> bytes:
    buffer = BytesIO()
    np.savez(buffer, probabilities=probabilities, labels=labels, **others)
    return buffer.getvalue()


def replaced(place: tuple[int, int], value: float) -> np.ndarray:
    changed = PROBABILITIES.copy()
    changed[place] = value
    return changed


def forged_header(shape: tuple[int, ...]) -> bytes:
    """An archive whose header promises another shape than the bytes behind it have."""
    header = BytesIO()
    description = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, description)
    labels = BytesIO()
    np.save(labels, LABELS)
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("probabilities.npy", header.getvalue() + PROBABILITIES.tobytes())
        file.writestr("labels.npy", labels.getvalue())
    return buffer.getvalue()


DAMAGES = {
    "NaN": archive(replaced((0, 0), np.nan)),
    "only NaN": archive(np.full((4, 3), np.nan, np.float32)),
    "infinite": archive(replaced((1, 1), np.inf)),
    "negative": archive(np.array([[-0.5, 1.0, 0.5]] * 4, np.float32)),
    "sums above 1": archive(PROBABILITIES * 2),
    "sums below 1": archive(PROBABILITIES * np.float32(0.9)),
    "only zeros": archive(np.zeros((4, 3), np.float32)),
    "label -1": archive(labels=np.array([0, 1, 2, -1])),
    "label 3 of 3 classes": archive(labels=np.array([0, 1, 2, 3])),
    "fractional labels": archive(labels=np.array([0.0, 1.0, 2.0, 1.0])),
    "labels in two dimensions": archive(labels=LABELS[:, None]),
    "fewer labels": archive(labels=LABELS[:3]),
    "empty": archive(np.zeros((0, 3), np.float32), np.zeros(0, int)),
    "no classes": archive(np.zeros((4, 0), np.float32)),
    "one dimension": archive(np.ones(4, np.float32)),
    "three dimensions": archive(PROBABILITIES[None]),
    "whole numbers": archive(np.eye(4, 3, dtype=int)),
    "text": archive(np.full((4, 3), "0.3")),
    "complex": archive(PROBABILITIES.astype(complex)),
    "an array too many": archive(more=LABELS),
    "names for other classes": archive(class_names=np.array(["a", "b"])),
    "names that are no text": archive(class_names=np.arange(3)),
    "names with impossible characters": archive(
        class_names=np.full(3, 0x7FFFFFFF, np.int32).view("<U1")
    ),
    "arrays of two tasks": archive(reconstructions=np.ones((4, 1, 2, 2))),
    "a huge shape": forged_header((1 << 40, 3)),
    "an overflowing shape": forged_header((1 << 62, 1 << 62)),
    "a negative shape": forged_header((-4, -3)),
    "a smaller shape": forged_header((3, 3)),
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.write_status("complete")
    return folder


@pytest.mark.parametrize("data", DAMAGES.values(), ids=DAMAGES)
def test_wrong_predictions_are_told_in_a_line(
    folder: RunFolder, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder.path / "predictions.npz").write_bytes(data)
    assert ensembles.main([str(folder.path)]) == 2
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 1
    assert "run/predictions.npz: no predictions of a run: " in told.err
    assert not told.out


@pytest.mark.parametrize("order", ["C", "F"])
def test_right_ones_are_read_as_they_were_written(folder: RunFolder, order: Any) -> None:
    names = np.array(["a", "b", "a long name"])
    arrays = {"probabilities": np.asarray(PROBABILITIES, order=order), "labels": LABELS}
    folder.write_predictions(arrays | {"class_names": names})
    probabilities, labels = folder.predictions()
    np.testing.assert_array_equal(probabilities, PROBABILITIES)
    np.testing.assert_array_equal(labels, LABELS)
    found = read_arrays(folder.path / "predictions.npz")
    assert found["class_names"].tolist() == names.tolist()


@pytest.mark.parametrize("names", [["reconstructions"], ["predictions", "targets"]])
def test_predictions_of_other_tasks_have_no_probabilities(
    folder: RunFolder, names: list[str]
) -> None:
    shape = (2, 1, 3, 3) if names == ["reconstructions"] else (4,)
    folder.write_predictions({name: np.ones(shape, np.float32) for name in names})
    assert list(read_arrays(folder.path / "predictions.npz")) == names
    with pytest.raises(DataError, match="no probabilities of classes"):
        folder.predictions()


def test_a_cut_is_told_and_a_flipped_bit_changes_no_number(tmp_path: Path) -> None:
    path, data = tmp_path / "predictions.npz", archive()
    for length in range(0, len(data), 10):
        path.write_bytes(data[:length])
        with pytest.raises(DataError):
            read_predictions(path)
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            probabilities, labels = read_predictions(path)
        except DataError:
            continue
        np.testing.assert_array_equal(probabilities, PROBABILITIES)
        np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize("name", ["probabilities.npy", "labels.npy"])
def test_a_bomb_is_not_unpacked(folder: RunFolder, name: str) -> None:
    """An array of over 256 MB in a file of a few hundred kB."""
    path = folder.path / "predictions.npz"
    chunk = bytes(1 << 24)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for other in {"probabilities.npy", "labels.npy"} - {name}:
            file.writestr(other, b"")
        with file.open(name, "w") as member:
            for _ in range(MAX_BYTES // len(chunk) + 1):
                member.write(chunk)
    assert path.stat().st_size < MAX_BYTES / 100
    start = time.process_time()
    with pytest.raises(DataError, match="larger than"):
        folder.predictions()
    assert time.process_time() - start < 0.5
