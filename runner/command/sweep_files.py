"""What a sweep leaves beside its runs: sweep.csv, a row for each run, and the commands that trained them."""

import csv
import json
import shlex
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from runner.config.schema import Config
from runner.config.varying import varying
from runner.errors import DataError
from runner.foreign import for_csv
from runner.runs.files import read_file, write_atomically
from runner.runs.folder import RunFolder
from runner.runs.listing import settings_in
from runner.runs.lock import locked

TABLE, COMMANDS = "sweep.csv", "sweep.json"
MAX_BYTES = 1 << 26
MOST_COMMANDS = 20
Row = dict[str, Any]


def add_rows(folder: Path, settings: Sequence[str], others: Sequence[str], rows: list[Row]) -> Path:
    """Adds runs to sweep.csv, each once; those of other sweeps under the same name stay.

    Args:
        folder: outputs/<name>.
        settings: The columns of what varies.
        others: The columns that come after them; the last is the name of the run.
        rows: The runs, by column.
    """
    with locked(folder, timeout=-1):  # another process may carry out the same sweep
        path = folder / TABLE
        columns, before = _read(path)
        new = {row["run"] for row in rows}
        kept = [row for row in before if row.get("run") not in new]
        if kept:
            old = [column for column in columns if column not in (*settings, *others)]
            settings = [*old, *settings]
            settings += _between(folder, rows[0], kept[0], settings)
            rows = [_completed(folder, row, settings) for row in [*rows, *kept]]
        write_atomically(path, as_csv([*settings, *others], rows).encode())
    return path


def _read(path: Path) -> tuple[list[str], list[Row]]:
    """The columns and rows of an earlier table; nothing where it is damaged or no table."""
    try:
        text = (read_file(path, MAX_BYTES) or b"").decode()
        reader = csv.DictReader(StringIO(text, newline=""))
        rows = [row for row in reader if None not in row]
    except (DataError, UnicodeDecodeError, csv.Error):
        return [], []
    columns = list(reader.fieldnames or [])
    return (columns, rows) if "run" in columns else ([], [])  # saved anew with ; between cells


def _between(folder: Path, new: Row, old: Row, known: Sequence[str]) -> list[str]:
    """The settings in which two sweeps differ, though none of them varies it: a run of each tells."""
    configs = [_config(folder, row) for row in (new, old)]
    runs = [settings_in(config.settings()) for config in configs if config]
    keys = [key.removesuffix(".name") for key in varying(runs)]
    return [key for key in keys if key not in known]


def _config(folder: Path, row: Row) -> Config | None:
    if Path(str(row["run"])).name != row["run"]:
        return None
    try:
        return RunFolder(folder / row["run"]).config()
    except DataError:
        return None


def _completed(folder: Path, row: Row, settings: Sequence[str]) -> Row:
    """A row with the settings that did not vary in the sweep that it comes from."""
    missing = [key for key in settings if row.get(key) in (None, "")]
    if not missing:
        return row
    config = _config(folder, row)
    values = config.model_dump(mode="json") if config else {}
    return row | {key: _at(values, key) for key in missing}


def _at(values: Any, key: str) -> Any:
    """The value of a dotted key; of a group, its option."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values.get("name") if isinstance(values, dict) else values


def as_csv(columns: Sequence[str], rows: Sequence[Row]) -> str:
    file = StringIO()
    writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
    writer.writerow({column: for_csv(column) for column in columns})
    writer.writerows({key: for_csv(value) for key, value in row.items()} for row in rows)
    return file.getvalue()


def keep_command(folder: Path, command: str) -> None:
    """Notes a command that trained runs of a folder, for the report's "again"."""
    with locked(folder, timeout=-1):
        commands = [known for known in _commands(folder) if known != command]
        text = json.dumps([*commands, command][-MOST_COMMANDS:], indent=2, ensure_ascii=False)
        write_atomically(folder / COMMANDS, f"{text}\n".encode())


def commands_of(folder: Path) -> list[str]:
    """What trains the runs of a folder, or the one run in it, again."""
    if (folder / "config.yaml").is_file():
        return [shlex.join(["python", "-m", "runner", f"{folder}/config.yaml"])]
    return _commands(folder)


def _commands(folder: Path) -> list[str]:
    try:
        data = read_file(folder / COMMANDS, MAX_BYTES)
        return TypeAdapter(list[str]).validate_json(data, strict=True) if data else []
    except (DataError, ValidationError):
        return []
