"""The runs in a folder as a table, or what differs between two of them.

python -m runner.runs
python -m runner.runs outputs/grid --sort test/accuracy --where optimizer.name=adam
python -m runner.runs outputs/grid --csv > grid.csv
python -m runner.runs --diff outputs/grid/a outputs/grid/b
"""

import argparse
import operator
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runner.command.outcome import add_plugin, exit_code
from runner.command.sweep_files import as_csv
from runner.command.terminal import err, in_words, metric_of, out
from runner.config.mistakes import nearest
from runner.config.schema import Config
from runner.errors import ConfigError, DataError
from runner.foreign import for_terminal
from runner.runs.folder import OUTPUTS
from runner.runs.listing import UNREADABLE, Row, row_of, run_at, runs_in

SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
CONDITION = re.compile(r"([^=<>!]+)(!=|<=|>=|=|<|>)(.*)")
ABOUT_THE_RUN = ("run", "folder", "config_hash", "status", "reason", "name")
MOST_SETTINGS = 6  # that vary, in the table; their values stand in the folders' names, too


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0; 2 no such folder, no runs, or an unknown key."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.runs", description="Lists runs, or compares two."
    )
    parser.add_argument("folder", nargs="?", type=Path, default=OUTPUTS, help="default: outputs")
    parser.add_argument("--sort", metavar="KEY", help="a setting, or a metric: the best first")
    parser.add_argument(
        "--where", action="append", default=[], metavar="KEY=VALUE",
        help="only these; also !=, <, <=, >, >=; again for another",
    )  # fmt: skip
    parser.add_argument("--csv", action="store_true", help="every setting and number, as CSV")
    parser.add_argument(
        "--diff", nargs=2, type=Path, metavar="RUN", help="what differs in two runs"
    )
    add_plugin(parser)
    options = parser.parse_args(arguments)
    if options.diff:
        return exit_code(lambda: tell_difference(*options.diff), options.plugin)
    return exit_code(
        lambda: tell_runs(options.folder, options.where, options.sort, options.csv), options.plugin
    )


def tell_runs(folder: Path, conditions: Sequence[str], sort: str | None, as_file: bool) -> None:
    """Prints a row for each run.

    Raises:
        DataError: There is no run.
        ConfigError: A key is unknown, or a condition is none.
    """
    rows = [row_of(path) for path in runs_in(folder)]
    if not rows:
        raise DataError(f"{folder}: no runs in this folder")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    for condition in conditions:
        rows = [row for row in rows if meets(row, condition, columns)]
    if sort:
        rows = in_order(rows, known(sort, columns))
    if as_file:
        out.print(as_csv(columns, rows), end="")
        return
    if not rows:
        out.print("No run meets these conditions.")
        return
    shown = table_columns(rows, sort and known(sort, columns))
    out.print(
        aligned([[heading(key) for key in shown], *([cell(r, k) for k in shown] for r in rows)])
    )
    for row in rows:
        if row.get("reason"):
            err.print(f"{row['status']}: {row['folder']}: {row['reason']}")


def tell_difference(first: Path, second: Path) -> None:
    """Prints the settings and numbers in which two runs differ."""
    one, other = row_of(run_at(first)), row_of(run_at(second))
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    keys.sort(key=lambda key: not is_setting(key))
    lines = [["", "first", "second", "difference"]]
    for key in keys:
        if key not in ABOUT_THE_RUN:
            lines.append([key, *(cell(row, key) for row in (one, other)), change(one, other, key)])
    for name, row in (("first", one), ("second", other)):
        out.print(f"{name + ':':8}{row['folder']}  {row['status']}")
        if row.get("reason"):
            err.print(f"{row['status']}: {row['folder']}: {row['reason']}")
    out.print(aligned(lines) if lines[1:] else "The same settings and numbers.")


def known(key: str, columns: Sequence[str]) -> str:
    """The column that a key names; a group stands for its option.

    Raises:
        ConfigError: There is none.
    """
    for column in (key, f"{key}.name"):
        if column in columns:
            return column
    raise ConfigError([f"unknown key '{key}'{nearest(key, list(columns))}"])


def meets(row: Row, condition: str, columns: Sequence[str]) -> bool:
    """Whether a run is one of those that a condition is about.

    Raises:
        ConfigError: It is no condition, or compares what has no order.
    """
    found = CONDITION.fullmatch(condition)
    if not found:
        raise ConfigError([f"--where {condition}: not of the form key=value, key>value, ..."])
    key, sign, text = found.groups()
    value, wanted = row.get(known(key, columns)), as_value(text)
    if isinstance(value, str):  # a list, a name, digits that are a name
        wanted = text
    if sign in ("=", "!="):
        return SIGNS[sign](value, wanted)
    if isinstance(wanted, (bool, str)) or wanted is None:
        raise ConfigError([f"--where {condition}: {key} is {value!r}; {sign} compares numbers"])
    return isinstance(value, (int, float)) and SIGNS[sign](value, wanted)


def as_value(text: str) -> Any:
    """A value as it is typed: a number, true, false, null, or text."""
    words = {"true": True, "false": False, "null": None}
    if text in words:
        return words[text]
    try:
        return float(text)
    except ValueError:
        return text


def in_order(rows: Sequence[Row], key: str) -> list[Row]:
    """Settings ascending, metrics with the best first, runs without the value last."""
    having = [row for row in rows if row.get(key) is not None]
    down = "/" in key and metric_of(key).higher_is_better
    numeric = all(isinstance(row[key], (int, float)) for row in having)
    having.sort(key=lambda row: row[key] if numeric else str(row[key]), reverse=down)
    return having + [row for row in rows if row.get(key) is None]


def table_columns(rows: Sequence[Row], sorted_by: str | None) -> list[str]:
    """What a table shows: test metrics, settings that vary, status, folder."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    metrics = [key for key in keys if re.fullmatch("test/[^/]+", key) and key != "test/error"]
    varying = [
        key
        for key in keys
        if is_setting(key)
        and len({str(row.get(key)) for row in rows if row["status"] != UNREADABLE}) > 1
    ]
    extra = [sorted_by] if sorted_by else []
    shown = [*extra, *metrics, *(varying if len(varying) <= MOST_SETTINGS else [])]
    return list(dict.fromkeys([*shown, "status", "folder"]))


def is_setting(key: str) -> bool:
    return key.split(".")[0] in Config.model_fields and key not in ABOUT_THE_RUN


def heading(key: str) -> str:
    return "" if key == "folder" else key


def cell(row: Row, key: str) -> str:
    """A value for the screen."""
    value = row.get(key)
    if value is None or isinstance(value, (str, bool)):
        return "–" if value is None else str(value).lower() if isinstance(value, bool) else value
    return str(value) if isinstance(value, int) else in_words(key, value)


def change(one: Row, other: Row, key: str) -> str:
    """By how much a number of the second run is larger."""
    a, b = one.get(key), other.get(key)
    if any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in (a, b)):
        return ""
    assert a is not None
    assert b is not None
    share = metric_of(key).percent
    return f"{b - a:+.2%}" if share else f"{b - a:+.4g}"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns two spaces apart; long lines are not broken."""
    shown = [[for_terminal(text.replace("\n", " ")) for text in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in shown
    )
