"""What is read of data files, and what is refused."""

import gzip
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from stored import (
    HTML,
    SHARED,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    check_message,
    cifar_files,
    idx,
    mnist_files,
    pixels,
    put,
)

from runner.data.files import bundled, load_raw
from runner.data.tables import read_digits
from runner.errors import DataError

pytestmark = pytest.mark.usefixtures("cache")  # and no network


def test_digits_need_neither_files_nor_network() -> None:
    first, second = (read_digits(bundled("digits.csv.gz")) for _ in range(2))
    assert first.train_images.shape == (1324, 1, 8, 8) and first.test_images.shape == (473, 1, 8, 8)
    assert first.train_images.dtype == np.uint8 and first.train_targets.dtype == np.int64
    assert first.maximum == first.train_images.max() == 16
    images = np.concatenate([first.train_images, first.test_images]).astype(int)
    assert images.sum() == 561718  # no example lost or doubled
    assert set(first.test_targets) == set(range(10))
    assert first.train_targets[:6].tolist() == [6, 6, 6, 2, 5, 6]  # the same split in every version
    np.testing.assert_array_equal(first.train_images, second.train_images)
    np.testing.assert_array_equal(first.train_targets, second.train_targets)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("form", ["gz", "plain", "both, and the gz damaged", "plain, named gz"])
def test_idx_files_gzipped_or_not(name: str, form: str, tmp_path: Path) -> None:
    files = mnist_files()
    plain = {file.removesuffix(".gz"): gzip.decompress(gz) for file, gz in files.items()}
    put(
        tmp_path / name,
        {
            "gz": files,
            "plain": plain,
            "both, and the gz damaged": plain | dict.fromkeys(files, HTML),
            "plain, named gz": {f"{file}.gz": content for file, content in plain.items()},
        }[form],
    )
    raw = load_raw(name, tmp_path)
    np.testing.assert_array_equal(raw.train_images, pixels(7, 1, 28, 28))
    np.testing.assert_array_equal(raw.test_images, pixels(3, 1, 28, 28))
    assert raw.train_targets.tolist() == list(range(7)) and raw.train_targets.dtype == np.int64
    assert raw.test_targets.tolist() == [0, 1, 2] and raw.maximum == 255
    assert all(a.flags.writeable for a in (raw.train_images, raw.test_images, raw.test_targets))


def test_cifar10_records(tmp_path: Path) -> None:
    put(tmp_path / "cifar-10-batches-bin", cifar_files())
    raw = load_raw("cifar10", str(tmp_path))
    assert raw.train_images.shape == (20, 3, 32, 32) and raw.test_images.shape == (4, 3, 32, 32)
    assert raw.train_targets.tolist() == [i for i in range(5) for _ in range(4)]
    assert raw.test_targets.tolist() == [5, 5, 5, 5]
    for images in (raw.train_images, raw.test_images):
        assert images.flags.writeable and images.flags.c_contiguous
        for image in images:
            np.testing.assert_array_equal(image, pixels(3, 32, 32))


def test_cifar100_records(tmp_path: Path) -> None:
    """A byte for the coarse label comes before that for the class."""
    records = [bytes([19, label]) + pixels(3072).tobytes() for label in (0, 99, 7)]
    folder = tmp_path / "cifar-100-binary"
    put(folder, {"train.bin": b"".join(records), "test.bin": records[1]})
    raw = load_raw("cifar100", tmp_path)
    assert raw.train_targets.tolist() == [0, 99, 7] and raw.test_targets.tolist() == [99]
    np.testing.assert_array_equal(raw.train_images[2], pixels(3, 32, 32))
    assert raw.class_names and raw.class_names[0] == "apple" and raw.class_names[99] == "worm"
    put(folder, {"test.bin": bytes([1, 100]) + bytes(3072)})
    with pytest.raises(DataError, match=r"(?s)test\.bin.*label 100.*0 to 99"):
        load_raw("cifar100", tmp_path)


def idx_header(*sizes: int, code: int = 8) -> bytes:
    return bytes([0, 0, code, len(sizes)]) + b"".join(size.to_bytes(4, "big") for size in sizes)


