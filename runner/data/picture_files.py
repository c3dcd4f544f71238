"""Which pictures a folder holds: train/<class>/, test/<class>/ and val/<class>/, or <class>/ alone."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from runner.data.refusals import unexpected

PARTS = ("train", "test", "val")
ENDINGS = (".png", ".jpg", ".jpeg")
MAX_PICTURES = 1_000_000


def pictures_in(root: Path) -> Mapping[str, Path]:
    """Every picture by its place in the folder, part/class/file or class/file; classes and files sorted.

    Hidden files are passed over. A link is followed as long as it stays inside the folder.

    Raises:
        DataError: There is anything else than pictures in folders of classes.
    """
    top = _folders(root, root)
    has_parts = "train" in [path.name for path in top]
    found: dict[str, Path] = {}
    if has_parts:
        for folder in top:
            if folder.name not in PARTS:
                expected = f"{', '.join(PARTS)}, each with a folder for each class"
                raise unexpected(folder, "a folder beside train/", expected)
            for pictures in _folders(root, folder):
                found |= _pictures(root, pictures)
        if "test" not in [path.name for path in top]:
            raise unexpected(root, "train/ without test/", "both, or only folders of classes")
    else:
        for pictures in top:
            found |= _pictures(root, pictures)
    if not found:
        raise unexpected(
            root, "no folders", "a folder for each class, or train/ and test/ with those"
        )
    return found


def place_of(name: str) -> tuple[str | None, str]:
    """Part, or None where there are no parts, and class of a picture, by its place."""
    *part, class_name, _ = name.split("/")
    return (part[0] if part else None), class_name


def _entries(root: Path, folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise unexpected(folder, error.strerror or str(error), "a folder") from None
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "Thumbs.db":
            continue
        if entry.is_symlink() and not _inside(root, Path(entry.path)):
            raise unexpected(
                entry.path,
                "a link that leads nowhere, or out of the folder",
                "the pictures themselves",
            )
        yield entry


def _inside(root: Path, link: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return False


def _folders(root: Path, folder: Path) -> list[Path]:
    folders = []
    for entry in _entries(root, folder):
        if not entry.is_dir():
            raise unexpected(entry.path, "a file", "folders of classes, with the pictures in them")
        folders.append(Path(entry.path))
    return folders


def _pictures(root: Path, folder: Path) -> dict[str, Path]:
    """The pictures of one class."""
    if not folder.name.isprintable():
        raise unexpected(
            folder, f"the name {folder.name!r} of a class", "a name that can be printed"
        )
    found = {}
    for entry in _entries(root, folder):
        if not entry.is_file() or not entry.name.lower().endswith(ENDINGS):
            kind = "a folder" if entry.is_dir() else "a file of another kind"
            raise unexpected(entry.path, kind, f"pictures: {', '.join(ENDINGS)}")
        path = Path(entry.path)
        found[path.relative_to(root).as_posix()] = path
        if len(found) > MAX_PICTURES:
            raise unexpected(folder, f"over {MAX_PICTURES:,} pictures", "fewer")
    if not found:
        raise unexpected(
            folder, "no pictures", f"some of the class '{folder.name}', or no such folder"
        )
    return found
