"""Studies that search for the settings of their arms: equal budgets, what is chosen, what is told."""

import json
from pathlib import Path

import pytest

from runner.studies.evidence import Evidence

OUT = Path("outputs/s")
STUDY = """# @package _global_
name: s
epochs: 3
data: {train_size: 64}
architecture: {hidden: [8]}
study:
  question: Is it so?
  source: here
  seeds: 2
  arms: {a: [optimizer=momentum], b: [optimizer=adam, optimizer.lr=0.01], c: []}
  search:
    space:
      optimizer.lr: {log: [1.0e-3, 1.0]}
      optimizer@momentum.momentum: {uniform: [0.5, 0.9]}
      optimizer@adam.beta2: {uniform: [0.9, 0.99]}
    trials: 3
    stop: halving
    arms: {c: {space: {optimizer.lr: {choice: [0.1, 0.3, 0.9]}}, sampler: grid}}
  tune_by: val/loss
  claims:
    - says: It is so.
      measure: test/error
      expect: a < b
"""


@pytest.fixture
def study(experiment):
    return lambda *words, text=STUDY: experiment(text, *words)


def test_each_arm_is_searched_with_the_same_budget_and_its_best_is_judged(study):
    ended = study("study.tune_seeds=2")
    assert ended.code == 0, ended.err
    assert ended.out.startswith(
        "3 arms, then a search of 3 trials in each, then 2 seeds: 24 runs\n"
    )
    arms = Evidence.read(OUT).arms
    assert {name: len(arm.candidates) for name, arm in arms.items()} == {"a": 3, "b": 3, "c": 3}
    assert arms["a"].chosen.keys() == {"optimizer.lr", "optimizer.momentum"}
    assert arms["b"].chosen.keys() == {"optimizer.beta2"}  # it sets η itself
    assert sorted(c.values["optimizer.lr"] for c in arms["c"].candidates) == [0.1, 0.3, 0.9]
    for name, arm in arms.items():
        record = json.loads((OUT / f"search-{name}.json").read_text())
        assert record["seed"] == 10_000 and record["complete"]
        best = arm.candidates[record["best"]]
        assert best.values == arm.chosen
        config = Evidence.read(OUT).run(name, 0).config()
        assert config.optimizer.lr == arm.chosen.get("optimizer.lr", 0.01)
        dropped = [c for c in arm.candidates if c is not best]
        # A dropped trial has the value that it had there, and is no failure.
        for candidate in dropped:
            values = [
                json.loads((OUT / run / "metrics.jsonl").read_text().splitlines()[1])["val/loss"]
                for run in candidate.runs
            ]
            assert len(values) == 2 and candidate.value == pytest.approx(sum(values) / 2)
    page = (OUT / "report.md").read_text()
    assert "How much val/loss depends on the settings that an arm gets" in page
    assert "optimizer.lr was tuned in a, c, but not in b" in page
    assert "optimizer.momentum was tuned" not in page  # only momentum has it
    assert "expected best of so many" in page and "left out" not in page

    before = {path: path.stat().st_mtime_ns for path in OUT.glob("*/status.json")}
    assert study("study.tune_seeds=2").code == 0
    assert before == {path: path.stat().st_mtime_ns for path in OUT.glob("*/status.json")}


def test_an_arm_whose_search_finds_nothing_fails_and_the_others_go_on(study):
    text = STUDY.replace("c: {space: {optimizer.lr: {choice: [0.1, 0.3, 0.9]}}, sampler: grid}",
                         "c: {space: {optimizer.lr: {log: [1.0e+30, 1.0e+32]}}}")  # fmt: skip
    ended = study(text=text)
    assert ended.code == 3
    assert (
        "c has no runs: none of 3 tried came to its end with a number: nothing to choose"
        in ended.out
    )
    assert len(Evidence.read(OUT).arms["a"].runs) == 2


NODE = "  search:\n"
MISTAKES = {
    "a grid besides": (NODE, "  tune: {optimizer.lr: [0.1]}\n" + NODE, "search: instead of tune, not with it"),
    "an unknown arm": ("arms: {c: {space", "arms: {d: {space", "search.arms: unknown arm 'd'"),
    "another budget": ("sampler: grid}", "sampler: grid, trials: 9}", "unknown key 'trials'"),
    "a measure that no rung has": ("tune_by: val/loss", "tune_by: epochs_to(val/loss <= 1)", "a search compares"),
    "too few trials": ("trials: 3", "trials: 2", "study.search.trials: 2 are too few: halving needs 3"),
    "a bad end of a range": ("{uniform: [0.5, 0.9]}", "{uniform: [0.5, 1.9]}", "optimizer@momentum.momentum: 1.9: must be"),
    "a key that the study sets": ("{log: [1.0e-3, 1.0]}", "{log: [1.0e-3, 1.0]}\n      seed: {choice: [1]}",
                                "'seed' is not for searching"),
    "a key of an option that no arm has": ("optimizer@adam.beta2", "optimizer@adamw.beta2",
                                           "optimizer@adamw.beta2: no arm searches it"),
    "an arm's own mistake": ("[0.1, 0.3, 0.9]", "[0.1, 0.3, -0.9]", "study.search.arms.c.space.optimizer.lr: -0.9: must be"),
    "a misspelt key": ("trials: 3", "trials: 3\n    trails: 3", "unknown key 'trails'; did you mean 'trials'?"),
    "a number of seeds": ("trials: 3", "trials: 3\n    seeds: 2", "unknown key 'seeds'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_before_anything_is_trained(study, mistake):
    line, written, told = MISTAKES[mistake]
    assert line in STUDY
    ended = study(text=STUDY.replace(line, written))
    assert ended.code == 2, ended.out
    assert told in ended.err and "s.yaml" in ended.err, ended.err
    assert ended.err.count("\n") <= 6 and not OUT.exists()
