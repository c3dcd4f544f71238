"""study.json that is damaged or forged: one line and exit code 2, and never another study's numbers."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner import ensembles, replicate, report
from runner.errors import DataError
from runner.studies.record import RECORD, Record

ARM: dict[str, Any] = {
    "overrides": [],
    "settings": {"optimizer.lr": 0.1, "architecture.hidden": [30]},
    "chosen": {"optimizer.lr": 0.1},
    "candidates": [{"stage": "tune", "values": {"optimizer.lr": 0.1}, "runs": ["a-1"]}],
    "notes": ["tune: chose optimizer.lr=0.1"],
    "runs": {"0": "arm=a,seed=0-01234567", "1": "arm=a,seed=1-01234567"},
}
STUDY: dict[str, Any] = {
    "question": "Is it so?",
    "source": "here",
    "seeds": 2,
    "arms": {"a": [], "b": ["optimizer=adam"]},
    "tune": {"optimizer.lr": [0.1, 1]},
    "claims": [{"says": "It is.", "measure": "test/error", "expect": "a < b"}],
}
VALUES: dict[str, Any] = {
    "command": "python -m runner +experiment=s",
    "study": STUDY,
    "arms": {"a": ARM, "b": ARM},
}
TEXT = json.dumps(VALUES, indent=2).encode()


def changed(*path: str | int, to: Any) -> bytes:
    """The record with one value replaced, or added."""
    values = json.loads(TEXT)
    node = values
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = to
    return json.dumps(values).encode()


def replicated(words: list[str]) -> int:
    return replicate.main([*words, "--seeds", "2"])


def without(*path: str) -> bytes:
    values = json.loads(TEXT)
    node = values
    for part in path[:-1]:
        node = node[part]
    del node[path[-1]]
    return json.dumps(values).encode()


OUTSIDE = ["../other/run", "/etc", "..", ".", "", "a/../../b", "a\\b", "nul\0", ".hidden"]
DAMAGES = {
    "a brace": b"{",
    "nothing": b"",
    "a list": b"[]",
    "null": b"null",
    "no UTF-8": TEXT.replace(b"Is it", b"Is \xff"),
    "NaN": TEXT.replace(b"0.1", b"NaN", 1),
    "infinity": TEXT.replace(b"0.1", b"1e999", 1),
    "5,000 digits": TEXT.replace(b"0.1", b"9" * 5000, 1),
    "deep": b'{"command": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "half a surrogate": TEXT.replace(b"Is it", b"\\ud800"),
    "an extra key": changed("colour", to="red"),
    "an extra key of an arm": changed("arms", "a", "colour", to="red"),
    "an extra key of the study": changed("study", "colour", to="red"),
    "no command": without("command"),
    "no study": without("study"),
    "a missing arm": without("arms", "b"),
    "an arm too many": changed("arms", "c", to=ARM),
    "an arm's name with a path": changed("arms", "../c", to=ARM),
    "a missing seed": without("arms", "a", "runs", "1"),
    "another seed": changed("arms", "a", "runs", "7", to="run-7"),
    "a seed that is none": changed("arms", "a", "runs", "x", to="run-7"),
    "more seeds than runs": changed("study", "seeds", to=3),
    "a thousand million seeds": changed("study", "seeds", to=10**9),
    "a bad measure": changed("study", "claims", 0, "measure", to="test/eror"),
    "an endless target": changed(
        "study", "claims", 0, "measure", to=f"epochs_to(val/loss <= {'9' * 400})"
    ),
    "a measure of 5,000 digits": changed(
        "study", "claims", 0, "measure", to=f"val/loss@{'9' * 5000}"
    ),
    "a bad expectation": changed("study", "claims", 0, "expect", to="a <"),
    "an unknown arm in it": changed("study", "claims", 0, "expect", to="a < c"),
    "a stage that is none": changed("arms", "a", "candidates", 0, "stage", to="guess"),
    "a candidate without a run": changed("arms", "a", "candidates", 0, "runs", to=[]),
    **{
        f"a run outside: {name!r}": changed("arms", "a", "runs", "0", to=name) for name in OUTSIDE
    },
    **{
        f"a candidate outside: {name!r}": changed("arms", "a", "candidates", 0, "runs", to=[name])
        for name in OUTSIDE
    },
    **{
        f"{place} is {wrong!r}": changed(*place, to=wrong)
        for place in [
            ("command",), ("study",), ("arms",), ("arms", "a"), ("arms", "a", "settings"),
            ("arms", "a", "chosen"), ("arms", "a", "candidates"), ("arms", "a", "notes"),
            ("arms", "a", "runs"), ("arms", "a", "runs", "0"), ("study", "arms"),
            ("study", "claims"), ("study", "claims", 0, "measure"), ("study", "question"),
        ]
        for wrong in (None, True, 7, 0.5, ["x", 1])
    },
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / RECORD).write_bytes(TEXT)
    return tmp_path / "s"


def test_a_record_is_read_as_it_was_written(folder: Path) -> None:
    record = Record.read(folder)
    assert record.arms["a"].runs == {0: "arm=a,seed=0-01234567", 1: "arm=a,seed=1-01234567"}
    assert record.arms["a"].candidates[0].values == {"optimizer.lr": 0.1}
    record.write(folder)
    assert Record.read(folder) == record


@pytest.mark.parametrize("data", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("main", [report.main, ensembles.main, replicated])
def test_a_damaged_record_is_told_in_a_line(
    folder: Path,
    data: bytes,
    main: Callable[[list[str]], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / RECORD).write_bytes(data)
    assert main([str(folder)]) == 2
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 1
    assert RECORD in told.err and len(told.err) < 400
    assert not told.out and [path.name for path in folder.iterdir()] == [RECORD]


def test_a_record_that_is_cut_anywhere_is_told(folder: Path) -> None:
    for length in range(0, len(TEXT), 10):
        (folder / RECORD).write_bytes(TEXT[:length])
        with pytest.raises(DataError, match=RECORD):
            Record.read(folder)


def test_a_flipped_bit_is_told_or_leaves_a_record_that_fits_together(folder: Path) -> None:
    told = 0
    for place in range(0, len(TEXT), 3):
        data = bytearray(TEXT)
        data[place] ^= 1 << place % 8
        (folder / RECORD).write_bytes(data)
        try:
            record = Record.read(folder)
        except DataError:
            told += 1
        else:
            assert record.arms.keys() == record.study.arms.keys()
            assert all(sorted(arm.runs) == record.study.seed_list for arm in record.arms.values())
    assert told > len(TEXT) / 3 / 2


def test_a_run_that_is_a_link_out_of_the_folder_is_not_followed(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    (folder / "arm=a,seed=1-01234567").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(DataError, match="leaves the folder"):
        Record.read(folder)


def test_what_is_no_file_is_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / RECORD)
    assert report.main([str(tmp_path)]) == 2
    assert "no study and no runs here" in capsys.readouterr().err


def test_a_verdict_without_some_runs_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.main([str(folder)]) == 3
    assert "not trained (the verdicts do without): a seed 0" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["figures", "mean"])
def test_a_report_is_not_written_through_a_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / RECORD).write_bytes(TEXT)
    assert report.main([str(tmp_path)]) == 3  # none of its runs is there
    elsewhere = (tmp_path / name).rename(tmp_path / "elsewhere")
    before = set(elsewhere.rglob("*"))
    (tmp_path / name).symlink_to(elsewhere)
    (tmp_path / "report.md").unlink()
    capsys.readouterr()
    assert report.main([str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err == f"{tmp_path / name}: expected a folder, found a symbolic link\n"
    assert set(elsewhere.rglob("*")) == before and not (tmp_path / "report.md").exists()
