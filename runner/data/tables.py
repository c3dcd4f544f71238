"""Tables: scikit-learn's and the user's own CSV files."""

import csv
import gzip
import math
from collections.abc import Sequence
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from runner.data.arrays import AS_THEY_ARE, Array, checked
from runner.data.class_names import DIGITS
from runner.data.refusals import unexpected
from runner.data.splits import part, spread
from runner.errors import DataError
from runner.options.data import Raw

MAX_CSV_BYTES = 1_000_000_000
MAX_CELL = 30  # characters of one that are shown
MAX_CLASSES = 1000
FIFTH = 0.2
LARGEST = float(np.finfo(np.float32).max)


def read_digits(path: Path) -> Raw:
    """Digits of 8x8 pixels: 1,324 for training and validation, 473 for testing, always the same."""
    table = np.loadtxt(
        gzip.decompress(path.read_bytes()).decode().splitlines(), np.uint8, delimiter=","
    )
    # Neighbours on file often share a writer: a cut without shuffling would test on other writers.
    order = np.random.default_rng(0).permutation(len(table))
    images = table[order, :-1].reshape(-1, 1, 8, 8)
    labels = table[order, -1].astype(np.int64)
    return Raw(images[:1324], labels[:1324], images[1324:], labels[1324:], 16, DIGITS)


def read_bundled(
    path: Path, class_names: tuple[str, ...], test_size: int | float, split_seed: int
) -> Raw:
    """A table of scikit-learn's: sizes and names in the first row, the class in the last column."""
    lines = path.read_text(encoding="utf-8").splitlines()
    table = np.loadtxt(lines[1:], np.float64, delimiter=",")
    return _split(
        path, table[:, :-1], table[:, -1].astype(np.int64), class_names, test_size, split_seed
    )


def read_csv(
    path: Path,
    test_path: Path | None,
    *,
    target: int | str | None,
    target_kind: str,
    header: str | bool,
    delimiter: str,
    test_size: int | float | None,
    split_seed: int,
) -> Raw:
    """Reads a table of numbers with a target, and splits it unless there is another one for testing.

    Raises:
        DataError: A row or cell is not as expected, with its line.
    """
    table = CsvTable(path, header, delimiter)
    at = table.column(target)
    rows, targets = table.numbers(at), table.cells(at)
    names: tuple[str, ...] | None = None
    if target_kind == "classes":
        names = _names(targets)
        if len(names) > MAX_CLASSES:
            raise unexpected(
                path,
                f"{len(names):,} different values in column {table.shown(at)}",
                f"up to {MAX_CLASSES:,} classes; data.target_kind=values to predict values",
            )
        y = np.array([names.index(text) for text in targets], np.int64)
    else:
        y = table.values(at)
    if test_path is None:
        return _split(path, rows, y, names, FIFTH if test_size is None else test_size, split_seed)
    other = CsvTable(test_path, table.columns is not None, table.delimiter)
    if other.columns != table.columns or other.width != table.width:
        raise unexpected(
            test_path, f"columns {', '.join(other.names[:8])}", f"those of {path.name}: {', '.join(table.names[:8])}"
        )  # fmt: skip
    if names is None:
        test_y = other.values(at)
    else:
        for (line, _), text in zip(other.rows, other.cells(at), strict=True):
            if text not in names:
                raise unexpected(
                    f"{test_path}:{line}", f"class {_cell(text)}", f"as in {path.name}: {', '.join(names[:10])}"
                )  # fmt: skip
        test_y = np.array([names.index(text) for text in other.cells(at)], np.int64)
    order = spread(y, split_seed)
    raw = Raw(
        _features(rows[order]), y[order], _features(other.numbers(at)), test_y, AS_THEY_ARE, names
    )
    return checked(path, raw)


def _split(
    path: Path,
    rows: Array,
    targets: Array,
    names: tuple[str, ...] | None,
    test_size: int | float,
    split_seed: int,
) -> Raw:
    order = spread(targets, split_seed)
    count = part(test_size, len(order))
    if count >= len(order):
        raise DataError(
            f"data.test_size={test_size} leaves nothing to train on: {path} has {len(order)} rows"
        )
    test, train = order[:count], order[count:]
    x = _features(rows)
    return checked(path, Raw(x[train], targets[train], x[test], targets[test], AS_THEY_ARE, names))


def _features(rows: Array) -> Array:
    return rows.astype(np.float32)[:, :, None, None]


def _names(cells: Sequence[str]) -> tuple[str, ...]:
    """The classes in the order of their numbers, if all are numbers, else of the alphabet."""
    found = sorted(set(cells))
    return tuple(sorted(found, key=float) if all(map(_is_number, found)) else found)


