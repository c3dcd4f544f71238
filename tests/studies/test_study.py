import json
from pathlib import Path

import pytest

from runner.studies.evidence import Evidence
from runner.studies.verdicts import judge

STUDY = """# @package _global_
name: s
epochs: {epochs}
data: {{train_size: 64}}
architecture: {{hidden: [8]}}
study:
  question: Is it so?
  source: here
  seeds: {seeds}
  arms: {arms}
{rest}
  claims:
    - says: It is so.
      measure: {measure}
      expect: {expect}
"""


@pytest.fixture
def study(tmp_path, command):
    """Writes an experiment with a study and runs it."""

    def run(*words, arms="{a: [], b: [optimizer.lr=0.3]}", seeds="3", epochs=2, rest="",
            measure="test/error", expect="a < b"):  # fmt: skip
        folder = tmp_path / "conf" / "experiment"
        folder.mkdir(parents=True, exist_ok=True)
        text = STUDY.format(
            arms=arms, seeds=seeds, epochs=epochs, rest=rest, measure=measure, expect=expect
        )
        (folder / "s.yaml").write_text(text)
        # One run after the other: to find out how to stack them takes longer than to train them.
        return command("--config-dir", "conf", "+experiment=s", "hydra/launcher=basic", *words)

    return run


def evidence() -> Evidence:
    return Evidence.read(Path("outputs/s"))


def verdict() -> str:
    [found] = judge(evidence())
    return found.verdict


def runs() -> list[str]:
    return sorted(path.parent.name for path in Path("outputs/s").glob("*/status.json"))


def test_a_planted_effect_is_confirmed_and_nothing_is_trained_twice(study):
    words = {"arms": "{good: [], bad: [optimizer.lr=1e-9]}", "expect": "good < bad", "epochs": 8}
    first = study(**words)
    assert first.code == 0, first.err
    assert verdict() == "confirmed"
    assert len(runs()) == 6
    before = {path: path.stat().st_mtime_ns for path in Path("outputs/s").glob("*/result.json")}
    again = study(**words)
    assert "confirmed" in again.out
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_identical_arms_are_undecided_and_are_the_same_runs(study):
    ended = study(arms="{a: [], b: []}")
    assert ended.code == 0
    assert verdict() == "undecided"
    assert "a, b are the same runs" in ended.out
    assert len(runs()) == 3


def test_one_seed_has_no_winner(study):
    study("study.seeds=1", arms="{good: [], bad: [optimizer.lr=1e-9]}", expect="good < bad")
    assert verdict() == "undecided"


def test_a_run_of_a_study_is_the_run_alone(study, command):
    study(seeds="1")
    [name] = [name for name in runs() if name.startswith("arm=b")]
    alone = command("--config-dir", "conf", f"outputs/s/{name}/config.yaml")
    assert "Finished before" in alone.out


def test_the_command_line_gives_way_to_the_arm(study):
    study("optimizer.lr=0.2", "study.seeds=[7]")
    arms = evidence().arms
    assert arms["a"].settings == {"optimizer.lr": 0.2}
    assert arms["b"].settings == {"optimizer.lr": 0.3}
    assert list(arms["a"].runs) == [7]


def test_a_diverged_run_is_a_result_and_the_worst(study):
    ended = study(
        arms="{good: [], bad: [optimizer.lr=1e+30]}", seeds="6", expect="good < bad",
        measure="val/loss",
    )  # fmt: skip
    assert ended.code == 0
    assert "diverged (counts as the worst value): bad seed 0" in ended.out
    assert verdict() == "confirmed"


def test_tuning_chooses_by_validation_and_goes_beyond_the_border(study):
    ended = study(rest="  tune: {optimizer.lr: [1.0e-4, 1.0e-3]}", arms="{a: [], b: [epochs=3]}",
                  epochs=6)  # fmt: skip
    assert "a: best at the border optimizer.lr=0.001: extended to 0.01" in ended.out
    arm = evidence().arms["a"]
    assert [c.values["optimizer.lr"] for c in arm.candidates] == [1e-4, 1e-3, 1e-2, 1e-1]
    assert arm.chosen == {"optimizer.lr": 0.1}
    assert "after the range was extended twice" in ended.out
    assert len(runs()) == 2 * (4 + 2)


