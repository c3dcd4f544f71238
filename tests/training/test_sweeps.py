"""A sweep as a command, stacked and one run after the other."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from by_hand import TINY
from conftest import Command
from test_train import interrupt_after, same_files

from runner.interrupts import Interrupted
from runner.runs.folder import RunFolder
from runner.training import train as training
from runner.training.plan import Plan

SWEEP = [
    "-m",
    "architecture.hidden=[20],[30]",
    "optimizer.lr=0.1,0.5,3e38",
    "seed=0,1",
    *TINY,
    "architecture.activation=tanh",
]


def table(path: Path) -> list[dict[str, str]]:
    return sorted(csv.DictReader(path.read_text().splitlines()), key=lambda row: row["run"])


def test_a_sweep_ends_the_same_stacked_and_one_by_one(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "fastest_plan", lambda *_: Plan(4, 1, "for the test"))
    interrupt_after(monkeypatch, 2, Interrupted(15))
    assert command(*SWEEP).code == 143
    finished = command(*SWEEP)
    assert finished.code == 0, finished.err
    assert "3 runs with architecture.hidden=[20], as one again\n" in finished.out
    assert "3 runs with architecture.hidden=[20], all as one (for the test)\n" in finished.out
    assert len(re.findall(r"^\[ ?\d+/12\]", finished.out, re.MULTILINE)) == 12
    (tmp_path / "outputs").rename(tmp_path / "stacked")
    assert command(*SWEEP, "hydra/launcher=basic").code == 0
    one, other = (table(tmp_path / d / "runs" / "sweep.csv") for d in ("stacked", "outputs"))
    for a, b in zip(one, other, strict=True):
        assert list(a) == list(b)
        for key in a.keys() - {"seconds"}:
            number = re.fullmatch(r"[0-9.e-]+", a[key])
            assert (
                (float(a[key]) == pytest.approx(float(b[key]), rel=1e-4))
                if number
                else a[key] == b[key]
            )
    for folder in (tmp_path / "stacked" / "runs").glob("*-*"):
        basic = tmp_path / "outputs" / "runs" / folder.name
        same_files(RunFolder(folder), RunFolder(basic))
        assert (folder / ".hydra/config.yaml").read_text() == (
            basic / ".hydra/config.yaml"
        ).read_text()
        for name in ("hydra.yaml", "overrides.yaml"):
            assert hydra_file(folder, name) == hydra_file(basic, name)
        assert " runs with architecture.hidden=" in (folder / "run.log").read_text()


def hydra_file(folder: Path, name: str) -> Any:
    """One of Hydra's files, without what names the launcher."""
    values = yaml.safe_load((folder / ".hydra" / name).read_text())
    if name == "hydra.yaml":
        del values["hydra"]["launcher"], values["hydra"]["runtime"]["choices"]["hydra/launcher"]
        for key in ("hydra", "task"):
            overrides = values["hydra"]["overrides"][key]
            values["hydra"]["overrides"][key] = [o for o in overrides if "launcher=" not in o]
        del values["hydra"]["job"]["id"], values["hydra"]["job"]["num"]
    return values


def test_a_stack_of_one_is_an_ordinary_run(command: Command, tmp_path: Path) -> None:
    finished = command("-m", "seed=0,1", *TINY, "hydra.launcher.width=1")
    assert finished.code == 0
    assert finished.out.count("2 runs, one by one (width=1)") == 1
