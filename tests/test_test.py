"""python -m runner.test"""

import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

import runner
from runner import export, listing, predict
from runner.test import main

Screen = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _at_home(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


def sums(folder: Path) -> dict[Path, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_data_give_the_same_numbers(capsys: Screen) -> None:
    assert main(["outputs/best"]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    accuracy = f"{runner.load('outputs/best').result['test/accuracy']:.2%}"
    assert lines["test/accuracy"] == [accuracy, accuracy, "+0.00%"]
    assert lines["test/loss"][0] == lines["test/loss"][1]


def test_no_command_that_reads_a_run_changes_a_file_of_it(tmp_path: Path) -> None:
    folder = runner.load("outputs/best").folder
    before = sums(folder)
    picture, network = str(tmp_path / "one.png"), str(tmp_path / "network.pt")
    Image.new("L", (8, 8)).save(picture)
    assert before
    for command, words in (
        (main, ["outputs/best", "data.val_size=10"]),
        (listing.main, ["outputs/best"]),
        (listing.main, ["--diff", "outputs/best", "outputs/best"]),
        (predict.main, ["outputs/best", picture]),
        (export.main, ["outputs/best", "--torchscript", network]),
    ):
        assert command(words) == 0
        assert sums(folder) == before


def test_a_damaged_checkpoint_is_told_and_left_as_it_is(tmp_path: Path, capsys: Screen) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(runner.load("outputs/best").folder, folder)
    last = folder / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:-1])
    before = sums(folder)
    assert main([str(folder)]) == 2
    assert f"{last} is damaged" in capsys.readouterr().err
    assert sums(folder) == before


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
