"""The data sets as arrays: found on this machine or downloaded, checked strictly, never trusted.

Sources: digits, bundled with scikit-learn; MNIST, LeCun et al. http://yann.lecun.com/exdb/mnist/;
Fashion-MNIST, Xiao et al. 2017 https://arxiv.org/abs/1708.07747; CIFAR-10 (binary version),
Krizhevsky 2009 https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import contextlib
import gzip
import os
import shutil
import tarfile
import tempfile
import time
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
CONNECT_SECONDS, READ_SECONDS = 5, 30
STALE_SECONDS = 24 * 60 * 60


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


@dataclass(frozen=True)
class Source:
    """Where a data set lies on disk and on the network."""

    folder: str
    files: tuple[str, ...]
    mirrors: tuple[str, ...]  # tried in this order; each ends in a slash
    downloads: dict[str, str]  # name under a mirror -> sha256: the files, or an archive of them


MNIST_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
SOURCES = {
    "mnist": Source(
        folder="mnist",
        files=MNIST_FILES,
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        downloads={
            MNIST_FILES[0]: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            MNIST_FILES[1]: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            MNIST_FILES[2]: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            MNIST_FILES[3]: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion_mnist": Source(
        folder="fashion_mnist",
        files=MNIST_FILES,
        mirrors=(
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        downloads={
            MNIST_FILES[0]: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            MNIST_FILES[1]: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            MNIST_FILES[2]: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            MNIST_FILES[3]: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
    "cifar10": Source(
        folder="cifar-10-batches-bin",
        files=(*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"),
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        downloads={
            "cifar-10-binary.tar.gz": (
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
            )
        },
    ),
}


def load_raw(name: str, root: str | Path | None) -> Raw:
    """Read a data set from disk; download it into the user's cache if it is nowhere.

    Args:
        name: digits, mnist, fashion_mnist or cifar10.
        root: folder that may hold mnist/, fashion_mnist/ or cifar-10-batches-bin/; None means
            the environment variable RUNNER_DATA. Without such a folder there, the cache is used.

    Raises:
        DataError: in at most five lines, the file, what was found and what was expected.
    """
    if name == "digits":
        return _digits()
    if name not in SOURCES:
        raise DataError(f"Unknown data set '{name}'. Known: digits, {', '.join(SOURCES)}.")
    source = SOURCES[name]
    cache = cache_root() / source.folder
    places = [cache]
    given = os.environ.get("RUNNER_DATA") or None if root is None else root
    if given is not None:
        if not Path(given).expanduser().is_dir():
            raise _error(Path(given), "no such folder", f"a folder that holds {source.folder}/")
        places.insert(0, Path(given).expanduser() / source.folder)

    folder = places[0] if places[0].is_dir() else cache
    if missing := [file for file in source.files if _locate(folder, file) is None]:
        if folder != cache:
            # Whoever made the folder meant these files: fetching others in silence would hide it.
            raise _error(folder, f"no {', '.join(missing)}", "these files, gzipped or not")
        _download(name, missing, places)

    paths = [path for file in source.files if (path := _locate(folder, file))]
    try:
        return _read_cifar10(paths) if name == "cifar10" else _read_mnist(paths)
    except DataError as error:
        hint = "\nDelete the file and the next run downloads it again." if folder == cache else ""
        raise DataError(f"{error}{hint}") from None


def cache_root() -> Path:
    """The user's cache, such as ~/.cache/runner."""
    import pooch

    return Path(pooch.os_cache("runner"))


def _locate(folder: Path, file: str) -> Path | None:
    """The file, or its decompressed form, which is faster to read, where there is one."""
    candidates = (folder / file.removesuffix(".gz"), folder / file)
    return next((path for path in candidates if path.is_file()), None)


def _error(path: Path, found: str, expected: str) -> DataError:
    return DataError(f"{path}\n  found: {found}\n  expected: {expected}")


# Reading