class CsvTable:
    """The cells of a CSV file, as text.

    Args:
        path: The file, in UTF-8.
        header: Whether the first row names the columns; "auto": if none of its cells is a number.
        delimiter: Between cells; "auto": the commonest of , ; and tab in the first row.

    Attributes:
        columns: The names of the columns, or None without a header.
        rows: The line and the cells of each row.
    """

    def __init__(self, path: Path, header: str | bool, delimiter: str) -> None:
        self.path = path
        text = _text(path)
        first = next((line for line in text.splitlines() if line.strip()), "")
        self.delimiter = max(",;\t", key=first.count) if delimiter == "auto" else delimiter
        reader = csv.reader(StringIO(text, newline=""), delimiter=self.delimiter, strict=True)
        self.rows: list[tuple[int, list[str]]] = []
        try:
            line = 1
            for row in reader:
                if any(cell.strip() for cell in row):
                    self.rows.append((line, [cell.strip() for cell in row]))
                line = reader.line_num + 1
        except csv.Error as error:
            raise unexpected(f"{path}:{reader.line_num}", str(error), "rows of cells") from None
        if not self.rows:
            raise unexpected(path, "no rows", "a row for each example")
        head = self.rows[0][1]
        named = header is True or (header == "auto" and not any(map(_is_number, head)))
        self.columns = head if named else None
        self.width = len(head)
        if named:
            del self.rows[0]
            if len(set(head)) < len(head):
                twice = next(name for name in head if head.count(name) > 1)
                raise unexpected(
                    f"{path}:1", f"two columns {_cell(twice)}", "a name for each column"
                )
        if not self.rows:
            raise unexpected(
                path, "nothing below the names of the columns", "a row for each example"
            )
        for line, row in self.rows:
            if len(row) != self.width:
                raise unexpected(
                    f"{path}:{line}", f"{len(row)} cells", f"{self.width}, as in the first row"
                )

    @property
    def names(self) -> list[str]:
        """What the columns are called; their numbers from 1 where there is no header."""
        return self.columns or [str(number + 1) for number in range(self.width)]

    def shown(self, at: int) -> str:
        return _cell(self.names[at])

    def column(self, target: int | str | None) -> int:
        """The place of the target's column.

        Raises:
            DataError: There is no such column, or nothing beside it.
        """
        names = self.names
        known = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        if target is None:
            raise DataError(
                f"data.target: not given; it names the column to be predicted\n"
                f"  columns of {self.path}: {known}"
            )
        if str(target) in names:
            found = names.index(str(target))
        elif isinstance(target, int) and target <= self.width:
            found = target - 1
        else:
            close = get_close_matches(str(target), names, n=1, cutoff=0.6)
            hint = f" (did you mean '{close[0]}'?)" if close else ""
            if self.columns is None and not close:
                hint = "; no header was found (data.header=true if there is one)"
            raise unexpected(
                self.path, f"no column {_cell(str(target))}{hint}", f"data.target one of {known}"
            )
        if self.width < 2:
            raise unexpected(
                self.path,
                f"one column, with {self.delimiter!r} between cells",
                "features beside the target",
            )
        return found

    def cells(self, at: int) -> list[str]:
        """The target of each row as it is written.

        Raises:
            DataError: It is missing in a row.
        """
        for line, row in self.rows:
            if not row[at]:
                raise unexpected(
                    f"{self.path}:{line}",
                    f"nothing in column {self.shown(at)}",
                    "a target in each row",
                )
        return [row[at] for _, row in self.rows]

    def numbers(self, target: int) -> Array:
        """The features, (rows, columns - 1) float64."""
        others = [at for at in range(self.width) if at != target]
        return np.array([[self._number(line, row, at) for at in others] for line, row in self.rows])

    def values(self, at: int) -> Array:
        """A column's values, (rows,) float32."""
        return np.array([self._number(line, row, at) for line, row in self.rows], np.float32)

    def _number(self, line: int, row: list[str], at: int) -> float:
        try:
            value = float(row[at])
        except ValueError:
            value = math.nan
        if not abs(value) <= LARGEST:  # nor is NaN
            found = f"{_cell(row[at])} in" if row[at] else "nothing in"
            raise unexpected(f"{self.path}:{line}", f"{found} column {self.shown(at)}", "a number")
        return value


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CSV_BYTES + 1)
        if len(content) > MAX_CSV_BYTES:
            raise unexpected(path, f"over {MAX_CSV_BYTES:,} bytes", "a smaller file")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise unexpected(path, error.strerror or str(error), "a .csv file") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise unexpected(
            f"{path}:{line}", f"a byte {content[error.start]:#04x}", "text in UTF-8"
        ) from None


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _cell(text: Any) -> str:
    shown = str(text)
    return repr(shown if len(shown) <= MAX_CELL else f"{shown[:MAX_CELL]}...")
