import csv
from io import StringIO
from pathlib import Path

import pytest

from runner.listing import main

Screen = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _at_home(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


def listed(capsys: Screen, *arguments: str) -> list[str]:
    assert main(arguments) == 0
    return capsys.readouterr().out.splitlines()


def test_a_line_for_each_run_with_what_varies(capsys: Screen) -> None:
    heading, *lines = listed(capsys, "outputs/grid")
    assert heading.split() == ["test/loss", "test/accuracy", "optimizer.lr", "status"]
    assert [line.split()[2:4] for line in lines] == [["0.01", "complete"], ["0.1", "complete"]]
    assert all(Path(line.split()[-1], "result.json").exists() for line in lines)


def test_the_best_comes_first(capsys: Screen) -> None:
    for key, best in (("test/loss", min), ("test/accuracy", max)):
        heading, *lines = listed(capsys, "outputs/grid", "--sort", key)
        values = [float(line.split()[0].rstrip("%")) for line in lines]
        assert heading.startswith(key)
        assert values[0] == best(values)


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        (["name=grid"], 2),
        (["name=grid", "optimizer.lr<0.05"], 1),
        (["optimizer.lr>=0.1", "name!=best"], 1),
        (["optimizer=adam"], 0),
        (["architecture=convnet", "regularizer.batch_norm=true"], 1),
        (["architecture.channels=[4]"], 1),
        (["data.classes=null", "name=best"], 1),
        (["test/accuracy<=1", "name=best"], 1),
        (["architecture.channels=null", "name=grid"], 2),
    ],
)
def test_only_those_that_meet_all_conditions(
    capsys: Screen, conditions: list[str], count: int
) -> None:
    given = [word for condition in conditions for word in ("--where", condition)]
    lines = listed(capsys, "--csv", *given)
    assert len(lines) - 1 == count
    assert listed(capsys, *given)[0].startswith("No run" if not count else "test/")


def test_csv_has_every_setting_and_number(capsys: Screen) -> None:
    rows = list(csv.DictReader(StringIO("\n".join(listed(capsys, "outputs/grid", "--csv")))))
    assert [row["optimizer.lr"] for row in rows] == ["0.01", "0.1"]
    assert all(0 <= float(row["test/accuracy"]) <= 1 for row in rows)


def test_what_differs_in_two_runs(capsys: Screen) -> None:
    first, second = sorted(Path("outputs/grid").glob("*lr=*"))
    lines = listed(capsys, "--diff", str(first), str(second / "result.json"))
    assert [line.split() for line in lines if "optimizer.lr " in line] == [
        ["optimizer.lr", "0.01", "0.1", "+0.09"]
    ]
    assert any(line.startswith("test/loss") for line in lines)
    assert not any(line.startswith(("optimizer.name", "seed")) for line in lines)
    assert listed(capsys, "--diff", str(first), str(first))[-1] == "The same settings and numbers."


def test_a_damaged_run_is_listed_with_the_reason(tmp_path: Path, capsys: Screen) -> None:
    for name, text in (("cut", '{"sta'), ("evil", '{"status": "failed", "reason": "\\u001b[2J"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "status.json").write_text(text)
    assert main([str(tmp_path), "--sort", "status"]) == 0
    told = capsys.readouterr()
    assert "damaged" in told.out
    assert "cut/status.json" in told.err
    assert "\x1b" not in told.out + told.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["outputs/gird"], "outputs/gird: no such folder"),
        (["."], "no runs in this folder"),
        (["--sort", "optimizer.lrr"], "unknown key 'optimizer.lrr'; did you mean 'optimizer.lr'?"),
        (["--where", "optimizr=adam"], "unknown key 'optimizr'; did you mean"),
        (["--where", "adam"], "not of the form key=value"),
        (["--where", "optimizer.name>3"], "compares numbers"),
        (["--diff", "outputs/grid", "outputs/best"], "2 runs; name one, such as outputs/grid/"),
        (["--diff", "outputs/bset", "outputs/best"], "did you mean 'outputs/best'?"),
    ],
)
def test_mistakes(arguments: list[str], told: str, capsys: Screen, tmp_path: Path) -> None:
    if arguments == ["."]:
        arguments = [str(tmp_path)]
    assert main(arguments) == 2
    assert told in capsys.readouterr().err
