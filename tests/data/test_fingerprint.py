"""What data are, wherever they lie: the same for the same bytes, another for others, and never stale."""

import gzip
import os
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from stored import SHARED, idx, mnist_files, pixels, put

from runner.data import examples, files, fingerprint
from runner.data.fingerprint import combined, computed, forget
from runner.data.fingerprint import fingerprint as of
from runner.errors import DataError
from runner.options.data import Data
from runner.options.registry import ByName

COMMON = {
    "classes": None, "val_size": 2, "train_size": 1.0, "standardize": "none", "augment": "none",
}  # fmt: skip
TABLE = "a,b,y\n" + "".join(f"{n},{n % 7},{n % 2}\n" for n in range(40))


def source(**settings: Any) -> Data:
    found: Data = TypeAdapter(Annotated[Data, ByName("data")]).validate_python(COMMON | settings)
    return found


def table(path: Path, text: str = TABLE) -> Data:
    path.write_text(text)
    return source(
        name="csv", path=str(path), target="y", target_kind="classes", header="auto", delimiter="auto",
        test_path=None, test_size=None, split_seed=0,
    )  # fmt: skip


def mnist(root: Path | None = None) -> Data:
    return source(name="mnist", root=None if root is None else str(root))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, nothing known yet, every file too large to be summed up at once."""
    forget()
    monkeypatch.delenv("RUNNER_DATA", raising=False)
    monkeypatch.setattr(files, "cache_root", lambda: tmp_path / "cache")
    monkeypatch.setattr(fingerprint, "SMALL", -1)
    return tmp_path / "cache"


def settle(*paths: Path) -> None:
    """As if the files had been written long ago."""
    for path in paths:
        os.utime(path, (1e9, 1e9))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files need not be old: a test cannot set back when the file system last changed them."""
    monkeypatch.setattr(fingerprint, "SETTLED_NS", -1)


