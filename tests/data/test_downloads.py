"""Downloads, and those that fail at every point."""

import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from stored import (
    CIFAR_FILES,
    HTML,
    REPOSITORY,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    check_message,
    cifar_files,
    mnist_files,
)

from runner.data import files as datasets
from runner.data import origins
from runner.data.files import load_raw
from runner.errors import DataError

pytestmark = pytest.mark.usefixtures("cache")  # and no network


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
