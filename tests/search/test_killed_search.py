"""A search that is killed, interrupted, or whose runs fail: real processes that end as if left alone."""

import random
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from processes import TINY, at_step, run, seeds_fail, start

from runner.runs.folder import RunFolder

SEARCH = """# @package _global_
name: s
epochs: 9
architecture: {hidden: [8]}
search:
  space:
    optimizer: {choice: [momentum, adam]}
    optimizer.lr: {log: [1e-3, 1e+10]} # some diverge
    architecture.hidden: {choice: [[8], [12]]}
  trials: 14
  stop: hyperband
  abort: 3.0
  audit: 0.2
  final: {best: 1, seeds: 2}
"""
HOW = {"basic": ["hydra/launcher=basic"], "stacked": []}
LATER = pytest.mark.slow


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "s.yaml").write_text(SEARCH)
    return ["--config-dir", str(tmp_path / "conf"), "+experiment=s", *TINY]


def outcome(root: Path) -> tuple[str, dict[str, Any]]:
    """What a search has come to: its record, and every run's numbers, times aside."""
    numbers = {}
    for path in sorted(root.glob("outputs/s/*/status.json")):
        folder = RunFolder(path.parent)
        lines = [{k: v for k, v in line.items() if k != "seconds"} for line in folder.metrics()]
        numbers[path.parent.name] = (folder.status, folder.reason, lines)
    return (root / "outputs/s/search.json").read_text(), numbers


@pytest.mark.parametrize(
    ("how", "sampler"),
    [("stacked", "random"), pytest.param("basic", "random", marks=LATER),
     pytest.param("stacked", "tpe", marks=LATER)],
)  # fmt: skip
def test_a_killed_search_ends_as_if_nothing_had_happened(
    tmp_path: Path, words: list[str], how: str, sampler: str
) -> None:
    words += [*HOW[how], f"search.sampler={sampler}"]
    left_alone = run(tmp_path / "alone", *words)
    assert left_alone.code == 0, left_alone.err
    for updates in (1, 5, 12, 17):
        killed = run(tmp_path / "killed", *words, fault=partial(at_step, updates))
        assert killed.code == -signal.SIGKILL, killed.err
    stopped = run(tmp_path / "killed", *words, fault=partial(at_step, 4, signal.SIGINT))
    assert stopped.code == 130 and "The same command goes on" in stopped.err
    assert run(tmp_path / "killed", *words).code == 0
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("sampler", ["random", "tpe", "gp"])
def test_a_search_killed_twenty_times_ends_as_left_alone(
    tmp_path: Path, words: list[str], how: str, sampler: str
) -> None:
    words += [*HOW[how], f"search.sampler={sampler}"]
    begun = time.monotonic()
    assert run(tmp_path / "alone", *words).code == 0
    seconds = time.monotonic() - begun
    draw = random.Random(f"{how} {sampler}")
    kills = 0
    while kills < 20:
        child = start(tmp_path / "killed", *words)
        child.process.join(draw.uniform(0.1, 1.0) * min(seconds, 1 + seconds * (kills + 1) / 20))
        kills += child.process.exitcode is None
        child.kill()
        child.process.join()
        if child.process.exitcode == 0:
            break
    assert run(tmp_path / "killed", *words).code == 0
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "alone")


def test_a_run_that_fails_is_told_and_the_search_goes_on_without_it(
    tmp_path: Path, words: list[str]
) -> None:
    words += ["search.seeds=2", "search.trials=13", "search.final=null", "search.audit=0.0"]
    ended = run(tmp_path, *words, fault=partial(seeds_fail, (1,), RuntimeError("planted")))
    assert ended.code == 3
    assert "failed: RuntimeError: planted" in ended.out
    assert "No trial has come to its end" in ended.err
    assert run(tmp_path, *words, "resume=false").code == 0
