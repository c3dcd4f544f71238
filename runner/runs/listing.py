"""The runs in a folder, one row each: status, settings and numbers. An unreadable run is a row, too."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.config.mistakes import nearest
from runner.config.varying import leaves
from runner.errors import DataError, one_line
from runner.runs.folder import OUTPUTS, RunFolder

LEVELS = 2  # outputs/, the folder of a name, the folder of a run
UNLISTED = ("study", "resume", "fail_fast")  # of the settings
UNREADABLE = "unreadable"  # damaged, or with an option of a plugin that nobody has loaded

Row = dict[str, Any]


def runs_in(folder: Path, levels: int = LEVELS) -> list[Path]:
    """The run folders at or below a folder, by name; no link is followed.

    Raises:
        DataError: There is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    if is_run(folder):
        return [folder]
    below = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    found = [path for path in below if is_run(path)]
    if levels > 1:
        found += [run for path in below if path not in found for run in runs_in(path, levels - 1)]
    return sorted(found)


def run_at(path: Path) -> Path:
    """The run that is meant by a path: its folder, a file in it, or a folder in which it is the only one.

    Raises:
        DataError: There is none, or more than one.
    """
    if path.is_file():
        above = [folder for folder in path.parents if is_run(folder)]
        path = above[0] if above else path
    if not path.is_dir():
        runs = runs_in(OUTPUTS) if OUTPUTS.is_dir() else []
        known = [str(folder) for run in runs for folder in (run, run.parent)]
        raise DataError(f"{path}: no such folder{nearest(str(path), known)}")
    found = runs_in(path)
    if len(found) != 1:
        which = f"{len(found)} runs; name one, such as {found[0]}" if found else "no run here"
        raise DataError(f"{path}: {which}")
    return found[0]


def is_run(folder: Path) -> bool:
    return (folder / "status.json").exists()


def row_of(path: Path) -> Row:
    """A run by column: `run`, `folder`, `status`, `reason`, its settings by dotted key, its numbers by name."""
    row: Row = {"run": path.name, "folder": str(path)}
    folder = RunFolder(path)
    try:
        row |= {"status": folder.status, "reason": folder.reason}
        config = folder.config()
        if config:
            row |= settings_in(config.model_dump(mode="json"))
        row |= {key: value for key, value in numbers_in(folder.result or {}) if key not in row}
    except DataError as error:
        row |= {"status": UNREADABLE, "reason": one_line(error)}
    return row


def settings_in(config: Mapping[str, Any]) -> Row:
    """The settings of a run by dotted key; a list as it is typed."""
    return {
        key: json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value
        for key, value in leaves(config)
        if key.split(".")[0] not in UNLISTED
    }


def numbers_in(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a result holds by name, without what is itself a list or a mapping."""
    return ((k, v) for k, v in result.items() if not isinstance(v, (dict, list, tuple)))
