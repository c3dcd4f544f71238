"""Costs against their formulas in float64, and at the extremes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from runner.options import registry

FILES = sorted((Path(__file__).parents[2] / "conf" / "loss").glob("*.yaml"))
OPTIONS = registry.OPTIONS["loss"]


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


# Name -> (C₀, ∂C₀/∂z before the division by m, probabilities) of logits z and one-hot targets y.
FORMULAS: dict[str, tuple[Any, Any, Any]] = {
    "cross_entropy": (
        lambda z, y: -(y * np.log(softmax(z))).sum(axis=1).mean(),
        lambda z, y: softmax(z) - y,
        softmax,
    ),
    "sigmoid_cross_entropy": (
        lambda z, y: (
            -(y * np.log(sigmoid(z)) + (1 - y) * np.log(1 - sigmoid(z))).sum(axis=1).mean()
        ),
        lambda z, y: sigmoid(z) - y,
        lambda z: sigmoid(z) / sigmoid(z).sum(axis=1, keepdims=True),
    ),
    "quadratic": (
        lambda z, y: 0.5 * ((sigmoid(z) - y) ** 2).sum(axis=1).mean(),
        lambda z, y: (sigmoid(z) - y) * sigmoid(z) * (1 - sigmoid(z)),
        lambda z: sigmoid(z) / sigmoid(z).sum(axis=1, keepdims=True),
    ),
}


VALUES: dict[str, tuple[Any, Any]] = (
    {  # of outputs z and values y in [0, 1]: the same, without the third
        name: (cost, slope) for name, (cost, slope, _) in FORMULAS.items() if "sigmoid" in name
    }
    | {
        "quadratic": FORMULAS["quadratic"][:2],
        "mean_squared_error": (
            lambda z, y: ((z - y) ** 2).mean(),
            lambda z, y: 2 * (z - y) / z.shape[1],
        ),
    }
)
OF_CLASSES = [name for name, loss in OPTIONS.items() if "class" in loss.targets]
OF_VALUES = [name for name, loss in OPTIONS.items() if {"value", "fraction"} & {*loss.targets}]


def example(examples: int = 6, classes: int = 4) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(0)
    z = torch.tensor(3 * random.normal(size=(examples, classes)), requires_grad=True)
    return z, torch.tensor(random.integers(classes, size=examples))


def gradient(name: str, logits: list[list[float]], targets: list[int]) -> Tensor:
    z = torch.tensor(logits, requires_grad=True)
    OPTIONS[name](name=name)(z, torch.tensor(targets)).backward()
    assert z.grad is not None
    return z.grad


@pytest.mark.parametrize("name", OF_CLASSES)
def test_formulas(name: str) -> None:
    if name not in FORMULAS:
        pytest.fail(f"loss '{name}' has no formula in FORMULAS")
    loss, (cost, slope, probabilities) = OPTIONS[name](name=name), FORMULAS[name]
    z, targets = example()
    numbers, y = z.detach().numpy(), np.eye(4)[targets]
    value = loss(z, targets)
    value.backward()
    assert value.item() == pytest.approx(cost(numbers, y), rel=1e-12)
    np.testing.assert_allclose(z.grad, slope(numbers, y) / 6, rtol=1e-10)
    np.testing.assert_allclose(loss.probabilities(z.detach()), probabilities(numbers), rtol=1e-12)


@pytest.mark.parametrize("name", OF_VALUES)
def test_formulas_with_values(name: str) -> None:
    if name not in VALUES:
        pytest.fail(f"loss '{name}' has no formula in VALUES")
    loss, (cost, slope) = OPTIONS[name](name=name), VALUES[name]
    z, _ = example()
    y = np.random.default_rng(1).random((6, 4))
    value = loss(z, torch.tensor(y))
    value.backward()
    assert value.item() == pytest.approx(cost(z.detach().numpy(), y), rel=1e-12)
    np.testing.assert_allclose(z.grad, slope(z.detach().numpy(), y) / 6, rtol=1e-10)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_probabilities(name: str) -> None:
    z, _ = example(examples=100)
    a = OPTIONS[name](name=name).probabilities(z.detach().float())
    assert ((a >= 0) & (a <= 1)).all()
    torch.testing.assert_close(a.sum(dim=1), torch.ones(100))
    assert torch.equal(a.argmax(dim=1), z.argmax(dim=1))


@pytest.mark.parametrize("classes", [2, 10])
def test_cross_entropy_knows_nothing_at_zero(classes: int) -> None:
    z = torch.zeros(3, classes)
    cost = OPTIONS["cross_entropy"](name="cross_entropy")(z, torch.tensor([0, 1, 1]))
    assert cost.item() == pytest.approx(np.log(classes))


def test_only_the_quadratic_cost_stops_learning_where_it_is_badly_wrong() -> None:
    wrong = [[-20.0, 20.0]], [0]
    assert gradient("quadratic", *wrong).abs().max() < 1e-8
    for name in ("cross_entropy", "sigmoid_cross_entropy"):
        torch.testing.assert_close(gradient(name, *wrong), torch.tensor([[-1.0, 1.0]]))


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [("cross_entropy", 0, 2000), ("sigmoid_cross_entropy", 0, 2000), ("quadratic", 0, 1)],
)
def test_extreme_logits(name: str, right: float, wrong: float) -> None:
    loss, z = OPTIONS[name](name=name), torch.tensor([[1000.0, -1000.0]])
    assert loss(z, torch.tensor([0])).item() == right
    assert loss(z, torch.tensor([1])).item() == wrong
    assert torch.equal(loss.probabilities(z), torch.tensor([[1.0, 0.0]]))
    assert gradient(name, z.tolist(), [1]).isfinite().all()
    assert loss.probabilities(torch.full((1, 4), -1000.0)).tolist() == [[0.25] * 4]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files(file: Path) -> None:
    loss = OPTIONS[file.stem].model_validate(yaml.safe_load(file.read_text()))
    assert loss.name == file.stem


def test_every_option_has_a_file() -> None:
    assert {file.stem for file in FILES} == OPTIONS.keys()
