import pytest

from runner.config.claims import parse_expectation, parse_measure


@pytest.mark.parametrize(
    ("text", "metric", "epoch", "function", "target"),
    [
        ("test/error", "test/error", None, "", 0),
        ("val/accuracy@3", "val/accuracy", 3, "", 0),
        ("saturation/1@0", "saturation/1", 0, "", 0),
        ("epochs_to(val/accuracy >= 0.95)", "val/accuracy", None, "epochs_to", 0.95),
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
        assert parse_measure(text).higher_is_better == higher
    assert not parse_measure("epochs_to(val/psnr >= 20)").higher_is_better


def test_a_slash_with_spaces_is_a_ratio() -> None:
    measure = parse_measure("gradient_std/1@0 / gradient_std/5@0")
    assert measure.operator == "/"
    assert [quantity.layer for quantity in measure.quantities] == [1, 5]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("test/eror", "did you mean 'test/error'"),
        ("nonsense", "Known: "),
        ("test/error@3", "only at the end"),
        ("epochs_to(test/error <= 0.1)", "every epoch"),
        ("epochs_to(val/accuracy)", "expected >= or <="),
        ("epoch_to(val/accuracy >= 1)", "unknown function"),
        ("val/accuracy@half", "expected a number"),
        ("saturation/0", "unknown metric"),
        ("val/accuracy extra", "nothing after"),
        ("__import__('os')", "cannot read"),
        ("val/accuracy; 1", "cannot read"),
        ("", "the end"),
    ],
)
def test_a_mistake_in_a_measure_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="'") as error:
        parse_measure(text)
    assert told in str(error.value)


def test_a_chain_is_its_neighbouring_comparisons() -> None:
    found = parse_expectation("a < b < 0.5 * c ~ members(e)")
    assert [str(c) for c in found] == ["a < b", "b < 0.5 * c", "0.5 * c ~ members(e)"]


@pytest.mark.parametrize("text", ["a", "a <", "a = b", "1 < 2", "a << b", "a < b *", "2 * 3 < a"])
def test_a_mistake_in_an_expectation_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="'"):
        parse_expectation(text)
