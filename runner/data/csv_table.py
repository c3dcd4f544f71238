"""A CSV file, read row by row as if a stranger had written it; a mistake is told with its line."""

import csv
import math
from array import array
from collections.abc import Iterator
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

import numpy as np

from runner.data.arrays import Array
from runner.data.refusals import unexpected
from runner.errors import DataError

MAX_BYTES = 1_000_000_000
LARGEST = float(np.finfo(np.float32).max)
MAX_CELL = 30  # characters of one that are shown
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": " "}


class CsvTable:
    """A table of numbers and a target.

    Args:
        path: The file, in UTF-8.
        header: Whether the first row names the columns; "auto": if none of its cells is a number.
        delimiter: The name of what stands between cells; "auto": the commonest of comma, semicolon and tab in
            the first row.

    Attributes:
        columns: The names of the columns, or None without a header.
        names: The same; their numbers from 1 where there is no header.
        width: How many there are.
    """

    def __init__(self, path: Path, header: str | bool, delimiter: str) -> None:
        self.path = path
        self.text = _text(path)
        first = next((line for line in self.text.splitlines() if line.strip()), "")
        self.delimiter = DELIMITERS.get(delimiter) or max(",;\t", key=first.count)
        line, head = next(self._rows(), (0, []))
        if not head:
            raise unexpected(path, "no rows", "a row for each example")
        named = header is True or (header == "auto" and not any(map(is_number, head)))
        self.columns = head if named else None
        self.width = len(head)
        self.names = self.columns or [str(number + 1) for number in range(self.width)]
        if len(set(self.names)) < self.width:
            twice = next(name for name in head if head.count(name) > 1)
            raise unexpected(
                f"{path}:{line}", f"two columns {shortened(twice)}", "a name for each column"
            )

    def column(self, target: int | str | None) -> int:
        """The place of the target's column.

        Raises:
            DataError: There is no such column, or nothing beside it.
        """
        known = ", ".join(map(shortened, self.names[:12])) + (", ..." if self.width > 12 else "")
        if target is None:
            raise DataError(
                "data.target: not given; it names the column to be predicted\n"
                f"  columns of {self.path}: {known}"
            )
        if self.width < 2:
            found = f"one column, with {self.delimiter!r} between cells"
            raise unexpected(self.path, found, "features beside the target; data.delimiter")
        if str(target) in self.names:
            return self.names.index(str(target))
        if isinstance(target, int) and target <= self.width:
            return target - 1
        close = get_close_matches(str(target), self.names, n=1, cutoff=0.6)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        if self.columns is None and not close:
            hint = "; no header was found (data.header=true if there is one)"
        found = f"no column {shortened(str(target))}{hint}"
        raise unexpected(self.path, found, f"data.target one of {known}")

    def read(self, target: int) -> tuple[Array, list[str], list[int]]:
        """Features (rows, columns - 1, 1, 1) float32, and of each row the target as text and the line.

        Raises:
            DataError: A cell is missing or no number, or a row has too few or too many cells.
        """
        numbers, cells, lines = array("d"), [], []
        others = [name for at, name in enumerate(self.names) if at != target]
        for line, row in self._examples():
            cell = row.pop(target)
            if not cell:
                raise self._unexpected(line, cell, self.names[target])
            cells.append(cell)
            lines.append(line)
            try:
                numbers.extend(map(float, row))
            except ValueError:
                at = next(at for at, cell in enumerate(row) if not is_number(cell))
                raise self._unexpected(line, row[at], others[at]) from None
        if not lines:
            raise unexpected(self.path, "nothing below the names", "a row for each example")
        with np.errstate(over="ignore"):
            x = np.frombuffer(numbers, np.float64).reshape(len(lines), -1).astype(np.float32)
        if not (finite := np.isfinite(x)).all():
            row_at, at = divmod(int(np.argmin(finite)), len(others))
            value = numbers[row_at * len(others) + at]
            raise self._unexpected(lines[row_at], f"{value:g}", others[at])
        return x[:, :, None, None], cells, lines

    def values(self, at: int) -> Array:
        """The numbers of a column, (rows,) float32."""
        found = []
        for line, row in self._examples():
            if not is_number(row[at]) or abs(float(row[at])) > LARGEST:
                raise self._unexpected(line, row[at], self.names[at])
            found.append(float(row[at]))
        return np.array(found, np.float32)

    def _examples(self) -> Iterator[tuple[int, list[str]]]:
        """The line and the cells of each row below the header."""
        for number, (line, row) in enumerate(self._rows()):
            if len(row) != self.width:
                found = f"{len(row)} cells"
                raise unexpected(f"{self.path}:{line}", found, f"{self.width}, as in the first row")
            if number or not self.columns:
                yield line, row

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """The line and the cells of each row that is not empty."""
        reader = csv.reader(
            StringIO(self.text, newline=""),
            delimiter=self.delimiter,
            skipinitialspace=True,
            strict=True,
        )
        line = 1
        try:
            for row in reader:
                if row and (len(row) > 1 or row[0].strip()):
                    yield line, [cell.strip() for cell in row]
                line = reader.line_num + 1
        except csv.Error as error:
            raise unexpected(f"{self.path}:{line}", str(error), "rows of cells") from None

    def _unexpected(self, line: int, cell: str, column: str) -> DataError:
        found = f"{shortened(cell)} in" if cell else "nothing in"
        where = f"column {shortened(column)}"
        return unexpected(
            f"{self.path}:{line}", f"{found} {where}", "a number (a target may be text)"
        )


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise unexpected(path, error.strerror or str(error), "a .csv file") from None
    if len(content) > MAX_BYTES:
        raise unexpected(path, f"over {MAX_BYTES:,} bytes", "a smaller file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        found = f"the byte {content[error.start]:#04x}"
        raise unexpected(f"{path}:{line}", found, "text in UTF-8") from None


def is_number(cell: str) -> bool:
    """Whether a cell holds a finite number."""
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def shortened(cell: str) -> str:
    return repr(cell if len(cell) <= MAX_CELL else f"{cell[:MAX_CELL]}...")
