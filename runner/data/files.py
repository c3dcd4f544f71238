"""The data sets as arrays: found on this machine or downloaded, checked strictly, never trusted."""

import os
import stat
from pathlib import Path

from runner.data.download import download
from runner.data.formats import Raw, read_cifar10, read_digits, read_mnist, unexpected
from runner.data.origins import ORIGINS
from runner.errors import DataError


def load_raw(name: str, root: str | Path | None) -> Raw:
    """Reads a data set from the disk, and downloads it into the user's cache if it is nowhere.

    Args:
        name: digits, mnist, fashion_mnist or cifar10.
        root: A folder that may hold mnist/, fashion_mnist/ or cifar-10-batches-bin/; None means
            the environment variable RUNNER_DATA. Without such a folder there, the cache is used.

    Raises:
        DataError: In at most five lines, the file, what was found and what was expected.
    """
    if name == "digits":
        return read_digits()
    if name not in ORIGINS:
        raise DataError(f"Unknown data set '{name}'. Known: digits, {', '.join(ORIGINS)}.")
    origin = ORIGINS[name]
    folder = cache = cache_root() / origin.folder
    places = [cache]
    given = os.environ.get("RUNNER_DATA") or None if root is None else root
    if given is not None:
        places.insert(0, _root(given, origin.folder) / origin.folder)
        if _is_folder(places[0]):
            folder = places[0]
    if missing := [file for file in origin.files if _locate(folder, file) is None]:
        if folder != cache:
            # Whoever made the folder meant these files: fetching others in silence would hide it.
            raise unexpected(folder, f"no {', '.join(missing)}", "these files, gzipped or not")
        download(name, missing, places)

    paths = [path for file in origin.files if (path := _locate(folder, file))]
    try:
        return read_cifar10(paths) if name == "cifar10" else read_mnist(paths)
    except DataError as error:
        hint = "\nDelete the file and the next run downloads it again." if folder == cache else ""
        raise DataError(f"{error}{hint}") from None


def cache_root() -> Path:
    """The user's cache, such as ~/.cache/runner."""
    import pooch

    return Path(pooch.os_cache("runner"))


def _root(given: str | Path, wanted: str) -> Path:
    """The folder that the user has named for the data."""
    try:
        root = Path(given).expanduser()
    except RuntimeError:
        raise unexpected(Path(given), "no such user", f"a folder that holds {wanted}/") from None
    if not _is_folder(root):
        raise unexpected(root, "no such folder", f"a folder that holds {wanted}/")
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
