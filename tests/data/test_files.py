"""Where data files are looked for, and what stands in their place."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stored import (
    REPOSITORY,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    check_message,
    idx,
    mnist_files,
    put,
)

from runner.data import files as datasets
from runner.data.files import load_raw, own
from runner.errors import DataError

pytestmark = pytest.mark.usefixtures("cache")  # and no network


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
