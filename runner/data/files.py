"""Where the files of the data sets lie: found on this machine, or downloaded. Nothing here reads them."""

import os
import stat
from importlib.util import find_spec
from pathlib import Path

from runner.data.origins import ORIGINS
from runner.data.refusals import unexpected
from runner.errors import DataError
from runner.options.data import Raw


def paths_of(name: str, root: str | Path | None) -> dict[str, Path]:
    """The files of a data set by their official names; downloads what is nowhere on this machine.

    Args:
        name: One of ORIGINS.
        root: A folder that may hold mnist/, fashion_mnist/, cifar-10-batches-bin/ and the like; None
            means the environment variable RUNNER_DATA. Without such a folder there, the cache is used.

    Raises:
        DataError: In at most five lines, the file or folder, what was found and what was expected.
    """
    origin = ORIGINS[name]
    folder, places = _folder_of(name, root)
    if missing := [file for file in origin.files if _locate(folder, file) is None]:
        if folder != places[-1]:
            # Whoever made the folder meant these files: fetching others in silence would hide it.
            raise unexpected(folder, f"no {', '.join(missing)}", "these files, gzipped or not")
        from runner.data.download import download

        download(name, missing, places)
    return {file: path for file in origin.files if (path := _locate(folder, file))}


def is_absent(name: str, root: str | Path | None) -> bool:
    """Whether a data set would have to be downloaded."""
    folder, places = _folder_of(name, root)
    return folder == places[-1] and not all(_locate(folder, file) for file in ORIGINS[name].files)


def load_raw(name: str, root: str | Path | None) -> Raw:
    """Reads a data set that comes from the network, and downloads it first if it is nowhere.

    Raises:
        DataError: As `paths_of`, or a file is not what its name says.
    """
    from runner.data.formats import READERS

    paths = paths_of(name, root)
    try:
        return READERS[name](list(paths.values()))
    except DataError as error:
        own = next(iter(paths.values())).parent == _cache_of(name)
        hint = "\nDelete the file and the next run downloads it again." if own else ""
        raise DataError(f"{error}{hint}") from None


def bundled(file: str) -> Path:
    """A data file that comes with scikit-learn, found without importing it."""
    spec = find_spec("sklearn")
    assert spec
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], "datasets", "data", file)


def cache_root() -> Path:
    """The user's cache, such as ~/.cache/runner."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("runner")).expanduser()


def check_root(root: str | Path | None) -> None:
    """Checks a folder that a data set does not need.

    Raises:
        DataError: It is no folder.
    """
    if root is not None:
        _root(root, "a folder, or data.root=null: this data set needs none")


def own(path: str | None, key: str, expected: str, folder: bool = False) -> Path:
    """A file or folder of the user's.

    Args:
        path: As it was given; relative to the working directory.
        key: The setting that names it.
        expected: What it should be.
        folder: Whether it is a folder.

    Raises:
        DataError: Nothing was given, there is nothing of this name, or something else.
    """
    if not path:
        raise DataError(f"{key}: not given; it names {expected}")
    try:
        found = Path(path).expanduser()
        status = found.stat()
    except FileNotFoundError:
        raise unexpected(f"{key}={path}", _nothing_at(found), expected) from None
    except RuntimeError:
        raise unexpected(f"{key}={path}", "no such user", expected) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise unexpected(f"{key}={path}", reason, expected) from None
    mode = status.st_mode
    if not (stat.S_ISDIR if folder else stat.S_ISREG)(mode):
        kind = (
            "a folder"
            if stat.S_ISDIR(mode)
            else "a file"
            if stat.S_ISREG(mode)
            else "a pipe or device"
        )
        raise unexpected(f"{key}={path}", kind, expected)
    # The kernel's files, of which some never end and others hold the environment, have no size either.
    if not folder and not status.st_size:
        raise unexpected(f"{key}={path}", "an empty file", expected)
    return found


def _nothing_at(path: Path) -> str:
    if path.is_symlink():
        return "a link to nothing"
    if path.is_absolute():
        return "no such file or folder"
    return f"no such file or folder in {Path.cwd()}"


def _folder_of(name: str, root: str | Path | None) -> tuple[Path, list[Path]]:
    """The folder with the files of a data set, and all places that it may lie in, the cache last."""
    origin = ORIGINS[name]
    folder = cache = _cache_of(name)
    places = [cache]
    given = os.environ.get("RUNNER_DATA") or None if root is None else root
    if given is not None:
        places.insert(0, _root(given, f"a folder that holds {origin.folder}/") / origin.folder)
        if _is_folder(places[0]):
            folder = places[0]
    return folder, places


def _cache_of(name: str) -> Path:
    return cache_root() / ORIGINS[name].folder


def _root(given: str | Path, expected: str) -> Path:
    """The folder that the user has named for the data."""
    try:
        root = Path(given).expanduser()
    except RuntimeError:
        raise unexpected(Path(given), "no such user", expected) from None
    if not _is_folder(root):
        raise unexpected(root, "no such folder", expected)
    return root


def _is_folder(path: Path) -> bool:
    """Whether there is a folder.

    Raises:
        DataError: Something else has this name, such as a broken link, or it cannot be looked at.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        if not path.is_symlink():
            return False
        reason = "a link to nothing"
    except (OSError, ValueError) as error:  # a link to itself, a name that is too long or has a NUL
        reason = getattr(error, "strerror", None) or str(error)
    else:
        if stat.S_ISDIR(found.st_mode):
            return True
        reason = "not a folder"
    raise unexpected(path, reason, "a folder")


def _locate(folder: Path, file: str) -> Path | None:
    """The file, or its decompressed form, which is faster to read, where there is one."""
    try:
        candidates = (folder / file.removesuffix(".gz"), folder / file)
        return next((path for path in candidates if path.is_file()), None)
    except OSError as error:  # a folder that the user may not look into
        raise unexpected(folder, error.strerror or str(error), "a folder to read from") from None
