from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Command

from runner.ensembles import main
from runner.runs.folder import RunFolder
from runner.studies.averaging import Member, disjoint_groups, ensemble_metrics

LABELS = np.array([0, 1, 2, 1])


def finished(path: Path, probabilities: np.ndarray, status: str = "complete") -> Member:
    path.mkdir(parents=True)
    folder = RunFolder(path)
    probabilities = probabilities.astype(np.float32)
    folder.write_predictions({"probabilities": probabilities, "labels": LABELS})
    folder.write_status(status)
    return Member(path)


@pytest.fixture
def members(tmp_path: Path) -> list[Member]:
    draw = np.random.default_rng(0)
    return [finished(tmp_path / f"m{i}", draw.dirichlet(np.ones(3), size=4)) for i in range(5)]


def test_probabilities_are_averaged(members: list[Member]) -> None:
    mean = np.mean([member.predictions[0] for member in members], axis=0)
    found = ensemble_metrics(members)
    assert found["test/accuracy"] == (mean.argmax(axis=1) == LABELS).mean()
    assert found["test/error"] == pytest.approx(1 - found["test/accuracy"])
    assert found["test/loss"] == pytest.approx(-np.log(mean[np.arange(4), LABELS]).mean())


def test_groups_share_no_member(members: list[Member]) -> None:
    assert disjoint_groups(members, 2) == [members[:2], members[2:4]]


def test_members_tested_on_other_examples_do_not_mix(members: list[Member]) -> None:
    others = {"probabilities": np.ones((4, 3)) / 3, "labels": LABELS[::-1]}
    RunFolder(members[1].path).write_predictions(others)
    with pytest.raises(ValueError, match="other examples"):
        ensemble_metrics([Member(member.path) for member in members])


def test_command_line(
    members: list[Member], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "m0" in out
    assert [line.split()[:2] for line in out.splitlines()[-5:]] == [
        ["1", "5"], ["2", "2"], ["3", "1"], ["4", "1"], ["5", "1"]
    ]  # fmt: skip


def test_a_missing_member_is_named_and_stops(
    members: list[Member], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RunFolder(members[2].path).write_status("diverged")
    assert main([str(tmp_path)]) == 2
    assert "m2: diverged" in capsys.readouterr().err
    assert main([str(tmp_path), "--missing", "1", "--size", "4"]) == 0
    assert "m2" not in capsys.readouterr().out
    assert main([str(tmp_path), "--missing", "1", "--size", "5"]) == 2


def test_a_folder_without_runs_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no run" in capsys.readouterr().err


def test_runs_that_differ_in_their_seed_alone_make_an_ensemble(
    command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [word for word in TINY if not word.startswith("epochs")]
    assert (
        command("-m", *words, "epochs=1", "name=s", "optimizer.lr=0.1,0.2", "seed=0,1,2").code == 0
    )
    assert main(["outputs/s"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line for line in lines if "=" in line and "%" not in line] == [
        "optimizer.lr=0.1", "optimizer.lr=0.2"
    ]  # fmt: skip
    assert [line.split()[:2] for line in lines if line.startswith("   3 ")] == [
        ["3", "1"],
        ["3", "1"],
    ]
    assert not any(line.startswith("   6 ") for line in lines)
    assert main(["outputs/s", "--pool", "--size", "6"]) == 0
    assert capfd.readouterr().out.splitlines()[-1].split()[:2] == ["6", "1"]
    assert main(["outputs/s", "--size", "6"]) == 2
    assert "there are 3 members" in capfd.readouterr().err
