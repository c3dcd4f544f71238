"""predictions.npz, read as if a stranger had written it: its size is known before anything is unpacked."""

import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from runner.errors import DataError

MAX_BYTES = 1 << 28  # unpacked: 50,000 examples of 1,000 classes take 200 MB
SUM_TOLERANCE = 1e-3
ARRAYS = {
    "probabilities": ("f", 2),
    "labels": ("i", 1),
}  # each with its kind of number and dimensions


def read_predictions(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, classes) and labels (n,) of the test split.

    Raises:
        DataError: The file is missing or damaged, or holds anything but these two arrays, or numbers that
            are no probabilities and labels.
    """
    try:
        if not path.is_file():
            raise ValueError("no such file")
        with zipfile.ZipFile(path) as archive:
            if sorted(archive.namelist()) != sorted(f"{name}.npy" for name in ARRAYS):
                raise ValueError("other arrays than probabilities and labels")
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise ValueError(f"larger than {MAX_BYTES:,} bytes")
            probabilities, labels = (_array(archive, name) for name in ARRAYS)
        _check(probabilities, labels)
    except Exception as error:  # whatever a forged file makes the readers stumble over
        message = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: no predictions of a run: {message}") from None
    return probabilities, labels


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """One array, made only when its header agrees with the archive's directory."""
    kind, dimensions = ARRAYS[name]
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        if npy.read_magic(file) != (1, 0):
            raise ValueError(f"{name}: another version of the format")
        shape, column_major, dtype = npy.read_array_header_1_0(file)
        if dtype.kind != kind or len(shape) != dimensions:
            raise ValueError(f"{name}: {dtype} of shape {shape}")
        num_bytes = math.prod(shape) * dtype.itemsize
        if num_bytes != member.file_size - file.tell():
            raise ValueError(f"{name}: shape {shape} is not what the file holds")
        data = file.read()  # to the end, where its checksum is compared
        return np.frombuffer(data, dtype).reshape(shape, order="F" if column_major else "C")


def _check(probabilities: np.ndarray, labels: np.ndarray) -> None:
    examples, classes = probabilities.shape
    if not examples or len(labels) != examples:
        raise ValueError(f"{examples} examples and {len(labels)} labels")
    if not (probabilities >= 0).all():  # nor is NaN
        raise ValueError("a probability is negative or not a number")
    if not (np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE).all():
        raise ValueError("the probabilities of an example do not sum to 1")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels from {labels.min()} to {labels.max()} for {classes} classes")