def test_an_arm_that_sets_a_tuned_key_is_not_tuned_and_that_is_told(study):
    ended = study(rest="  tune: {optimizer.lr: [0.1, 0.2, 0.3]}", seeds="1")
    assert "optimizer.lr was tuned in a, but not in b" in ended.out
    assert evidence().arms["b"].candidates == []


def test_refining_draws_around_the_choice(study):
    rest = """  tune: {optimizer.lr: [0.01, 0.1, 1.0]}
  refine: {of: [b], draws: 3, ranges: {optimizer.lr: 2.0, regularizer.l2: [1.0e-5, 1.0e-3]}}"""
    ended = study(arms="{a: [], b: []}", seeds="2", rest=rest)
    assert ended.code == 0, ended.err
    arm = evidence().arms["b"]
    drawn = [c.values for c in arm.candidates if c.stage == "refine"]
    center = evidence().arms["a"].chosen["optimizer.lr"]
    assert len(drawn) == 3
    for values in drawn:
        assert center / 2.01 <= values["optimizer.lr"] <= center * 2.01
        assert 1e-5 <= values["regularizer.l2"] <= 1e-3
    again = study(arms="{a: [], b: []}", seeds="2", rest=rest)
    assert "[1/" not in again.out


def test_an_ensemble_is_compared_with_its_members(study):
    ended = study(
        seeds="6", rest="  ensembles: {pair: {of: [a, b], size: 2}}", expect="pair < members(pair)"
    )
    assert ended.code == 0, ended.err
    [found] = judge(evidence())
    assert found.findings[0].test.n == 6


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"arms": "{a: [], b: [optimizer.lrr=1]}"}, "arm 'b'"),
        ({"arms": "{a: [], b: [optimizer=adamm]}"}, "did you mean 'adam'"),
        ({"arms": "{a: [], b: [seed=3]}"}, "the study sets seed itself"),
        ({"expect": "a < c"}, "unknown arm 'c'"),
        ({"expect": "a <"}, "expected a name"),
        ({"measure": "test/eror"}, "did you mean 'test/error'"),
        ({"measure": "val/accuracy@9"}, "there are only epochs=2"),
        ({"measure": "saturation/1@0"}, "needs diagnostics=layers"),
        ({"expect": "a ~ b"}, "margin"),
        ({"seeds": "[1, 1]"}, "each seed once"),
        ({"rest": "  tune: {optimizer.lr: [-1.0]}"}, "optimizer.lr=-1.0"),
        ({"rest": "  tune_by: test/error"}, "not for choosing"),
        ({"rest": "  ensembles: {e: {of: [a], size: 9}}"}, "only 3 members"),
        ({"rest": "  colour: red"}, "unknown key 'colour'"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(study, changes, told):
    ended = study(**changes)
    assert ended.code == 2
    assert told in ended.err
    assert not Path("outputs").exists()


@pytest.mark.parametrize("words", [("-m",), ("seed=3",)])
def test_what_makes_no_sense_with_a_study_is_rejected(study, words):
    assert study(*words).code == 2


def test_the_record_holds_the_command(study):
    study("study.seeds=1", "optimizer.lr=0.2")
    record = json.loads(Path("outputs/s/study.json").read_text())
    assert record["command"].endswith(" study.seeds=1 optimizer.lr=0.2")


def test_the_plan_is_told_at_once(study):
    arms, rest = "{a: [], b: [regularizer=l2]}", "  tune: {optimizer.lr: [0.1, 0.2, 0.4]}"
    ended = study(arms=arms, rest=rest, seeds="5", epochs=1)
    assert ended.out.splitlines()[0] == "2 arms × 3 optimizer.lr, then 5 seeds: 16 runs"
    ended = study(arms="{a: [], b: []}", seeds="2", epochs=1)
    assert ended.out.splitlines()[0] == "2 arms × 2 seeds: 4 runs"
