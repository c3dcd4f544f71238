"""predictions.npz, read as if a stranger had written it: its size is known before anything is unpacked.

What a run says of the test split, by its task:

    classification    probabilities (n, classes) float32, labels (n,) int64, class_names (classes,) text
    regression        predictions (n,) float32, targets (n,) float32
    reconstruction    reconstructions (n, channels, height, width) float16
"""

import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from runner.errors import DataError

MAX_BYTES = 1 << 28  # unpacked: 50,000 examples of 1,000 classes take 200 MB
SUM_TOLERANCE = 1e-3
ARRAYS = {  # each with its kind of number and dimensions
    "probabilities": ("f", 2),
    "labels": ("i", 1),
    "class_names": ("U", 1),
    "predictions": ("f", 1),
    "targets": ("f", 1),
    "reconstructions": ("f", 4),
}
# What is written together; version 0.2 wrote no class names.
SETS = (
    {"probabilities", "labels", "class_names"},
    {"probabilities", "labels"},
    {"predictions", "targets"},
    {"reconstructions"},
)


def read_predictions(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, classes) and labels (n,) of the test split.

    Raises:
        DataError: As `read_arrays`, or the run has learnt no classes.
    """
    arrays = read_arrays(path)
    if "labels" not in arrays:
        raise DataError(f"{path}: {' and '.join(arrays)}, no probabilities of classes")
    return arrays["probabilities"], arrays["labels"]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All that a run says of the test split, by name.

    Raises:
        DataError: The file is missing or damaged, or holds anything but what a task leaves, or numbers that
            are no probabilities and labels.
    """
    try:
        if not path.is_file():
            raise ValueError("no such file")
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if len(set(names)) < len(names) or set(names) not in SETS:
                raise ValueError("other arrays than a task leaves")
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise ValueError(f"larger than {MAX_BYTES:,} bytes")
            arrays = {name: _array(archive, name) for name in names}
        _check(arrays)
    except Exception as error:  # whatever a forged file makes the readers stumble over
        message = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: no predictions of a run: {message}") from None
    return arrays


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


def _check(arrays: dict[str, np.ndarray]) -> None:
    examples = {len(array) for name, array in arrays.items() if name != "class_names"}
    if len(examples) > 1 or not all(examples):
        raise ValueError(f"{' and '.join(map(str, examples))} examples")
    if "labels" in arrays:
        _check_classes(arrays["probabilities"], arrays["labels"], arrays.get("class_names"))


def _check_classes(probabilities: np.ndarray, labels: np.ndarray, names: np.ndarray | None) -> None:
    classes = probabilities.shape[1]
    if not (probabilities >= 0).all():  # nor is NaN
        raise ValueError("a probability is negative or not a number")
    if not (np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE).all():
        raise ValueError("the probabilities of an example do not sum to 1")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels from {labels.min()} to {labels.max()} for {classes} classes")
    if names is not None and len(names.tolist()) != classes:  # read: it may be no text
        raise ValueError(f"{len(names)} names for {classes} classes")
