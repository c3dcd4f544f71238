"""A study that is killed, interrupted, or whose runs fail: real processes, as in test_faults.py."""

import json
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from processes import TINY, at_step, run, seeds_fail, start

from runner.runs.folder import RunFolder
from runner.studies.verdicts import judge

STUDY = """# @package _global_
name: s
epochs: 3
architecture: {hidden: [8]}
study:
  question: Is it so?
  source: here
  seeds: 3
  arms: {a: [optimizer=adam], b: [optimizer=sgd]}
  tune: {optimizer.lr: [0.01, 0.1]}
  claims:
    - says: It is so.
      measure: test/error
      expect: a < b
"""
# Studies whose seconds count train one run after the other, others in stacks.
HOW = {"basic": ["hydra/launcher=basic"], "stacked": ["hydra.launcher.width=6"]}
UPDATES = {
    "basic": (5, 20, 30),
    "stacked": (5, 9, 9),
}  # of a run or a stack, until a process is killed

BOTH = [pytest.param("basic", marks=pytest.mark.slow), "stacked"]


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "s.yaml").write_text(STUDY)
    every_epoch = "trainer.checkpoint_seconds=0"
    return ["--config-dir", str(tmp_path / "conf"), "+experiment=s", every_epoch, *TINY]


def outcome(root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a study has come to: its record, and every run's results, times aside."""
    record = json.loads((root / "outputs/s/study.json").read_text())
    results = {}
    for path in sorted(root.glob("outputs/s/*-*/result.json")):
        metrics = RunFolder(path.parent).result or {}
        results[path.parent.name] = {k: v for k, v in metrics.items() if "/" in k}
    return record, results


@pytest.mark.parametrize("how", BOTH)
def test_a_killed_study_ends_as_if_nothing_had_happened(
    tmp_path: Path, words: list[str], how: str
) -> None:
    words += HOW[how]
    whole = start(tmp_path / "whole", *words)
    for updates in UPDATES[how]:
        assert run(tmp_path / "killed", *words, fault=partial(at_step, updates)).code == -9
        assert not (tmp_path / "killed/outputs/s/study.json").exists()
    last = run(tmp_path / "killed", *words)
    assert (last.code, last.err) == (0, "")
    assert whole.end().code == 0
    record, results = outcome(tmp_path / "killed")
    assert (record, results) == outcome(tmp_path / "whole")
    assert len(record["arms"]["a"]["runs"]) == 3
    assert len(results) >= 2 * (2 + 2)


def test_an_interrupted_study_says_how_to_go_on(tmp_path: Path, words: list[str]) -> None:
    ended = run(tmp_path, *words, *HOW["basic"], fault=partial(at_step, 9, signal.SIGTERM))
    assert ended.code == 143
    assert "The same command goes on from here." in ended.err and "Traceback" not in ended.err


@pytest.mark.parametrize("how", BOTH)
def test_failed_runs_of_a_study(tmp_path: Path, words: list[str], how: str) -> None:
    """The others go on; a run that is missing is told, and is not a seed of a verdict."""
    words += HOW[how]
    fault = partial(seeds_fail, (1,), RuntimeError("cursed"))
    ended = run(tmp_path, *words, fault=fault)
    assert ended.code == 3 and "Traceback" not in ended.err
    assert ended.out.count("failed: RuntimeError: cursed; see outputs/s/arm=") == 2
    statuses = [RunFolder(p.parent).status for p in tmp_path.glob("outputs/s/*-*/status.json")]
    assert statuses.count("failed") == 2
    assert statuses.count("complete") == len(statuses) - 2
    assert run(tmp_path, *words).code == 0
    again = tmp_path / "again"
    stopped = run(again, *words, "fail_fast=true", fault=fault)
    assert stopped.code == 3
    assert stopped.err.splitlines()[-1].endswith("failed: stopped, because of fail_fast=true")
    assert not (again / "outputs/s/study.json").exists()
    assert run(again, *words).code == 0
    (record, results), (whole, expected) = outcome(again), outcome(tmp_path)
    assert record == whole
    for name in expected:  # a stack that was halved rounds otherwise
        assert results[name] == pytest.approx(expected[name], rel=1e-4)
    assert [verdict.verdict for verdict in judge_in(again)] == [
        verdict.verdict for verdict in judge_in(tmp_path)
    ]


def judge_in(root: Path) -> list[Any]:
    from runner.studies.evidence import Evidence

    return judge(Evidence.read(root / "outputs/s"))
