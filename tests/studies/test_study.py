import json
from pathlib import Path

import pytest

from runner import ensembles, report
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
    tries = {name: len(arm.candidates) for name, arm in evidence().arms.items()}
    assert len(runs()) == sum(tries.values()) + 2 * 3  # the seed that tunes is not one that judges
    assert f"unequal numbers of tries: a 4, b {tries['b']}" in " ".join(ended.out.split())


def test_an_arm_in_which_everything_diverges_fails_and_the_others_go_on(study):
    ended = study(rest="  tune: {optimizer.lr: [1.0e+30, 1.0e+31]}", seeds="2", measure="val/loss",
                  arms="{a: [], b: [optimizer.lr=0.1]}")  # fmt: skip
    assert ended.code == 3
    out = " ".join(ended.out.split())
    told = "all 2 values tried diverged (optimizer.lr=1e+30; optimizer.lr=1e+31): nothing to choose"
    assert f"a: tune: {told}" in out and f"Note: a has no runs: {told}" in out
    assert verdict() == "undecided"
    assert (len(evidence().arms["a"].runs), len(evidence().arms["b"].runs)) == (0, 2)


def test_tuning_takes_the_seeds_that_it_is_given(study):
    ended = study(rest="  tune: {optimizer.lr: [0.1, 0.2]}\n  tune_seeds: [0, 7]", seeds="2")
    assert "tuned and judged by the same seeds: 0" in ended.out
    [first, *_] = evidence().arms["a"].candidates
    assert [run.partition("seed=")[2].partition("-")[0] for run in first.runs] == ["0", "7"]


def test_every_arm_is_trained_with_every_swept_value(study):
    rest = "  sweep: {optimizer.lr: [1.0e-9, 0.3, 1.0e+30]}"
    words = {"arms": "{a: [], b: [optimizer=adam]}", "seeds": "2", "rest": rest, "epochs": 6,
             "measure": "largest(optimizer.lr where val/loss@last <= 2.25)",
             "expect": "a > 2 * b"}  # fmt: skip
    ended = study(**words)
    assert ended.code == 0, ended.err
    assert len(runs()) == 2 * 3 * 2
    [found] = judge(evidence())
    assert found.findings[0].left.mean == 0.3
    assert "a: largest(optimizer.lr" not in ended.out.partition("Note:")[2]
    assert report.main(["outputs/s"]) == 0 and ensembles.main(["outputs/s", "--missing", "9"]) == 0


def test_another_task_is_tuned_and_reported_by_its_own_criterion(study):
    ended = study(
        "task=reconstruction", measure="test/psnr", expect="a > b", seeds="2", epochs=4,
        arms="{a: [], b: [optimizer.lr=1e-9]}", rest="  tune: {optimizer.lr: [0.01, 0.1]}",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert evidence().study.tune_by == "val/psnr"
    assert evidence().arms["a"].chosen["optimizer.lr"] >= 0.1
    report = Path("outputs/s/report.md").read_text()
    assert "| arm | parameters | test psnr |" in report
    assert "val/psnr" in Path("outputs/s/report.html").read_text()


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
        ({"measure": "test/psnr"}, "task=classification has test/loss, test/accuracy, test/error"),
        (
            {
                "arms": "{a: [], b: [task=reconstruction]}",
                "measure": "test/loss",
                "rest": "  ensembles: {e: {of: [a], size: 2}}",
            },
            "ensembles average probabilities; task=reconstruction",
        ),
        ({"expect": "a ~ b"}, "margin"),
        ({"seeds": "[1, 1]"}, "each seed once"),
        ({"rest": "  tune: {optimizer.lr: [-1.0]}"}, "optimizer.lr=-1.0"),
        ({"rest": "  tune_by: test/error"}, "not for choosing"),
        ({"rest": "  ensembles: {e: {of: [a], size: 9}}"}, "only 3 members"),
        ({"rest": "  tune_by: saturation/1"}, "neither more nor less"),
        ({"rest": "  tune_by: best(val/loss)"}, "a number of each run"),
        ({"rest": "  sweep: {optimizer.lr: [0.1, 1]}"}, "largest(), smallest() or best()"),
        (
            {"rest": "  sweep: {optimizer.lr: [0.1, 1]}", "measure": "best(test/error)"},
            "not for choos",
        ),
        ({"measure": "best(val/loss)"}, "has no sweep"),
        (
            {
                "rest": "  sweep: {architecture.hidden: [[8], [9]]}",
                "measure": "best(architecture.hidden by val/loss)",
            },
            "no numbers",
        ),
        ({"expect": "a < 2.5"}, "a share of 1: 2.5% is 0.025"),
        ({"expect": "a replicates(0.1)"}, "margin"),
        ({"expect": "a + c < b"}, "unknown arm 'c'"),
        (
            {"rest": "  splits: true\n  ensembles: {e: {of: [a], size: 2}}"},
            "each seed is tested on other examples",
        ),
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


def test_a_seed_draws_the_split_where_the_study_says_so(study):
    ended = study(rest="  splits: true\n  tune: {optimizer.lr: [0.1, 0.2]}", seeds="2")
    assert ended.code == 0, ended.err
    found = evidence()
    configs = {seed: found.run("a", seed).config() for seed in (0, 1)}
    assert [config.data.split_seed for config in configs.values()] == [0, 1]
    labels = {arm: found.run(arm, 0).predictions()[1].tolist() for arm in ("a", "b")}
    assert labels["a"] == labels["b"]  # arms are paired: same seed, same split
    assert labels["a"] != found.run("a", 1).predictions()[1].tolist()
    assert "other test examples" not in ended.out


def test_the_plan_is_told_at_once(study):
    arms, rest = "{a: [], b: [regularizer=l2]}", "  tune: {optimizer.lr: [0.1, 0.2, 0.4]}"
    ended = study(arms=arms, rest=rest, seeds="5", epochs=1)
    assert ended.out.splitlines()[0] == "2 arms × 3 optimizer.lr, then 5 seeds: 16 runs"
    ended = study(arms="{a: [], b: []}", seeds="2", epochs=1)
    assert ended.out.splitlines()[0] == "2 arms × 2 seeds: 4 runs"
