"""SVHN's cropped digits: two MATLAB files (level 5), of which only arrays of bytes are read.

The format: https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from runner.data.class_names import DIGITS
from runner.data.refusals import start_of, unexpected
from runner.options.data import Raw

IMAGE = (32, 32, 3)
MAX_EXAMPLES = 100_000  # the larger file has 73,257
MAX_BYTES = MAX_EXAMPLES * 32 * 32 * 3 + 1000
EXPECTED = f"MATLAB's arrays of bytes, X of 32x32x3xn and y of nx1 (labels from 1 to 10), n up to {MAX_EXAMPLES}"
COMPRESSED, MATRIX, BYTES = 15, 14, 2  # types of elements

Array = npt.NDArray[np.uint8]


def read_svhn(paths: Sequence[Path]) -> Raw:
    """Reads the files for training and for testing; the digit 0 has the label 10 in them."""
    training, testing = map(_read_split, paths)
    return Raw(*training, *testing, maximum=255, class_names=DIGITS)


def _read_split(path: Path) -> tuple[Array, npt.NDArray[np.int64]]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        if content[124:128] != b"\x00\x01IM":  # version 1, least significant byte first
            raise ValueError(start_of(content))
        arrays = dict(map(_array, _elements(content[128:])))
        images, labels = arrays.get("X"), arrays.get("y")
        if images is None or labels is None:
            raise ValueError(f"arrays {', '.join(sorted(arrays)) or 'of no kind'}")
        n = images.shape[-1]
        if images.shape != (*IMAGE, n) or labels.shape != (n, 1) or not 0 < n <= MAX_EXAMPLES:
            raise ValueError(f"X of shape {images.shape} and y of shape {labels.shape}")
        if not ((labels >= 1) & (labels <= 10)).all():
            raise ValueError(f"labels from {labels.min()} to {labels.max()}")
    except (OSError, ValueError, struct.error, zlib.error) as error:
        raise unexpected(path, str(error), EXPECTED) from None
    ordered = np.ascontiguousarray(images.transpose(3, 2, 0, 1))
    return ordered, labels[:, 0].astype(np.int64) % 10


def _elements(content: bytes) -> Iterator[bytes]:
    """The content of each matrix."""
    for kind, data in _parts(content, aligned=False):
        if kind == COMPRESSED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(data, MAX_BYTES)
            if not unpacker.eof:
                raise ValueError(f"an array that is cut or unpacks to over {MAX_BYTES} bytes")
            ((kind, data),) = _parts(unpacked)
        if kind != MATRIX:
            raise ValueError(f"an element of type {kind}")
        yield data


def _array(matrix: bytes) -> tuple[str, Array]:
    """Name and values of an array."""
    parts = list(_parts(matrix))
    if len(parts) != 4 or parts[3][0] != BYTES:
        raise ValueError("an array of other values than bytes")
    _, (_, sizes), (_, name), (_, values) = parts
    shape = struct.unpack(f"<{len(sizes) // 4}i", sizes)
    array = np.frombuffer(values, np.uint8).reshape(shape, order="F")
    return name.decode("ascii"), array


def _parts(content: bytes, aligned: bool = True) -> Iterator[tuple[int, bytes]]:
    """Type and content of each element; one of up to four bytes is packed into its own head."""
    at = 0
    while at < len(content):
        kind, size = struct.unpack_from("<II", content, at)
        if kind >> 16:
            kind, size = kind & 0xFFFF, kind >> 16
            start, end = at + 4, at + 8
        else:
            start = at + 8
            end = start + size + (-size % 8 if aligned else 0)
        if start + size > len(content) or size > end - start:
            raise ValueError("an element that goes beyond the end")
        yield kind, content[start : start + size]
        at = end
