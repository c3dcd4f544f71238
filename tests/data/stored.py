"""Files of data sets, made from their specification."""

import gzip
from pathlib import Path

import numpy as np

from runner.data import files as datasets
from runner.data import origins

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared" / "data"
HTML = b"<!DOCTYPE html><html><body>Sign in to this network</body></html>"
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = origins.MNIST_FILES
CIFAR_FILES = datasets.ORIGINS["cifar10"].files


def idx(array: np.ndarray) -> bytes:
    """An IDX file, written from its specification."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def pixels(*shape: int) -> np.ndarray:
    return (np.arange(np.prod(shape)) % 251).astype(np.uint8).reshape(shape)


def mnist_files() -> dict[str, bytes]:
    """A data set of seven training and three test examples: file name -> gzipped content."""
    return {
        TRAIN_IMAGES: gzip.compress(idx(pixels(7, 28, 28))),
        TRAIN_LABELS: gzip.compress(idx(np.arange(7, dtype=np.uint8))),
        TEST_IMAGES: gzip.compress(idx(pixels(3, 28, 28))),
        TEST_LABELS: gzip.compress(idx(np.arange(3, dtype=np.uint8))),
    }


def cifar_files(records: int = 4) -> dict[str, bytes]:
    """File i holds the label i in every record."""
    return {
        file: b"".join(bytes([i]) + pixels(3072).tobytes() for _ in range(records))
        for i, file in enumerate(CIFAR_FILES)
    }


def put(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)


def check_message(error: BaseException, *parts: str) -> None:
    for part in parts:
        assert part in str(error)
    assert len(str(error).splitlines()) <= 5
    assert error.__context__ is None or error.__suppress_context__  # no chain of tracebacks
