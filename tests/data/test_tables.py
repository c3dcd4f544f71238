"""Tables: scikit-learn's, which come out as its own functions read them, and the user's CSV files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import datasets

from runner.data.files import bundled
from runner.data.sets import BUNDLED, Table
from runner.data.splits import part, spread
from runner.data.tables import read_bundled, read_csv, read_digits
from runner.errors import DataError


def test_digits_are_those_of_scikit_learn() -> None:
    raw, bunch = read_digits(bundled("digits.csv.gz")), datasets.load_digits()
    order = np.random.default_rng(0).permutation(1797)
    images = np.concatenate([raw.train_images, raw.test_images])
    np.testing.assert_array_equal(images[:, 0], bunch.images[order])
    targets = np.concatenate([raw.train_targets, raw.test_targets])
    np.testing.assert_array_equal(targets, bunch.target[order])


@pytest.mark.parametrize("name", BUNDLED)
def test_a_table_is_that_of_scikit_learn(name: str) -> None:
    bunch = getattr(datasets, f"load_{name}")()
    names = Table.known_classes[name]
    assert names == tuple(bunch.target_names)
    raw = read_bundled(bundled(BUNDLED[name]), names, 0.2, 0)
    order = spread(bunch.target, 0)
    count = len(raw.test_targets)
    assert count == round(0.2 * len(bunch.target))
    for found, expected in (
        (np.concatenate([raw.test_images, raw.train_images])[:, :, 0, 0], bunch.data),
        (np.concatenate([raw.test_targets, raw.train_targets]), bunch.target),
    ):
        np.testing.assert_array_equal(found, expected[order].astype(found.dtype))


def test_every_stretch_has_its_share_of_every_class() -> None:
    targets = np.repeat([0, 1, 2, 3], [40, 20, 39, 1])
    order = spread(targets, 5)
    assert sorted(order) == list(range(100))
    for start in range(0, 100, 20):
        counts = np.bincount(targets[order[start : start + 20]], minlength=3)
        assert abs(counts[0] - 8) <= 1 and abs(counts[1] - 4) <= 1
    assert (
        targets[order[:20]].max() < 3 and targets[order[-20:]].max() < 3
    )  # the only one is trained on
    assert spread(targets, 6).tolist() != order.tolist() == spread(targets, 5).tolist()
    values = np.linspace(0, 1, 50, dtype=np.float32)
    assert sorted(spread(values, 0)) == list(range(50))


def test_part() -> None:
    assert [part(size, 50) for size in (7, 1, 0.5, 0.001, 1.0)] == [7, 1, 25, 1, 50]


def read(path: Path, text: str, test: str | None = None, **changed: Any) -> Any:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    other = None
    if test is not None:
        other = path.with_name("test.csv")
        other.write_text(test)
    settings = {
        "target": "y", "target_kind": "classes", "header": "auto", "delimiter": "auto", "test_size": None,
        "split_seed": 0,
    }  # fmt: skip
    return read_csv(path, other, **settings | changed)


def rows(raw: Any) -> list[tuple[float, ...]]:
    """What a data set holds, features and target of each row, in order."""
    parts = (raw.train_images, raw.train_targets), (raw.test_images, raw.test_targets)
    return sorted(
        (*x[:, 0, 0].tolist(), y if raw.class_names is None else raw.class_names[y])
        for images, targets in parts
        for x, y in zip(images, targets.tolist(), strict=True)
    )


LINES = [(1.5, -2.0, "no"), (3.0, 0.25, "yes"), (4.0, 1.0, "no"), (5.0, 2.0, "yes")]
HEAD = "a,b,y\n"
BODY = "".join(f"{a},{b},{y}\n" for a, b, y in LINES)
SAME: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": (HEAD + BODY, {}),
    "no header": (BODY, {"target": 3}),
    "a header that is said to be one": ("1,2,y\n" + BODY, {"header": True}),
    "semicolons": ((HEAD + BODY).replace(",", ";"), {}),
    "tabs": ((HEAD + BODY).replace(",", "\t"), {"delimiter": "tab"}),
    "Windows": ("\ufeff" + (HEAD + BODY).replace("\n", "\r\n"), {}),
    "spaces, quotes, empty lines": (
        'a, "b", y\n\n' + BODY.replace(",no", ' , "no"') + "\n \n",
        {},
    ),
    "another order": ("y,a,b\n" + "".join(f"{y},{a},{b}\n" for a, b, y in LINES), {}),
    "by number": (HEAD + BODY, {"target": 3}),
}


@pytest.mark.parametrize("case", SAME)
def test_the_same_table(tmp_path: Path, case: str) -> None:
    text, settings = SAME[case]
    raw = read(tmp_path / "my.csv", text, **settings)
    assert rows(raw) == LINES and raw.class_names == ("no", "yes")
    assert len(raw.test_targets) == 1 and raw.train_images.dtype == np.float32 and raw.maximum == 1


@pytest.mark.parametrize(
    ("cells", "names"),
    [("10 9 9 10", ("9", "10")), ("b A b A", ("A", "b")), ("3 x 3 x", ("3", "x"))],
)
def test_order_of_classes(tmp_path: Path, cells: str, names: tuple[str, ...]) -> None:
    text = "a,y\n" + "".join(f"1,{cell}\n" for cell in cells.split())
    assert read(tmp_path / "my.csv", text).class_names == names


def test_values(tmp_path: Path) -> None:
    text = "a,y\n" + "".join(f"{n},{n / 2}\n" for n in range(10))
    raw = read(tmp_path / "my.csv", text, target_kind="values")
    assert raw.class_names is None and raw.train_targets.dtype == np.float32
    assert rows(raw) == [(n, n / 2) for n in range(10)] and len(raw.test_targets) == 2


def test_a_second_file_for_testing(tmp_path: Path) -> None:
    raw = read(tmp_path / "my.csv", HEAD + BODY, HEAD + BODY)
    assert len(raw.train_targets) == 4 and raw.test_targets.tolist() == [0, 1, 0, 1]
    assert raw.test_images[:, 0, 0, 0].tolist() == [1.5, 3, 4, 5]


REFUSED: dict[str, tuple[str, dict[str, Any], str, str]] = {
    # case: text, settings, the line that is named, what was found
    "empty": ("", {}, "", "no rows"),
    "nothing but a header": (HEAD, {}, "", "nothing below the names"),
    "a missing cell": (HEAD + BODY + ",1,yes\n", {}, ":6", "nothing in column 'a'"),
    "a missing target": (HEAD + "1,2,\n" + BODY, {}, ":2", "nothing in column 'y'"),
    "text": (HEAD + BODY + "1,n/a,yes\n", {}, ":6", "'n/a' in column 'b'"),
    "NaN": (HEAD + BODY + "1,nan,yes\n", {}, ":6", "'nan' in column 'b'"),
    "infinity": (HEAD + BODY + "1,-inf,yes\n", {}, ":6", "'-inf' in column 'b'"),
    "beyond float32": (HEAD + BODY + "1,1e300,yes\n", {}, ":6", "'1e+300' in column 'b'"),
    "too few cells": (HEAD + BODY + "1,2\n", {}, ":6", "2 cells"),
    "too many cells": (HEAD + "1,2,3,4\n" + BODY, {}, ":2", "4 cells"),
    "after a cell of two lines": (HEAD + '1,2,"no\nno"\n' + "1,x,yes\n", {}, ":4", "'x' in column 'b'"),
    "an open quote": (HEAD + BODY + '1,2,"no\n', {}, ":6", "unexpected end of data"),
    "a column twice": ("a,a,y\n" + BODY, {}, ":1", "two columns 'a'"),
    "not UTF-8": (HEAD + "1,2,\udcff\n", {}, ":2", "0xff"),
    "NUL": (HEAD + BODY + "1,\0,yes\n", {}, ":6", "column 'b'"),
    "another target": (HEAD + BODY, {"target": "yy"}, "", "did you mean 'y'?"),
    "a number too high": (HEAD + BODY, {"target": 4}, "", "no column '4'"),
    "no header for the target": (BODY, {}, "", "no header was found"),
    "one column": ("y\n1\n2\n", {}, "", "one column"),
    "one class": (HEAD + "1,2,no\n" * 9, {}, "", "one class"),
    "text as values": (HEAD + BODY, {"target_kind": "values"}, ":2", "'no' in column 'y'"),
    "values as classes": ("a,y\n1,2\n1,2.5\n", {}, "", "2.5 in column 'y'"),
    "too many classes": (
        "a,y\n" + "".join(f"1,{n}\n" for n in range(1500)), {}, "", "1,500 different values"
    ),
    "a class of one, tested": (HEAD + BODY + "1,2,maybe\n", {"test_size": 4}, "", "without examples"),
    "a web page": ("<!DOCTYPE html>\n<html>\n", {"target": 1}, "", "one column"),
    "a long cell": (HEAD + "1,2,no\n" + f"{'x' * 200_000},2,no\n", {}, ":3", "field larger"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    text, settings, line, found = REFUSED[case]
    with pytest.raises(DataError) as caught:
        read(tmp_path / "my.csv", text, **settings)
    message = str(caught.value)
    assert message.splitlines()[0] == f"{tmp_path}/my.csv{line}" and found in message
    assert len(message.splitlines()) <= 5 and len(message) < 500
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("test", "found"),
    [
        (HEAD + "1,2,maybe\n", "test.csv:2\n  found: class 'maybe'"),
        ("a,c,y\n" + BODY, "columns a, c, y"),
        (BODY, "test.csv"),
    ],
)
def test_a_second_file_that_does_not_fit(tmp_path: Path, test: str, found: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "my.csv", HEAD + BODY, test)
    assert found in str(caught.value)


def test_no_target(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)data.target: not given.*'a', 'b', 'y'"):
        read(tmp_path / "my.csv", HEAD + BODY, target=None)


def test_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.test_size=4 leaves nothing to train on"):
        read(tmp_path / "my.csv", HEAD + BODY, test_size=4)
