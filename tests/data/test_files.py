"""Data sets: what is read, what is refused, and downloads that fail at every point."""

import dataclasses
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from runner.data import files as datasets
from runner.data import origins
from runner.data.files import bundled, load_raw, own
from runner.data.tables import read_digits
from runner.errors import DataError

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


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no way to the real network: port 9 of this machine refuses."""
    monkeypatch.delenv("RUNNER_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(datasets, "cache_root", lambda: tmp_path / "cache")
    for name, origin in datasets.ORIGINS.items():
        offline = dataclasses.replace(origin, mirrors=("http://127.0.0.1:9/",))
        monkeypatch.setitem(datasets.ORIGINS, name, offline)
    return tmp_path / "cache"


@dataclasses.dataclass
class Server:
    """Serves `files` and calls `halfway` when half of one is sent."""

    address: str
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    requests: list[str] = dataclasses.field(default_factory=list)
    halfway: Callable[[str], object] = lambda path: None


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            file = self.path.removeprefix("/")
            served.requests.append(file)
            content = served.files.get(file)
            if content is None:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content[: len(content) // 2])
                served.halfway(file)
                self.wfile.write(content[len(content) // 2 :])
            except OSError:
                pass  # the other side was killed, as some tests intend

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served = Server(f"http://127.0.0.1:{http.server_port}/")
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield served
        http.shutdown()


def offer(
    monkeypatch: pytest.MonkeyPatch, server: Server, name: str, files: dict[str, bytes]
) -> origins.Origin:
    """Serve files as the data set's download, with their true checksums."""
    server.files = files
    source = dataclasses.replace(
        datasets.ORIGINS[name],
        mirrors=(server.address,),
        downloads={file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
        file_bytes=dict.fromkeys(CIFAR_FILES, 4 * 3073),  # of the archives made here
    )
    monkeypatch.setitem(datasets.ORIGINS, name, source)
    return source


# Reading


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


# Finding


def test_places_in_order(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root, then the cache; RUNNER_DATA stands in for a root that is not given."""
    for place, label in (("root", 1), ("environment", 2), ("cache", 3)):
        labels = gzip.compress(idx(np.full(3, label, np.uint8)))
        put(tmp_path / place / "mnist", mnist_files() | {TEST_LABELS: labels})
    (tmp_path / "empty").mkdir()

    def found(root: str | None) -> int:
        return int(load_raw("mnist", None if root is None else tmp_path / root).test_targets[0])

    assert found(None) == 3
    monkeypatch.setenv("RUNNER_DATA", str(tmp_path / "environment"))
    assert [found("root"), found(None), found("empty")] == [1, 2, 3]
    with pytest.raises(DataError, match="no such folder"):
        found("absent")
    monkeypatch.setenv("RUNNER_DATA", str(tmp_path / "empty"))
    assert found(None) == 3
    monkeypatch.chdir(tmp_path / "root")
    monkeypatch.setenv("RUNNER_DATA", "")  # as good as unset, and not the current folder
    assert found(None) == 3


def looping_link(path: Path) -> str:
    path.symlink_to(path.name)
    return "Too many levels of symbolic links"


def dangling_link(path: Path) -> str:
    path.symlink_to("a disk that is not mounted")
    return "a link to nothing"


def no_folder(path: Path) -> str:
    path.write_text("")
    return "not a folder"


def pipe(path: Path) -> str:
    os.mkfifo(path)
    return "not a folder"


@pytest.mark.parametrize("make", [looping_link, dangling_link, no_folder, pipe])
@pytest.mark.parametrize("place", ["root", "root/mnist"])
def test_what_stands_in_the_place_of_the_folder_is_told(
    tmp_path: Path, cache: Path, place: str, make: Callable[[Path], str]
) -> None:
    """And nothing is downloaded, nor taken from the cache, in its stead."""
    put(cache / "mnist", mnist_files())
    (tmp_path / place).parent.mkdir(exist_ok=True)
    said = make(tmp_path / place)
    with pytest.raises(DataError) as caught:
        load_raw("mnist", tmp_path / "root")
    check_message(caught.value, str(tmp_path / place), said)


NO_ROOTS = {
    "nobody": ("~nobody-of-this-name", "no such user"),
    "5,000 characters": ("x/" * 2500, "File name too long"),
    "a name of 5,000": ("x" * 5000, "File name too long"),
    "a backslash at the end": ("data\\", "no such folder"),
    "nothing but backslashes": ("\\\\", "no such folder"),
    "NUL": ("a\0b", "embedded null byte"),
    "lines": ("a\nb\nc\nd\ne", "no such folder"),
    "an escape sequence": ("\x1b]52;c;eA==\a", "no such folder"),
}


@pytest.mark.parametrize("case", NO_ROOTS)
def test_a_root_that_is_none(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root, said = NO_ROOTS[case]
    with pytest.raises(DataError) as caught:
        load_raw("mnist", root)
    check_message(caught.value, said)
    assert len(str(caught.value)) < 400 and str(caught.value).replace("\n", "").isprintable()


NO_PATHS = {
    **{case: (path, said) for case, (path, said) in NO_ROOTS.items() if "folder" not in said},
    "missing": ("absent.npz", "no such file or folder in /"),
    "an escape sequence": ("\x1b]52;c;eA==\a", "no such file or folder"),
    "a link to nothing": ("dangling", "a link to nothing"),
    "a link to itself": ("loop", "Too many levels of symbolic links"),
    "a folder": ("folder", "a folder"),
    "a pipe": ("pipe", "a pipe or device"),
    "below a file": ("file/x.npz", "Not a directory"),
    "an empty file": ("file", "an empty file"),
    "the environment": ("/proc/self/environ", "an empty file"),
    "the kernel's log, which never ends": ("/proc/kmsg", "an empty file"),
}


@pytest.mark.parametrize("case", NO_PATHS)
def test_a_path_of_the_users_that_is_none(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dangling_link(tmp_path / "dangling"), looping_link(tmp_path / "loop")
    pipe(tmp_path / "pipe"), no_folder(tmp_path / "file"), (tmp_path / "folder").mkdir()
    path, said = NO_PATHS[case]
    with pytest.raises(DataError) as caught:
        own(path, "data.path", "an .npz file")
    check_message(caught.value, "data.path=", said, "expected: an .npz file")
    assert len(str(caught.value)) < 400 and str(caught.value).replace("\n", "").isprintable()


def test_a_folder_whose_name_ends_in_a_backslash(tmp_path: Path) -> None:
    put(tmp_path / "data\\" / "mnist", mnist_files())
    assert load_raw("mnist", f"{tmp_path}/data\\").test_targets.tolist() == [0, 1, 2]


@pytest.mark.parametrize("given", ["root", "environment"])
def test_a_missing_file_is_not_fetched_from_elsewhere(
    given: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cache / "mnist", mnist_files())
    put(tmp_path / "mnist", mnist_files())
    (tmp_path / "mnist" / TEST_LABELS).unlink()
    (tmp_path / "mnist" / TEST_LABELS).mkdir()  # a folder is no file
    monkeypatch.setenv("RUNNER_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        load_raw("mnist", tmp_path if given == "root" else None)
    check_message(caught.value, str(tmp_path / "mnist"), f"no {TEST_LABELS}")
    assert TRAIN_IMAGES not in str(caught.value)


@pytest.mark.parametrize("name", datasets.ORIGINS)
def test_offline_and_absent(name: str, tmp_path: Path, cache: Path) -> None:
    source = datasets.ORIGINS[name]
    (tmp_path / "root").mkdir()
    with pytest.raises(DataError) as caught:
        load_raw(name, tmp_path / "root")
    places = [str(tmp_path / "root" / source.folder), str(cache / source.folder), "RUNNER_DATA"]
    check_message(caught.value, *source.files, *places, "ConnectionError", "data=digits")


def test_damage_in_the_cache_tells_how_to_mend_it(tmp_path: Path, cache: Path) -> None:
    put(cache / "mnist", mnist_files() | {TRAIN_LABELS: b""})
    with pytest.raises(DataError) as caught:
        load_raw("mnist", None)
    check_message(caught.value, TRAIN_LABELS, "Delete the file")


def test_a_cache_that_cannot_be_written_to(cache: Path) -> None:
    cache.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        load_raw("mnist", None)
    check_message(caught.value, str(cache / "mnist"), "a folder that can be written to")


def test_import_is_light() -> None:
    heavy = "{'torch', 'numpy', 'sklearn', 'pooch', 'PIL'}"
    code = f"import sys, runner.data.sets; print(*{heavy} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


# Downloading


def test_download_then_cache(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    files = mnist_files()
    offer(monkeypatch, server, "mnist", files)
    assert load_raw("mnist", None).train_images.shape == (7, 1, 28, 28)
    assert "100%" in capfd.readouterr().err  # the progress bar
    assert sorted(server.requests) == sorted(files)
    assert {path.name: path.read_bytes() for path in (cache / "mnist").iterdir()} == files

    (cache / "mnist" / TEST_LABELS).unlink()
    server.requests.clear()
    assert load_raw("mnist", None).test_targets.tolist() == [0, 1, 2]
    assert server.requests == [TEST_LABELS]
    server.requests.clear()
    load_raw("mnist", None)
    assert server.requests == []


def test_second_mirror(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    source = offer(monkeypatch, server, "mnist", mnist_files())
    mirrors = ("http://127.0.0.1:9/", server.address + "gone/", server.address)
    monkeypatch.setitem(datasets.ORIGINS, "mnist", dataclasses.replace(source, mirrors=mirrors))
    assert load_raw("mnist", None).train_images.shape == (7, 1, 28, 28)
    assert server.requests[:2] == [f"gone/{TRAIN_IMAGES}", TRAIN_IMAGES]


BAD_DOWNLOADS = {
    # case: (content that is served, or None for a 404, what the message tells)
    "other content": (b"other", hashlib.sha256(b"other").hexdigest()),
    "web page": (HTML, hashlib.sha256(HTML).hexdigest()),
    "empty": (b"", hashlib.sha256(b"").hexdigest()),
    "not found": (None, "404"),
}


@pytest.mark.parametrize("case", BAD_DOWNLOADS)
def test_bad_download_is_never_kept(
    case: str, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, found = BAD_DOWNLOADS[case]
    source = offer(monkeypatch, server, "mnist", mnist_files())
    if content is None:
        del server.files[TRAIN_LABELS]
    else:
        server.files[TRAIN_LABELS] = content
    with pytest.raises(DataError) as caught:
        load_raw("mnist", None)
    expected = [source.downloads[TRAIN_LABELS]] if content is not None else []
    check_message(caught.value, server.address + TRAIN_LABELS, found, *expected)
    assert [path.name for path in (cache / "mnist").iterdir()] == [TRAIN_IMAGES]


def test_connection_that_breaks_halfway(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, server, "mnist", mnist_files())

    def hang_up(file: str) -> None:
        raise OSError

    server.halfway = hang_up
    with pytest.raises(DataError) as caught:
        load_raw("mnist", None)
    check_message(caught.value, TRAIN_IMAGES, "the download failed")
    assert list((cache / "mnist").iterdir()) == []


def start_download(server: Server, source: origins.Origin, cache: Path) -> subprocess.Popen[str]:
    """Load MNIST in a process of its own, from the test's server into the test's cache."""
    code = (
        "import dataclasses, json, pathlib, sys\n"
        "from runner.data import files as datasets\n"
        "address, downloads, cache = json.loads(sys.argv[1])\n"
        "source = datasets.ORIGINS['mnist']\n"
        "datasets.ORIGINS['mnist'] = dataclasses.replace(\n"
        "    source, mirrors=(address,), downloads=downloads)\n"
        "datasets.cache_root = lambda: pathlib.Path(cache)\n"
        "print(datasets.load_raw('mnist', None).train_images.shape)\n"
    )
    arguments = json.dumps([server.address, source.downloads, str(cache)])
    return subprocess.Popen(
        [sys.executable, "-c", code, arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_halfway_then_run_again(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = offer(monkeypatch, server, "mnist", mnist_files())
    half_sent, killed = threading.Event(), threading.Event()

    def stop_at_the_second_file(file: str) -> None:
        if file == TRAIN_LABELS:
            half_sent.set()
            killed.wait(30)

    server.halfway = stop_at_the_second_file
    with start_download(server, source, cache) as process:
        assert half_sent.wait(30), process.communicate(timeout=5)
        process.kill()
        process.communicate()
    killed.set()
    server.halfway = lambda file: None
    kept = {path.name: path for path in (cache / "mnist").iterdir()}
    assert kept.pop(TRAIN_IMAGES) and len(kept) == 1  # a whole file, and the scratch folder
    scratch = next(iter(kept.values()))
    assert scratch.is_dir()

    server.requests.clear()
    assert load_raw("mnist", None).train_images.shape == (7, 1, 28, 28)
    assert server.requests == [TRAIN_LABELS, TEST_IMAGES, TEST_LABELS]

    assert scratch.is_dir()  # it might have belonged to a living process
    two_days_ago = time.time() - 2 * 86_400
    os.utime(scratch, (two_days_ago, two_days_ago))
    (cache / "mnist" / TEST_LABELS).unlink()
    load_raw("mnist", None)
    assert not scratch.exists()


def test_two_processes_at_once(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = mnist_files()
    source = offer(monkeypatch, server, "mnist", files)
    both = threading.Barrier(2, timeout=30)

    def wait_for_the_other(file: str) -> None:
        if file == TRAIN_IMAGES:
            both.wait()

    server.halfway = wait_for_the_other
    with start_download(server, source, cache) as one, start_download(server, source, cache) as two:
        results = [process.communicate(timeout=60) for process in (one, two)]
    assert [out.strip() for out, _ in results] == ["(7, 1, 28, 28)"] * 2, results
    assert server.requests.count(TRAIN_IMAGES) == 2
    assert {path.name: path.read_bytes() for path in (cache / "mnist").iterdir()} == files


def cifar_archive(
    files: dict[str, bytes], *extra: tarfile.TarInfo, folder: str = "cifar-10-batches-bin"
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member in extra:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
        for file, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{file}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def tar_member(name: str, size: int = 0, link: str | None = None) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    if link is not None:
        member.type, member.linkname = tarfile.SYMTYPE, link
    return member


def test_cifar10_archive_yields_the_six_files_only(
    server: Server, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = cifar_archive(
        cifar_files(),
        tar_member("../../outside.bin", 10),
        tar_member(f"{tmp_path}/outside.bin", 10),
        tar_member("cifar-10-batches-bin/readme.html", 10),
        tar_member("cifar-10-batches-bin/../data_batch_1.bin", 10),
        tar_member("cifar-10-batches-bin/link", link="/etc"),
    )
    offer(monkeypatch, server, "cifar10", {"cifar-10-binary.tar.gz": archive})
    assert load_raw("cifar10", None).train_images.shape == (20, 3, 32, 32)
    paths = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")]
    assert sorted(paths) == sorted(f"cache/cifar-10-batches-bin/{file}" for file in CIFAR_FILES)
    server.requests.clear()
    load_raw("cifar10", None)
    assert server.requests == []


FIRST = f"cifar-10-batches-bin/{CIFAR_FILES[0]}"
BAD_ARCHIVES = {
    "short member": (cifar_archive(cifar_files(3)), "9219 bytes"),
    "long member": (cifar_archive(cifar_files(5)), "15365 bytes"),
    "link instead of a file": (
        cifar_archive(cifar_files(), tar_member(FIRST, link="/etc/passwd")),
        f"member {FIRST}",
    ),
    "no members": (cifar_archive({}), FIRST),
    "other folder": (cifar_archive(cifar_files(), folder="cifar"), FIRST),
    "cut": (cifar_archive(cifar_files())[:-30], "unreadable"),
    "no archive": (HTML, "unreadable"),
}


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_bad_cifar10_archive_leaves_nothing(
    case: str, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, found = BAD_ARCHIVES[case]
    offer(monkeypatch, server, "cifar10", {"cifar-10-binary.tar.gz": content})
    with pytest.raises(DataError) as caught:
        load_raw("cifar10", None)
    check_message(caught.value, "cifar-10-binary.tar.gz", found)
    assert list((cache / "cifar-10-batches-bin").iterdir()) == []


# The real files


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
