"""Tables: scikit-learn's and the user's own CSV files."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from runner.data.arrays import AS_THEY_ARE, Array, checked
from runner.data.class_names import DIGITS
from runner.data.csv_table import CsvTable, is_number, shortened
from runner.data.refusals import unexpected
from runner.data.splits import part, spread
from runner.errors import DataError
from runner.options.data import Raw

MAX_CLASSES = 1000
FIFTH = 0.2


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
    x, y = _features(table[:, :-1]), table[:, -1].astype(np.int64)
    return _split(path, x, y, class_names, test_size, split_seed)


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
    x, cells, _ = table.read(at)
    names = _names(path, table.names[at], cells) if target_kind == "classes" else None
    y = table.values(at) if names is None else _numbers(cells, names)
    if test_path is None:
        return _split(path, x, y, names, FIFTH if test_size is None else test_size, split_seed)
    other = CsvTable(test_path, table.columns is not None, delimiter)
    if other.columns != table.columns or other.width != table.width:
        found, expected = (", ".join(t.names[:8]) for t in (other, table))
        raise unexpected(test_path, f"columns {found}", f"those of {path.name}: {expected}")
    test_x, test_cells, lines = other.read(at)
    for line, cell in zip(lines, test_cells, strict=True):
        if names is not None and cell not in names:
            known = ", ".join(names[:10])
            raise unexpected(
                f"{test_path}:{line}", f"class {shortened(cell)}", f"as in {path.name}: {known}"
            )
    test_y = other.values(at) if names is None else _numbers(test_cells, names)
    order = spread(y, split_seed)
    return checked(path, Raw(x[order], y[order], test_x, test_y, AS_THEY_ARE, names))


def _split(
    path: Path,
    x: Array,
    y: Array,
    names: tuple[str, ...] | None,
    test_size: int | float,
    split_seed: int,
) -> Raw:
    """A data set of one table, of which some rows are for testing."""
    order = spread(y, split_seed)
    count = part(test_size, len(order))
    if count >= len(order):
        raise DataError(
            f"data.test_size={test_size} leaves nothing to train on: {path} has {len(order)} rows"
        )
    test, train = order[:count], order[count:]
    return checked(path, Raw(x[train], y[train], x[test], y[test], AS_THEY_ARE, names))


def _features(rows: Array) -> Array:
    """(rows, features) as images of one pixel, float32."""
    return rows.astype(np.float32)[:, :, None, None]


def _names(path: Path, column: str, cells: Sequence[str]) -> tuple[str, ...]:
    """The classes in the order of their numbers, if all are numbers, else of the alphabet."""
    found = sorted(set(cells))
    numeric = all(map(is_number, found))
    for cell in found if numeric else ():
        if not float(cell).is_integer():
            raise unexpected(
                path,
                f"{cell} in column {shortened(column)}",
                "classes: whole numbers or text; data.target_kind=values to predict values",
            )
    if len(found) > MAX_CLASSES:
        raise unexpected(
            path,
            f"{len(found):,} different values in column {shortened(column)}",
            f"up to {MAX_CLASSES:,} classes; data.target_kind=values to predict values",
        )
    return tuple(sorted(found, key=float) if numeric else found)


def _numbers(cells: Sequence[str], names: Sequence[str]) -> Array:
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[cell] for cell in cells], np.int64)