def _digits() -> Raw:
    """Digits of 8x8 pixels: 1,324 for training and validation, 473 for testing, always the same."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    # Neighbours on file often share a writer: a cut without shuffling would test on other writers.
    order = np.random.default_rng(0).permutation(len(bunch.target))
    images = bunch.images.astype(np.uint8)[order, None]
    labels = bunch.target.astype(np.int64)[order]
    return Raw(images[:1324], labels[:1324], images[1324:], labels[1324:], maximum=16)


def _read_mnist(paths: list[Path]) -> Raw:
    """Read four IDX files: images and labels for training, then for testing."""

    def read(images_path: Path, labels_path: Path) -> tuple[Images, Labels]:
        images = read_idx(images_path, (28, 28))
        labels = _checked_labels(labels_path, read_idx(labels_path, ()))
        if len(labels) != len(images):
            expected = f"as many as the {len(images)} images of {images_path.name}"
            raise _error(labels_path, f"{len(labels)} labels", expected)
        return images[:, None], labels

    return Raw(*read(*paths[:2]), *read(*paths[2:]), maximum=255)


def _read_cifar10(paths: list[Path]) -> Raw:
    """Read six files of records: one byte of label, then 3x32x32 bytes of red, green, blue."""
    images, labels = [], []
    for path in paths:
        expected = f"1 to {CIFAR10_RECORDS} records of {CIFAR10_RECORD_BYTES} bytes"
        try:
            with path.open("rb") as file:
                content = file.read(CIFAR10_RECORDS * CIFAR10_RECORD_BYTES + 1)
        except OSError as error:
            raise _error(path, f"unreadable: {error}", expected) from None
        if not content or len(content) % CIFAR10_RECORD_BYTES:  # the byte too many is a rest, too
            raise _error(path, f"{path.stat().st_size} bytes, {_start(content)}", expected)
        records = np.frombuffer(content, np.uint8).reshape(-1, CIFAR10_RECORD_BYTES)
        labels.append(_checked_labels(path, records[:, 0]))
        images.append(records[:, 1:].reshape(-1, 3, 32, 32))
    train_images, train_labels = np.concatenate(images[:-1]), np.concatenate(labels[:-1])
    return Raw(train_images, train_labels, images[-1].copy(), labels[-1], maximum=255)


def read_idx(path: Path, item_shape: tuple[int, ...]) -> Images:
    """Read an IDX file of unsigned bytes, gzipped or not, as an array (n, *item_shape).

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
                raise _error(path, _start(start + stream.read(16)), kind)
            header = stream.read(4 * magic[3])
            if len(header) < 4 * magic[3]:
                raise _error(path, "the file ends within its header", kind)
            n, *found_shape = np.frombuffer(header, ">u4").tolist()
            if tuple(found_shape) != item_shape or not 1 <= n <= MAX_EXAMPLES:
                shape = "x".join(map(str, (f"1 to {MAX_EXAMPLES}", *item_shape)))
                found = "x".join(map(str, (n, *found_shape)))
                raise _error(path, f"dimensions {found}", f"dimensions {shape}")
            declared = n * int(np.prod(item_shape, dtype=int))
            # One byte more shows a file that is too long, and makes gzip check its checksum.
            items = stream.read(declared + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise _error(path, f"unreadable: {error}", kind) from None
    if len(items) != declared:
        found = f"more than {declared}" if len(items) > declared else str(len(items))
        raise _error(path, f"{found} bytes after the header", f"{declared}, as it declares")
    return np.frombuffer(items, np.uint8).reshape(n, *item_shape).copy()  # a copy can be written to


def _checked_labels(path: Path, labels: Images) -> Labels:
    if labels.max() > 9:
        at = int(labels.argmax())
        raise _error(path, f"label {labels[at]} at position {at}", "labels from 0 to 9")
    return labels.astype(np.int64)


def _open(path: Path) -> BufferedIOBase:
    """Open by content, not by name: some browsers decompress a file and leave its name."""
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if gzipped else path.open("rb")


def _start(content: bytes) -> str:
    """What a content begins with: a saved web page is recognised by it at once."""
    start = content[:20]
    try:
        text = start.decode("ascii").splitlines()[0]
    except (UnicodeDecodeError, IndexError):
        text = ""
    if text.isprintable() and text:
        return f"starts with {text!r}"
    return f"starts with the bytes {start[:8].hex(' ')}" if start else "empty"


# Downloading


def _download(name: str, missing: list[str], places: list[Path]) -> None:
    """Put the missing files into the last of the places, the cache.

    Each process works in a scratch folder of its own inside the cache and moves finished files
    out of it atomically: a process that is killed, or a second one, never shows half a file.
    """
    source, cache = SOURCES[name], places[-1]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for scratch in cache.glob(".download-*"):
            with contextlib.suppress(FileNotFoundError):  # another process may just have finished
                if time.time() - scratch.stat().st_mtime > STALE_SECONDS:  # its process was killed
                    shutil.rmtree(scratch, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as folder:
            for item in source.downloads:
                is_archive = item not in source.files
                if is_archive or item in missing:
                    fetched = _fetch(name, item, Path(folder), places)
                    for file in _extract(fetched, source) if is_archive else [fetched]:
                        with file.open("rb+") as content:
                            os.fsync(content.fileno())
                        file.replace(cache / file.name)
    except OSError as error:
        raise _error(cache, str(error), "a folder that can be written to") from None


def _fetch(name: str, item: str, scratch: Path, places: list[Path]) -> Path:
    """Download one item with its checksum verified, from the first mirror that has it."""
    import pooch
    import requests

    source = SOURCES[name]
    downloader = pooch.HTTPDownloader(
        progressbar=True, chunk_size=1 << 16, timeout=(CONNECT_SECONDS, READ_SECONDS)
    )
    reasons = []
    for mirror in source.mirrors:
        try:
            # pooch, too, downloads to a temporary file and names it only if its checksum is right.
            return Path(
                pooch.retrieve(
                    mirror + item,
                    known_hash=source.downloads[item],
                    fname=item,
                    path=scratch,
                    downloader=downloader,
                )
            )
        except requests.ConnectionError as error:  # its text nests three libraries' messages
            reasons.append(f"{mirror}{item}: {type(error).__name__}")
        except (requests.RequestException, ValueError) as error:
            reason = " ".join(str(error).split(". Deleted")[0].split())
            reasons.append(f"{mirror}{item}: {reason}")
    looked = ", ".join([*map(str, places[:-1]), f"the cache {places[-1]}"])
    raise DataError(
        f"{name}: not on this machine, and the download failed:\n"
        + "".join(f"  {reason}\n" for reason in reasons)
        + f"Looked for {', '.join(source.files)} in {looked}.\n"
        f"Put them in {source.folder}/ under data.root or RUNNER_DATA; "
        "data=digits needs no download."
    )


def _extract(archive: Path, source: Source) -> list[Path]:
    """Copy the expected members, and no others, out of a tar.gz to the folder it lies in.

    Only the content of members is used, as a stream: no path, link or mode of the archive can
    reach the disk.
    """
    wanted = {f"{source.folder}/{file}": archive.with_name(file) for file in source.files}
    size = CIFAR10_RECORDS * CIFAR10_RECORD_BYTES
    extracted = []
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                target = wanted.pop(member.name, None)
                if target is None:
                    continue
                stream = tar.extractfile(member) if member.isreg() else None
                if stream is None or member.size != size:
                    found = f"member {member.name}, {member.size} bytes"
                    raise _error(archive, found, f"a regular file of {size} bytes")
                with stream, target.open("wb") as out:
                    shutil.copyfileobj(stream, out)
                extracted.append(target)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _error(archive, f"unreadable: {error}", "a tar.gz archive") from None
    if wanted:
        raise _error(archive, f"no {', '.join(wanted)}", "these members")
    return extracted