GOOD = mnist_files()[TRAIN_IMAGES]
BAD_IDX = {
    # case: (file, content, what the message tells)
    "web page": (TRAIN_IMAGES, HTML, "found: starts with '<!DOCTYPE html"),
    "web page as labels": (TEST_LABELS, HTML, "found: starts with '<!DOCTYPE html"),
    "empty": (TRAIN_IMAGES, b"", "found: empty"),
    "empty inside": (TRAIN_IMAGES, gzip.compress(b""), "found: empty"),
    "short header": (TRAIN_IMAGES, gzip.compress(idx_header(7, 28, 28)[:9]), "within its header"),
    "two dimensions": (TRAIN_IMAGES, gzip.compress(idx_header(7, 784)), "00 00 08 03"),
    "signed bytes": (TRAIN_IMAGES, gzip.compress(idx_header(7, 28, 28, code=9)), "00 00 09 03"),
    "labels for images": (TRAIN_IMAGES, mnist_files()[TRAIN_LABELS], "00 00 08 01"),
    "images for labels": (TEST_LABELS, mnist_files()[TEST_IMAGES], "00 00 08 03"),
    "other size": (TEST_IMAGES, gzip.compress(idx(pixels(3, 32, 32))), "dimensions 3x32x32"),
    "no items": (TEST_IMAGES, gzip.compress(idx_header(0, 28, 28)), "dimensions 0x28x28"),
    "too many": (TEST_LABELS, gzip.compress(idx_header(100_001)), "dimensions 100001"),
    "one byte short": (
        TRAIN_IMAGES,
        gzip.compress(idx(pixels(7, 28, 28))[:-1]),
        "found: 5487 bytes after the header\n  expected: 5488",
    ),
    "one byte more": (
        TRAIN_IMAGES,
        gzip.compress(idx(pixels(7, 28, 28)) + b"\0"),
        "found: more than 5488 bytes after the header\n  expected: 5488",
    ),
    "gzip cut": (TRAIN_IMAGES, GOOD[:-20], "found: unreadable"),
    "gzip cut before its checksum": (TRAIN_IMAGES, GOOD[:-8], "found: unreadable"),
    "gzip with a wrong checksum": (TRAIN_IMAGES, GOOD[:-8] + bytes(4) + GOOD[-4:], "CRC"),
    "gzip damaged": (TRAIN_IMAGES, GOOD[:40] + bytes(40) + GOOD[80:], "found: unreadable"),
    "label 10": (
        TRAIN_LABELS,
        gzip.compress(idx(np.array([0, 1, 2, 10, 4, 5, 6], np.uint8))),
        "label 10 at position 3",
    ),
    "fewer labels": (
        TRAIN_LABELS,
        gzip.compress(idx(np.zeros(6, np.uint8))),
        "found: 6 labels\n  expected: as many as the 7 images of train-images",
    ),
}


@pytest.mark.parametrize("case", BAD_IDX)
def test_damaged_idx_is_refused(case: str, tmp_path: Path) -> None:
    file, content, found = BAD_IDX[case]
    put(tmp_path / "mnist", mnist_files() | {file: content})
    with pytest.raises(DataError) as caught:
        load_raw("mnist", tmp_path)
    check_message(caught.value, str(tmp_path / "mnist" / file), found, "expected: ")


CIFAR = cifar_files()["test_batch.bin"]
BAD_CIFAR = {
    "web page": (HTML, f"{len(HTML)} bytes, starts with '<!DOCTYPE html"),
    "empty": (b"", "0 bytes, empty"),
    "cut": (CIFAR[:-1], "12291 bytes"),
    "too long": (CIFAR + b"\0", "12293 bytes"),
    "too many records": (CIFAR * 2501, f"{len(CIFAR) * 2501} bytes"),
    "label 10": (CIFAR[:3073] + b"\x0a" + CIFAR[3074:], "label 10 at position 1"),
    "gzip": (gzip.compress(CIFAR), "starts with the bytes 1f 8b"),
}


@pytest.mark.parametrize("case", BAD_CIFAR)
def test_damaged_cifar10_is_refused(case: str, tmp_path: Path) -> None:
    content, found = BAD_CIFAR[case]
    put(tmp_path / "cifar-10-batches-bin", cifar_files() | {"test_batch.bin": content})
    with pytest.raises(DataError) as caught:
        load_raw("cifar10", tmp_path)
    check_message(caught.value, "test_batch.bin", found, "expected: ")


ZEROS = gzip.compress(bytes(10_000_000)) * 30  # a gzip file may be many joined: 300 MB from 300 kB
BOMBS = {
    "nothing but zeros": ZEROS,
    "sixty thousand images and more": gzip.compress(idx_header(60_000, 28, 28)) + ZEROS,
    "as many images as it has": gzip.compress(idx_header(300_000_000 // 784, 28, 28)) + ZEROS,
    "all images that fit the header": gzip.compress(idx_header(2**32 - 1, 28, 28)) + ZEROS,
    "few images, each huge": gzip.compress(idx_header(3, 10_000, 10_000)) + ZEROS,
}


@pytest.mark.parametrize("case", BOMBS)
def test_gzip_bomb_costs_little_time_and_memory(case: str, tmp_path: Path) -> None:
    put(tmp_path / "mnist", mnist_files() | {TRAIN_IMAGES: BOMBS[case]})
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(DataError, match="found: "):
            load_raw("mnist", tmp_path)
        seconds, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seconds < 2
    assert peak < 120e6


@pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="no MNIST files beside the repository")
def test_real_mnist() -> None:
    raw = load_raw("mnist", SHARED)
    assert raw.train_images.shape == (60_000, 1, 28, 28) and raw.train_targets[0] == 5
    assert raw.test_images.shape == (10_000, 1, 28, 28) and raw.test_targets[0] == 7
    assert (raw.train_images.reshape(60_000, 784).max(axis=0) == 0).sum() == 67
    assert np.bincount(raw.test_targets).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "unpack_cifar10.py").is_file(), reason="no CIFAR-10 files beside the repository"
)
def test_real_cifar10(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    command = [sys.executable, str(SHARED / "unpack_cifar10.py"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    raw = load_raw("cifar10", tmp_path)
    assert raw.train_images.shape == (50_000, 3, 32, 32)
    assert raw.test_images.shape == (10_000, 3, 32, 32)
    assert np.bincount(raw.train_targets).tolist() == [5000] * 10
    red, _, blue = raw.train_images.mean(axis=(0, 2, 3))
    assert red == pytest.approx(125.3, abs=1) and blue == pytest.approx(113.9, abs=1)
