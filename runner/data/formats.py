"""Strict readers for the file formats of the data sets: whatever is not as expected is refused."""

import gzip
import zlib
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import numpy.typing as npt

from runner.errors import DataError

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

MAX_EXAMPLES = 100_000  # in one IDX file; the largest here has 60,000
CIFAR10_RECORDS = 10_000  # in each of the six official files
CIFAR10_RECORD_BYTES = 1 + 3 * 32 * 32
LONGEST_PATH = 200  # in a message


@dataclass(frozen=True)
class Raw:
    """One data set in its official order.

    Images have the shape (n, channels, height, width), integers from 0 to `maximum`; labels have
    the shape (n,), integers from 0 to 9.
    """

    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    maximum: int  # 16 for digits, 255 otherwise


def unexpected(path: Path, found: str, expected: str) -> DataError:
    """An error of three lines: the file or folder, what was found, and what should have been."""
    text = str(path)
    if len(text) > LONGEST_PATH:
        text = f"{text[: LONGEST_PATH // 2]}...{text[-LONGEST_PATH // 2 :]}"
    shown = text if text.isprintable() else repr(text)
    return DataError(f"{shown}\n  found: {found}\n  expected: {expected}")


def read_digits() -> Raw:
    """Digits of 8x8 pixels: 1,324 for training and validation, 473 for testing, always the same."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    # Neighbours on file often share a writer: a cut without shuffling would test on other writers.
    order = np.random.default_rng(0).permutation(len(bunch.target))
    images = bunch.images.astype(np.uint8)[order, None]
    labels = bunch.target.astype(np.int64)[order]
    return Raw(images[:1324], labels[:1324], images[1324:], labels[1324:], maximum=16)


def read_mnist(paths: list[Path]) -> Raw:
    """Reads four IDX files: images and labels for training, then for testing."""

    def read(images_path: Path, labels_path: Path) -> tuple[Images, Labels]:
        images = read_idx(images_path, (28, 28))
        labels = _checked_labels(labels_path, read_idx(labels_path, ()))
        if len(labels) != len(images):
            expected = f"as many as the {len(images)} images of {images_path.name}"
            raise unexpected(labels_path, f"{len(labels)} labels", expected)
        return images[:, None], labels

    return Raw(*read(*paths[:2]), *read(*paths[2:]), maximum=255)


def read_cifar10(paths: list[Path]) -> Raw:
    """Reads six files of records: one byte of label, then 3x32x32 bytes of red, green, blue."""
    images, labels = [], []
    for path in paths:
        expected = f"1 to {CIFAR10_RECORDS} records of {CIFAR10_RECORD_BYTES} bytes"
        try:
            with path.open("rb") as file:
                content = file.read(CIFAR10_RECORDS * CIFAR10_RECORD_BYTES + 1)
        except OSError as error:
            raise unexpected(path, f"unreadable: {error}", expected) from None
        if (
            not content or len(content) % CIFAR10_RECORD_BYTES
        ):  # one byte too many leaves a rest, too
            raise unexpected(path, f"{path.stat().st_size} bytes, {_start(content)}", expected)
        records = np.frombuffer(content, np.uint8).reshape(-1, CIFAR10_RECORD_BYTES)
        labels.append(_checked_labels(path, records[:, 0]))
        images.append(records[:, 1:].reshape(-1, 3, 32, 32))
    train_images, train_labels = np.concatenate(images[:-1]), np.concatenate(labels[:-1])
    return Raw(train_images, train_labels, images[-1].copy(), labels[-1], maximum=255)


def read_idx(path: Path, item_shape: tuple[int, ...]) -> Images:
    """Reads an IDX file of unsigned bytes, gzipped or not, as an array (n, *item_shape).

    The header is checked before the items are read and no more is decompressed than it declares,
    so that a file of any size costs bounded time and memory.

    Raises:
        DataError: wrong type or dimensions, no items or too many, truncated, or too long.
    """
    magic = bytes([0, 0, 8, 1 + len(item_shape)])  # 8 stands for unsigned bytes
    kind = f"IDX file, gzipped or not, that starts with the bytes {magic.hex(' ')}"
    try:
        with _open(path) as stream:
            if (start := stream.read(4)) != magic:
                raise unexpected(path, _start(start + stream.read(16)), kind)
            header = stream.read(4 * magic[3])
            if len(header) < 4 * magic[3]:
                raise unexpected(path, "the file ends within its header", kind)
            n, *found_shape = np.frombuffer(header, ">u4").tolist()
            if tuple(found_shape) != item_shape or not 1 <= n <= MAX_EXAMPLES:
                shape = "x".join(map(str, (f"1 to {MAX_EXAMPLES}", *item_shape)))
                found = "x".join(map(str, (n, *found_shape)))
                raise unexpected(path, f"dimensions {found}", f"dimensions {shape}")
            declared = n * int(np.prod(item_shape, dtype=int))
            # One byte more shows a file that is too long, and makes gzip check its checksum.
            items = stream.read(declared + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise unexpected(path, f"unreadable: {error}", kind) from None
    if len(items) != declared:
        found = f"more than {declared}" if len(items) > declared else str(len(items))
        raise unexpected(path, f"{found} bytes after the header", f"{declared}, as it declares")
    return np.frombuffer(items, np.uint8).reshape(n, *item_shape).copy()  # a copy can be written to


def _checked_labels(path: Path, labels: Images) -> Labels:
    if labels.max() > 9:
        at = int(labels.argmax())
        raise unexpected(path, f"label {labels[at]} at position {at}", "labels from 0 to 9")
    return labels.astype(np.int64)


def _open(path: Path) -> BufferedIOBase:
    """Opens by content, not by name: some browsers decompress a file and leave its name."""
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if gzipped else path.open("rb")


def _start(content: bytes) -> str:
    """How the content begins, which gives away a saved web page at once."""
    start = content[:20]
    try:
        text = start.decode("ascii").splitlines()[0]
    except (UnicodeDecodeError, IndexError):
        text = ""
    if text.isprintable() and text:
        return f"starts with {text!r}"
    return f"starts with the bytes {start[:8].hex(' ')}" if start else "empty"