@pytest.fixture
def sums(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose bytes are summed up."""
    found: list[Path] = []
    real = fingerprint._sum
    monkeypatch.setattr(fingerprint, "_sum", lambda path: found.append(path) or real(path))
    return found


def test_it_is_of_the_content_by_name(tmp_path: Path) -> None:
    expected = combined({"csv": sha256(TABLE.encode()).hexdigest()})
    assert of(table(tmp_path / "a.csv")) == of(table(tmp_path / "b.csv")) == expected
    assert of(table(tmp_path / "c.csv", TABLE + "1,2,1\n")) != expected
    assert combined({"a": "1", "b": "2"}) == combined({"b": "2", "a": "1"})
    assert combined({"a": "1", "b": "2"}) != combined({"a": "2", "b": "1"})


def test_gzipped_or_not_in_the_root_or_in_the_cache(tmp_path: Path, cache: Path) -> None:
    gz = mnist_files()
    plain = {name.removesuffix(".gz"): gzip.decompress(content) for name, content in gz.items()}
    again = {name: gzip.compress(gzip.decompress(content), 1) for name, content in gz.items()}
    for root, content in (("gz", gz), ("plain", plain), ("again", again)):
        put(tmp_path / root / "mnist", content)
    put(cache / "mnist", gz)
    places = [tmp_path / name for name in ("gz", "plain", "again")]
    assert len({of(mnist(place)) for place in [*places, None]}) == 1
    changed = pixels(7, 28, 28)
    changed[3, 4, 5] ^= 1
    (tmp_path / "plain" / "mnist" / "train-images-idx3-ubyte").write_bytes(idx(changed))
    forget()
    assert of(mnist(tmp_path / "plain")) != of(mnist(tmp_path / "gz"))


@pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="no MNIST files beside the repository")
def test_mnist_is_known_before_it_is_downloaded(tmp_path: Path) -> None:
    assert of(mnist()) == of(mnist(SHARED))
    with pytest.raises(DataError, match="no such folder"):
        of(mnist(tmp_path / "nowhere"))


@pytest.mark.usefixtures("settled")
def test_a_large_file_is_summed_up_once(tmp_path: Path, sums: list[Path]) -> None:
    data = table(tmp_path / "a.csv")
    found = [of(data), computed(data)]
    forget()
    assert len({*found, of(data)}) == 1 and len(sums) == 1


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("how", ["in place", "replaced", "with its old time", "a link moved"])
def test_a_changed_file_is_another(tmp_path: Path, how: str, sums: list[Path]) -> None:
    """Of the same size, and however it was changed."""
    path, other = tmp_path / "a.csv", tmp_path / "other"
    data, changed = table(path), TABLE.replace("7,0,1", "7,5,1")
    settle(path)
    before = of(data)
    other.write_text(changed)
    match how:
        case "in place":
            path.write_text(changed)
        case "with its old time":
            path.write_text(changed)
            settle(path)
        case "replaced":
            other.replace(path)
        case "a link moved":
            path.unlink()
            path.symlink_to(other)
    forget()
    assert of(data) != before and len(sums) == 2


def test_what_was_just_written_is_not_kept(tmp_path: Path, sums: list[Path], cache: Path) -> None:
    data = table(tmp_path / "a.csv")
    computed(data), computed(data)
    assert len(sums) == 2 and not cache.exists()


DAMAGE = {
    "empty": lambda content: b"",
    "cut": lambda content: content[:-20],
    "a flipped bit": lambda content: content[:70] + bytes([content[70] ^ 1]) + content[71:],
    "another fingerprint": lambda content: content[:65] + b"0" * 64 + content[129:],
    "longer": lambda content: content * 2,
    "no text": lambda content: bytes(255 - byte for byte in content),
}  # fmt: skip


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_made_anew(
    tmp_path: Path, damage: str, sums: list[Path], cache: Path
) -> None:
    data = table(tmp_path / "a.csv")
    expected = computed(data)
    (entry,) = (cache / "fingerprints").iterdir()
    good = entry.read_bytes()
    entry.write_bytes(DAMAGE[damage](good))
    assert computed(data) == expected and len(sums) == 2
    assert entry.read_bytes() == good


@pytest.mark.usefixtures("settled")
def test_a_cache_that_cannot_be_written_to(tmp_path: Path, sums: list[Path], cache: Path) -> None:
    cache.write_text("")
    data = table(tmp_path / "a.csv")
    assert computed(data) == computed(data) and len(sums) == 2


def test_a_gzip_bomb_is_summed_up_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "MOST_UNPACKED", 1000)
    for name, size in (("small", 1000), ("large", 1001)):
        (tmp_path / name).write_bytes(gzip.compress(bytes(size)))
    assert fingerprint._sum(tmp_path / "small") == sha256(bytes(1000)).hexdigest()
    packed = (tmp_path / "large").read_bytes()
    assert fingerprint._sum(tmp_path / "large") == sha256(packed).hexdigest()
    (tmp_path / "cut").write_bytes(packed[:-9])
    assert fingerprint._sum(tmp_path / "cut") == sha256(packed[:-9]).hexdigest()


def test_what_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    data = table(path)
    of(data)  # the runs are known by it
    path.write_text(TABLE.replace("7,0,1", "7,5,1"))
    with pytest.raises(DataError, match=r"a\.csv: changed while it was read"):
        examples.load(data)
    forget()
    assert len(examples.load(data).test) == 8


def test_a_later_command_reads_what_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    data = table(path)
    first = examples.load(data)
    assert examples.load(data) is first
    path.write_text(TABLE.replace("7,0,1", "7,5,1"))
    forget()
    second = examples.load(data)
    assert not np.array_equal(first.train.images, second.train.images) or not np.array_equal(
        first.test.images, second.test.images
    )


def test_a_missing_file(tmp_path: Path) -> None:
    data = table(tmp_path / "a.csv")
    (tmp_path / "a.csv").unlink()
    with pytest.raises(DataError) as caught:
        of(data)
    assert str(caught.value).startswith(f"data.path={tmp_path}/a.csv\n  found: no such file")
