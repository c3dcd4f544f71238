"""Verdicts need evidence: what made-up runs may and may not confirm."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import (
    DIVERGED,
    Metrics,
    arm_of,
    claim,
    made_up,
    recorded_study,
    write_predictions,
    write_run,
)

from runner.studies.evidence import Evidence
from runner.studies.record import Point
from runner.studies.verdicts import Verdict, judge, numbers_behind

NOISE = np.random.default_rng(0).normal(size=10) / 100


def losses(mean: float, seeds: int = 10, shift: int = 0) -> list[Metrics]:
    return [{"val/loss": mean + float(np.roll(NOISE, shift)[seed])} for seed in range(seeds)]


def verdict_on(folder: Path, claimed: dict[str, Any], **arms: Sequence[Any]) -> tuple[Verdict, str]:
    [verdict] = judge(made_up(folder, [claimed], arms))
    return verdict, "\n".join(numbers_behind(verdict))


@pytest.mark.parametrize(("seeds", "images"), [(2, 2), (3, 1), (5, 1)])
def test_a_few_images_in_every_seed_are_undecided(tmp_path: Path, seeds: int, images: int) -> None:
    n, wrong = 473, range(11, 11 + 3 * seeds, 3)
    runs = {
        arm: [{"test/error": 1 - (n - w + better) / n} for w in wrong]
        for arm, better in (("a", images), ("b", 0))
    }
    evidence = made_up(tmp_path, [claim("a < b", "test/error")], runs)
    for seed, w in enumerate(wrong):
        write_predictions(tmp_path / f"a-{seed}", range(w - images), n)
        write_predictions(tmp_path / f"b-{seed}", range(w), n)
    [verdict] = judge(evidence)
    assert verdict.verdict == "undecided"
    assert verdict.findings[0].test.method == "sign test"
    assert "it takes at least 6 seeds that all agree" in verdict.advice


@pytest.mark.parametrize("metric", ["weight_zeros/1", "saturation/2", "weight_norm/1"])
def test_divergence_is_no_value_where_nothing_is_better(tmp_path: Path, metric: str) -> None:
    known: Metrics = {metric: 0.1}
    verdict, told = verdict_on(
        tmp_path, claim("l1 > none", metric), l1=[DIVERGED] * 8, none=[known] * 8
    )
    assert verdict.verdict == "undecided"
    assert "no seed has both values; 8 seeds left out: no value" in told


@pytest.mark.parametrize("relation", ["<", ">", "~"])
def test_two_arms_that_diverge_are_no_evidence(tmp_path: Path, relation: str) -> None:
    margin = {"margin": 0.1} if relation == "~" else {}
    verdict, told = verdict_on(
        tmp_path, claim(f"a {relation} b", **margin), a=[DIVERGED] * 8, b=[DIVERGED] * 8
    )
    assert verdict.verdict == "undecided"
    assert "8 seeds left out" in told


def test_pairs_that_both_diverged_are_left_out_and_counted(tmp_path: Path) -> None:
    verdict, told = verdict_on(
        tmp_path, claim("a < b"),
        a=[DIVERGED] * 2 + losses(1.0, 8), b=[DIVERGED] * 2 + losses(2.0, 8, shift=1),
    )  # fmt: skip
    test = verdict.findings[0].test
    assert (test.n, test.method, verdict.verdict) == (8, "t test", "confirmed")
    assert "8 seeds; 2 seeds left out" in told


def test_one_divergence_in_ten_is_not_equal(tmp_path: Path) -> None:
    verdict, told = verdict_on(
        tmp_path, claim("a ~ b", margin=0.5), a=[DIVERGED, *losses(1.0, 9)], b=losses(1.0, shift=1)
    )
    assert verdict.verdict == "undecided"
    # The mean is of those that have one, and how many have not is said.
    assert "a 1.0" in told and "(1 of 10 diverged)" in told


def test_a_diverged_run_is_the_worst_where_there_is_one(tmp_path: Path) -> None:
    verdict, _ = verdict_on(tmp_path, claim("good < bad"), good=losses(1.0), bad=[DIVERGED] * 10)
    assert verdict.verdict == "confirmed"


def test_a_diverged_run_is_not_the_fastest(tmp_path: Path) -> None:
    complete = [{"test/error": 0.1}] * 6
    verdict, _ = verdict_on(
        tmp_path, claim("bad < good", "train_seconds"), good=complete, bad=[DIVERGED] * 6
    )
    assert verdict.verdict == "refuted"


def test_an_untrained_network_reaches_nothing(tmp_path: Path) -> None:
    lucky: list[Metrics] = [{"val/accuracy": 0.91}, {"val/accuracy": 0.8}, {"val/accuracy": 0.92}]
    evidence = made_up(
        tmp_path,
        [claim("a < 1.5", "epochs_to(val/accuracy >= 0.9)")],
        {"a": [({"x/y": 0}, lucky)] * 6},
    )
    [verdict] = judge(evidence)
    assert verdict.findings[0].left.mean == 2
    assert verdict.verdict == "refuted"


def test_the_last_epoch_of_a_diverged_run_is_not_its_end(tmp_path: Path) -> None:
    fine: list[Metrics] = [{"val/loss": 1.0}, {"val/loss": 0.1}]
    verdict, _ = verdict_on(tmp_path, claim("a > 1", "val/loss@last"), a=[(DIVERGED, fine)] * 6)
    assert verdict.verdict == "confirmed"


def test_a_ratio_without_its_denominator_is_no_value(tmp_path: Path) -> None:
    runs: list[Metrics] = [{"weight_norm/1": 1.0, "weight_norm/2": 0.0}] * 6
    verdict, told = verdict_on(tmp_path, claim("a > 1", "weight_norm/1 / weight_norm/2"), a=runs)
    assert verdict.verdict == "undecided" and "6 seeds left out" in told


@pytest.mark.parametrize(
    ("expect", "margin", "expected"),
    [
        ("a < b", None, "confirmed"),  # a = 1, b = 2, c = 4
        ("a < b + 0.5", None, "confirmed"),  # not worse by 0.5
        ("b < a + 0.5", None, "refuted"),
        ("b < a + 1.5", None, "confirmed"),
        ("a < b - 1.5", None, "refuted"),  # better by more than 1.5
        ("a < b - 0.5", None, "confirmed"),
        ("c - b > b - a", None, "confirmed"),
        ("c - b < b - a", None, "refuted"),
        ("c - b ~ 2 * a", 0.5, "confirmed"),
        ("b - a ~ 0.02", 0.5, "refuted"),
        ("a replicates(1.01)", 0.5, "confirmed"),
        ("a replicates(3)", 0.5, "refuted"),
        ("a replicates(1.01)", 0.001, "undecided"),
        ("a < b < c", None, "confirmed"),
        ("a < c < b", None, "refuted"),
    ],
)
def test_what_can_be_expected(
    tmp_path: Path, expect: str, margin: float | None, expected: str
) -> None:
    claimed = claim(expect) | ({"margin": margin} if margin else {})
    verdict, told = verdict_on(
        tmp_path, claimed, a=losses(1.0), b=losses(2.0, shift=1), c=losses(4.0, shift=3)
    )
    assert verdict.verdict == expected, told
    if "replicates" in expect:
        assert "prediction interval [0.9" in told


def test_what_a_control_that_fails_makes_of_the_others(tmp_path: Path) -> None:
    arms = {"plain": losses(2.0), "regular": losses(2.0, shift=1), "best": losses(1.0, shift=2)}
    control = claim("regular < plain", control=True)
    verdicts = judge(made_up(tmp_path, [claim("best < plain"), control], arms))
    assert [verdict.verdict for verdict in verdicts] == ["undecided", "undecided"]
    blocked, own = (numbers_behind(verdict) for verdict in verdicts)
    assert blocked[-1] == "not judged: the control claim 'regular < plain' is undecided"
    assert "can decide a difference of 0.0" in own[-1]
    control = claim("best < regular", control=True)
    held = made_up(tmp_path / "held", [claim("best < plain"), control], arms)
    assert [verdict.verdict for verdict in judge(held)] == ["confirmed", "confirmed"]


def test_only_claims_that_are_judged_together_correct_each_other(tmp_path: Path) -> None:
    arms = {"a": losses(1.0), "b": losses(1.004, shift=1)}
    claims = [claim("a < b"), claim("b < 9"), claim("a < 9", control=True)]
    findings = [verdict.findings[0] for verdict in judge(made_up(tmp_path, claims, arms))]
    assert findings[0].p == pytest.approx(findings[0].test.p)  # the larger of two
    assert findings[1].p == pytest.approx(2 * findings[1].test.p)
    assert findings[2].p == pytest.approx(findings[2].test.p)


def swept(folder: Path, claims: list[dict[str, Any]], **limits: Sequence[float]) -> Evidence:
    """Arms that train up to a limit of η in each seed, and have their best validation loss there."""
    grid, arms = [0.1, 0.3, 1.0, 3.0], {}
    for arm, largest in limits.items():
        points = []
        for lr in grid:
            runs = {seed: f"{arm}-{lr}-{seed}" for seed in range(len(largest))}
            for seed, limit in enumerate(largest):
                accuracy = 0.95 if lr <= limit else 0.5
                final = {"val/loss": 1 / lr, "test/error": lr / 100, "val/accuracy": accuracy}
                metrics = final if lr <= 1 or limit >= 3 else DIVERGED
                write_run(folder / runs[seed], metrics, [{}, {"val/accuracy": accuracy}])
            points.append(Point(values={"optimizer.lr": lr}, runs=runs))
        arms[arm] = arm_of({}, points)
    seeds = len(next(iter(limits.values())))
    return recorded_study(folder, claims, arms, seeds, sweep={"optimizer.lr": grid})


def test_measures_over_a_sweep(tmp_path: Path) -> None:
    largest = "largest(optimizer.lr where val/accuracy@last >= 0.9)"
    claims = [
        claim("bn > 2 * plain", largest),
        claim("bn > plain", "best(optimizer.lr by val/loss)"),
        claim("bn > plain", "best(test/error by val/loss)"),
        claim("bn > plain", "smallest(optimizer.lr where val/accuracy@last <= 0.6)"),
    ]
    evidence = swept(
        tmp_path, claims, plain=[0.3, 0.3, 0.1, 0.1, 0.3, 0.3], bn=[3.0, 1, 1, 3, 3, 3]
    )
    verdicts = judge(evidence)
    left = [finding.left.mean for v in verdicts for finding in v.findings]
    right = [finding.right.mean for v in verdicts for finding in v.findings]
    assert left == pytest.approx([14 / 6, 14 / 6, 14 / 600, 3.0])
    assert right == pytest.approx([2 * 1.4 / 6, 1, 0.01, 4.6 / 6])
    assert verdicts[0].verdict == "confirmed"
    # That no value makes bn fail is "never", and counted.
    assert "(4 of 6 never)" in "\n".join(numbers_behind(verdicts[3]))


def test_no_swept_value_is_the_worst(tmp_path: Path) -> None:
    claims = [claim("a > b", "largest(optimizer.lr where val/accuracy >= 0.9)")]
    [verdict] = judge(swept(tmp_path, claims, a=[1.0] * 6, b=[0.0] * 6))
    assert verdict.verdict == "confirmed"
    assert "b never" in numbers_behind(verdict)[0]


def test_the_examples_stand_beside_the_seeds(tmp_path: Path) -> None:
    n = 100
    runs = {
        arm: [{"test/error": (5 + b + s * (b + 1)) / n} for s in range(6)]
        for arm, b in (("a", 0), ("b", 3))
    }
    evidence = made_up(tmp_path, [claim("a < b", "test/error")], runs)
    draw = np.random.default_rng(1)
    for arm in runs:
        for seed, metrics in enumerate(runs[arm]):
            hard = draw.permutation(40)[: round(metrics["test/error"] * n)]
            write_predictions(tmp_path / f"{arm}-{seed}", list(hard), n)
    [verdict] = judge(evidence)
    [finding] = verdict.findings
    assert finding.examples and finding.examples[0] < finding.test.mean < finding.examples[1]
    assert "other test examples [" in numbers_behind(verdict)[0]


def test_a_claim_on_what_chose_is_marked(tmp_path: Path) -> None:
    arms = {"a": losses(1.0), "b": losses(2.0, shift=1)}
    settings: dict[str, Any] = {"tune": {"optimizer.lr": [0.1, 1]}}
    claims = [claim("a < b"), claim("a < b", "test/loss")]
    evidence = made_up(tmp_path, claims, arms, **settings)
    evidence.arms["a"].chosen["optimizer.lr"] = 0.1
    marked, unmarked = (numbers_behind(verdict) for verdict in judge(evidence))
    assert "val/loss is of the split that chose optimizer.lr" in marked
    assert not any("chose" in line for line in unmarked)
