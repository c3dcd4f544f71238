import pytest

from runner.config.claims import LAST, parse_measure
from runner.config.expectations import parse_expectation


@pytest.mark.parametrize(
    ("text", "metric", "epoch", "function", "target"),
    [
        ("test/error", "test/error", None, "", 0),
        ("val/accuracy@3", "val/accuracy", 3, "", 0),
        ("val/accuracy@last", "val/accuracy", LAST, "", 0),
        ("saturation/1@0", "saturation/1", 0, "", 0),
        ("epochs_to(val/accuracy >= 0.95)", "val/accuracy", None, "epochs_to", 0.95),
        ("epochs_to(val/loss <= -1)", "val/loss", None, "epochs_to", -1),
        ("seconds_to(train/loss<=1e-2)", "train/loss", None, "seconds_to", 0.01),
        ("range(preactivation_p50/3@1)", "preactivation_p50/3", 1, "range", 0),
        ("train_seconds", "train_seconds", None, "", 0),
    ],
)
def test_quantities(
    text: str, metric: str, epoch: int | None, function: str, target: float
) -> None:
    quantity = parse_measure(text).first
    assert (quantity.metric, quantity.epoch) == (metric, epoch)
    assert (quantity.function, quantity.target) == (function, target)


def test_which_way_is_better_is_said_by_the_tasks() -> None:
    better = {"val/accuracy": True, "test/error": False, "val/loss": False, "val/psnr": True,
              "test/rmse": False, "test/r2": True, "updates_per_second": True}  # fmt: skip
    for text, higher in better.items():
        assert parse_measure(text).direction == (1 if higher else -1)
    assert parse_measure("epochs_to(val/psnr >= 20)").direction == -1


def test_a_slash_with_spaces_is_a_ratio() -> None:
    measure = parse_measure("gradient_std/1@0 / gradient_std/5@0")
    assert measure.operator == "/"
    assert [quantity.layer for quantity in measure.quantities] == [1, 5]


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("test/accuracy", 1),
        ("samples_per_second", 1),
        ("test/error", -1),
        ("val/loss@3", -1),
        ("train_seconds", -1),
        ("epochs_to(val/accuracy >= 0.9)", -1),
        ("range(val/loss)", 0),
        ("weight_zeros/1", 0),
        ("lr", 0),
        ("parameters", 0),
        ("largest(optimizer.lr where val/accuracy@last >= 0.9)", 1),
        ("smallest(regularizer.l2 where weight_zeros/1 >= 0.5)", -1),
        ("best(val/accuracy)", 1),
        ("best(test/error by val/accuracy)", -1),
        ("best(optimizer.lr by val/loss)", 0),
        ("best(epochs by val/loss)", 0),
    ],
)
def test_what_is_better(text: str, direction: int) -> None:
    assert parse_measure(text).direction == direction


def test_a_measure_over_a_sweep() -> None:
    measure = parse_measure("largest(optimizer.lr where val/accuracy@last >= 0.9)")
    assert measure.sweep and (measure.sweep.function, measure.sweep.key) == (
        "largest",
        "optimizer.lr",
    )
    assert measure.sweep.by.holds(0.9) and not measure.sweep.by.holds(0.89)
    measure = parse_measure("best(test/error by val/accuracy)")
    assert measure.sweep and (measure.first.metric, measure.sweep.by.metric) == (
        "test/error",
        "val/accuracy",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("test/eror", "did you mean 'test/error'"),
        ("nonsense", "Known: "),
        ("test/error@3", "only at the end"),
        ("test/error@last", "only at the end"),
        ("epochs_to(test/error <= 0.1)", "every epoch"),
        ("epochs_to(val/accuracy)", "expected >= or <="),
        ("epoch_to(val/accuracy >= 1)", "unknown function"),
        ("val/accuracy@half", "expected a number"),
        ("val/accuracy@1.5", "whole epoch"),
        ("update_ratio/1@0", "from epoch 1 on"),
        ("saturation/0", "unknown metric"),
        ("val/accuracy extra", "nothing after"),
        ("__import__('os')", "cannot read"),
        ("val/accuracy; 1", "cannot read"),
        ("", "the end"),
        ("largest(optimizer.lr)", "expected where"),
        ("largest(optimizer.lr where val/accuracy)", "expected >= or <="),
        ("largest(val/accuracy)", "expected where"),
        ("best(test/error)", "not for choosing; best(test/error by val/loss)"),
        ("best(optimizer.lr)", "expected by"),
        ("best(val/acuracy)", "did you mean 'val/accuracy'"),
        ("best(optimizer.lr by lr)", "neither more nor less"),
        ("best(val/loss) / best(val/loss)", "nothing after"),
    ],
)
def test_a_mistake_in_a_measure_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="'") as error:
        parse_measure(text)
    assert told in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "a < b",
        "members(five) - five ~ 0.02",
        "new < old + 0.01",
        "a - b > c - 0.5 * d",
        "-2 * a < 1e-05",
        "a replicates(0.8643)",
        "a - b replicates(0.01 of 5)",
        "a > 3 * b",
    ],
)
def test_an_expectation_is_shown_as_it_is_written(text: str) -> None:
    [comparison] = parse_expectation(text)
    assert str(comparison) == text


def test_the_sign_of_a_term() -> None:
    [found] = parse_expectation("a-0.5*b +0.1 < -c")
    assert [term.factor for term in (*found.left.terms, *found.right.terms)] == [1, -0.5, 0.1, -1]
    assert found.left.constant == 0.1


def test_a_chain_is_its_neighbouring_comparisons() -> None:
    found = parse_expectation("a < b < 0.5 * c ~ members(e)")
    assert [str(c) for c in found] == ["a < b", "b < 0.5 * c", "0.5 * c ~ members(e)"]


@pytest.mark.parametrize(
    "text",
    [
        "a", "a <", "a = b", "1 < 2", "a << b", "a < b *", "2 * 3 < a", "a < b +", "a + < b", "0 * a < b",
        "a replicates", "a replicates 0.8", "a replicates(b)", "a replicates(1 of 0)",
        "a replicates(1 of 1.5)", "1 replicates(1)", "a replicates(1) < b",
    ],
)  # fmt: skip
def test_a_mistake_in_an_expectation_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="'"):
        parse_expectation(text)
