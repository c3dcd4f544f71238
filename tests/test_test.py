"""python -m runner.test"""

from hashlib import sha256
from pathlib import Path

import pytest

import runner
from runner.test import main

Screen = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _at_home(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


def test_the_same_data_give_the_same_numbers_and_no_file_changes(capsys: Screen) -> None:
    folder = runner.load("outputs/best").folder
    before = {path: sha256(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
    assert main(["outputs/best"]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    accuracy = f"{runner.load(folder).result['test/accuracy']:.2%}"
    assert lines["test/accuracy"] == [accuracy, accuracy, "+0.00%"]
    assert lines["test/loss"][0] == lines["test/loss"][1]
    after = {path: sha256(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
    assert before.keys() == after.keys()
    assert all(before[path].digest() == after[path].digest() for path in before)


def test_other_data_of_the_same_kind_are_scaled_as_the_network_was_trained(
    capsys: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    (best,) = runner.results("outputs/best").to_dict("records")
    assert main(["outputs/best", "data=digits", "data.val_size=100"]) == 0
    assert f"{best['test/accuracy']:.2%}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["data.classes=[0,1]"],
            "the network was trained on 10 classes, these data have 2 classes",
        ),
        (["data=digitz"], "unknown data 'digitz'; did you mean 'digits'?"),
        (["data.clases=[0,1]"], "unknown key 'clases'; did you mean 'classes'?"),
        (["optimizer=adam"], "optimizer=adam: only data=... and data.<key>=..."),
        (["data.standardize=none"], "data.standardize=none: has no effect on a test"),
        (["data.classes=[0,1],[2,3]"], "several values need"),
    ],
)
def test_mistakes(words: list[str], told: str, capsys: Screen) -> None:
    assert main(["outputs/best", *words]) == 2
    assert told in capsys.readouterr().err
