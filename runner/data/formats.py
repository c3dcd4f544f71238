"""Strict readers for the file formats of the data sets: whatever is not as expected is refused."""

import gzip
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import numpy.typing as npt

from runner.data.class_names import CIFAR10, CIFAR100, DIGITS, FASHION
from runner.data.origins import CIFAR_IMAGE_BYTES
from runner.data.refusals import start_of, unexpected
from runner.data.svhn import read_svhn
from runner.options.data import Raw

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

MAX_EXAMPLES = 100_000  # in one IDX file; the largest here has 60,000


def read_mnist(paths: Sequence[Path], class_names: tuple[str, ...] = DIGITS) -> Raw:
    """Reads four IDX files: images and labels for training, then for testing."""

    def read(images_path: Path, labels_path: Path) -> tuple[Images, Labels]:
        images = read_idx(images_path, (28, 28))
        labels = checked_labels(labels_path, read_idx(labels_path, ()), 9)
        if len(labels) != len(images):
            expected = f"as many as the {len(images)} images of {images_path.name}"
            raise unexpected(labels_path, f"{len(labels)} labels", expected)
        return images[:, None], labels

    return Raw(*read(*paths[:2]), *read(*paths[2:]), maximum=255, class_names=class_names)


def read_cifar10(paths: Sequence[Path]) -> Raw:
    """Reads six files of up to 10,000 records, the last for testing."""
    *training, testing = (read_cifar(path, 10_000, CIFAR10) for path in paths)
    images, labels = (np.concatenate(parts) for parts in zip(*training, strict=True))
    return Raw(images, labels, *testing, maximum=255, class_names=CIFAR10)


def read_cifar100(paths: Sequence[Path]) -> Raw:
    """Reads two files: up to 50,000 records for training, up to 10,000 for testing."""
    training, testing = (
        read_cifar(path, records, CIFAR100, label_bytes=2)
        for path, records in zip(paths, (50_000, 10_000), strict=True)
    )
    return Raw(*training, *testing, maximum=255, class_names=CIFAR100)


def read_cifar(
    path: Path, records: int, class_names: Sequence[str], label_bytes: int = 1
) -> tuple[Images, Labels]:
    """Reads records of labels, the last of which is the class, and 3x32x32 bytes of red, green, blue."""
    size = label_bytes + CIFAR_IMAGE_BYTES
    expected = f"1 to {records} records of {size} bytes"
    try:
        with path.open("rb") as file:
            content = file.read(records * size + 1)
    except OSError as error:
        raise unexpected(path, f"unreadable: {error}", expected) from None
    if not content or len(content) % size:  # one byte too many leaves a rest, too
        raise unexpected(path, f"{path.stat().st_size} bytes, {start_of(content)}", expected)
    found = np.frombuffer(content, np.uint8).reshape(-1, size)
    labels = checked_labels(path, found[:, label_bytes - 1], len(class_names) - 1)
    return found[:, label_bytes:].reshape(-1, 3, 32, 32).copy(), labels


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
                raise unexpected(path, start_of(start + stream.read(16)), kind)
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


def checked_labels(path: Path, labels: Images, highest: int) -> Labels:
    if labels.max() > highest:
        at = int(labels.argmax())
        raise unexpected(
            path, f"label {labels[at]} at position {at}", f"labels from 0 to {highest}"
        )
    return labels.astype(np.int64)


def _open(path: Path) -> BufferedIOBase:
    """Opens by content, not by name: some browsers decompress a file and leave its name."""
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if gzipped else path.open("rb")


READERS: dict[str, Callable[[Sequence[Path]], Raw]] = {
    "mnist": read_mnist,
    "fashion_mnist": partial(read_mnist, class_names=FASHION),
    "cifar10": read_cifar10,
    "cifar100": read_cifar100,
    "svhn": read_svhn,
}
