"""Update rules: each held to the lecture's equation in float64, its step sizes, and its minima."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from runner.options import registry

FILES = sorted((Path(__file__).parents[2] / "conf" / "optimizer").glob("*.yaml"))
OPTIONS = registry.OPTIONS["optimizer"]
Gradient = Callable[[np.ndarray, int], np.ndarray]

# Unlike any default, unlike one another, and an ε so large that its place in the equation shows.
SETTINGS = {
    "lr": 0.02,
    "momentum": 0.7,
    "alpha": 0.8,
    "beta1": 0.85,
    "beta2": 0.95,
    "eps": 0.05,
    "weight_decay": 0.3,
}


def option(name: str, **settings: float) -> Any:
    """An optimizer with SETTINGS, some of them replaced."""
    keys = OPTIONS[name].model_fields.keys() - {"name"}
    assert keys <= SETTINGS.keys(), f"'{name}' has new settings: give them a value in SETTINGS"
    return OPTIONS[name](name=name, **{key: SETTINGS[key] for key in keys} | settings)


# The lecture's equations. Each yields the parameters that torch stores after a step.


def sgd(o: Any, w: np.ndarray, gradient: Gradient, steps: int) -> Iterator[np.ndarray]:
    for t in range(1, steps + 1):
        w = w - o.lr * gradient(w, t)
        yield w


def momentum(o: Any, w: np.ndarray, gradient: Gradient, steps: int) -> Iterator[np.ndarray]:
    v = np.zeros_like(w)
    for t in range(1, steps + 1):
        v = o.momentum * v - o.lr * gradient(w, t)
        w = w + v
        yield w


def nesterov(o: Any, w: np.ndarray, gradient: Gradient, steps: int) -> Iterator[np.ndarray]:
    v = np.zeros_like(w)
    for t in range(1, steps + 1):
        v = o.momentum * v - o.lr * gradient(w + o.momentum * v, t)
        w = w + v
        yield w + o.momentum * v  # ŵ, the lecture's change of variables


def adagrad(o: Any, w: np.ndarray, gradient: Gradient, steps: int) -> Iterator[np.ndarray]:
    c = np.zeros_like(w)
    for t in range(1, steps + 1):
        g = gradient(w, t)
        c = c + g**2
        w = w - o.lr * g / (np.sqrt(c) + o.eps)
        yield w


def rmsprop(o: Any, w: np.ndarray, gradient: Gradient, steps: int) -> Iterator[np.ndarray]:
    c = np.zeros_like(w)
    for t in range(1, steps + 1):
        g = gradient(w, t)
        c = o.alpha * c + (1 - o.alpha) * g**2
        w = w - o.lr * g / (np.sqrt(c) + o.eps)
        yield w


def adam(
    o: Any,
    w: np.ndarray,
    gradient: Gradient,
    steps: int,
    corrected: bool = True,
    weight_decay: float = 0.0,
) -> Iterator[np.ndarray]:
    m, c = np.zeros_like(w), np.zeros_like(w)
    for t in range(1, steps + 1):
        g = gradient(w, t)
        m = o.beta1 * m + (1 - o.beta1) * g
        c = o.beta2 * c + (1 - o.beta2) * g**2
        m_hat = m / (1 - o.beta1**t) if corrected else m
        c_hat = c / (1 - o.beta2**t) if corrected else c
        w = w - o.lr * weight_decay * w - o.lr * m_hat / (np.sqrt(c_hat) + o.eps)
        yield w


REFERENCES: dict[str, Callable[[Any, np.ndarray, Gradient, int], Iterator[np.ndarray]]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adam_uncorrected": lambda *args: adam(*args, corrected=False),
    "adamw": lambda o, *args: adam(o, *args, weight_decay=o.weight_decay),
}


def stored(
    o: Any, w: np.ndarray, gradient: Gradient, steps: int, dtype: Any
) -> Iterator[np.ndarray]:
    """The parameters after each step of torch's optimizer, the gradient taken at those stored."""
    parameter = torch.nn.Parameter(torch.tensor(w, dtype=dtype))
    parameter.grad = torch.zeros_like(parameter)
    optimizer = o.build([parameter])
    values, grad = parameter.detach().numpy(), parameter.grad.numpy()  # views
    for t in range(1, steps + 1):
        grad[:] = gradient(values, t)
        optimizer.step()
        yield values.copy()


def noisy_bowl() -> tuple[np.ndarray, Gradient]:
    """A start and the random gradients of a quadratic cost, which depend on the place too."""
    random = np.random.default_rng(0)
    noise, curvature = random.normal(size=(101, 50)), random.uniform(0.5, 2, size=50)
    return random.normal(size=50), lambda w, t: noise[t] + curvature * w


def reference(name: str) -> Callable[[Any, np.ndarray, Gradient, int], Iterator[np.ndarray]]:
    if name not in REFERENCES:
        pytest.fail(f"optimizer '{name}' has no equation in REFERENCES: write it out there")
    return REFERENCES[name]


@pytest.mark.parametrize("name", OPTIONS)
def test_each_step_is_the_lectures_equation(name: str) -> None:
    o, (start, gradient) = option(name), noisy_bowl()
    expected = reference(name)(o, start, gradient, 100)
    for t, (w, w_expected) in enumerate(
        zip(stored(o, start, gradient, 100, torch.float32), expected, strict=True), start=1
    ):
        np.testing.assert_allclose(w, w_expected, rtol=0, atol=1e-5, err_msg=f"step {t}")


@pytest.mark.parametrize("name", OPTIONS)
def test_every_setting_moves_the_reference(name: str) -> None:
    """So that the comparison above would notice a setting swapped or dropped."""
    o, (start, gradient) = option(name), noisy_bowl()
    path = np.array([*reference(name)(o, start, gradient, 100)])
    for key in OPTIONS[name].model_fields.keys() - {"name"}:
        changed = o.model_copy(update={key: getattr(o, key) * 0.98})
        other = np.array([*reference(name)(changed, start, gradient, 100)])
        assert np.abs(path - other).max() > 1e-4, key


@pytest.mark.parametrize(
    ("name", "size"), [("sgd", 1), ("adagrad", 1), ("rmsprop", 1 / np.sqrt(1 - 0.8)), ("adam", 1)]
)
def test_first_step(name: str, size: float) -> None:
    o = option(name, eps=1e-10) if name != "sgd" else option(name)
    steps = stored(o, np.zeros(2), lambda w, t: np.array([1.0, -1.0]), 1, torch.float64)
    np.testing.assert_allclose(next(steps), [-size * o.lr, size * o.lr], rtol=1e-6)


def test_steps_without_bias_correction() -> None:
    """The lecture's Adam over Adam at a constant gradient: (1 − β₁ᵗ)/√(1 − β₂ᵗ)."""
    ratios = {}
    for name in ("adam", "adam_uncorrected"):
        o = option(name, beta1=0.9, beta2=0.999, eps=1e-10)
        places = [
            np.zeros(1),
            *stored(o, np.zeros(1), lambda w, t: np.ones(1), 1000, torch.float64),
        ]
        ratios[name] = -np.diff(np.array(places)[:, 0]) / o.lr
    np.testing.assert_allclose(ratios["adam"], 1, rtol=1e-6)
    uncorrected = {t: round(ratios["adam_uncorrected"][t - 1], 2) for t in (1, 12, 100, 1000)}
    assert uncorrected == {1: 3.16, 12: 6.57, 100: 3.24, 1000: 1.26}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_weight_without_gradient_stays(name: str) -> None:
    o = option(name, **({"eps": 1e-10} if "eps" in OPTIONS[name].model_fields else {}))
    *_, w = stored(o, np.full(2, 0.5), lambda w, t: np.array([0.0, 1.0]), 20, torch.float32)
    decay = (1 - o.lr * getattr(o, "weight_decay", 0.0)) ** 20
    np.testing.assert_allclose(w[0], 0.5 * decay, rtol=1e-6)
    assert np.isfinite(w[1])
    assert w[1] < 0.5


def parabola(w: np.ndarray, _: int) -> np.ndarray:
    """∂/∂w of (x − 1)² + (y − 1)²."""
    return 2 * (w - 1)


def rosenbrock(w: np.ndarray, _: int) -> np.ndarray:
    """∂/∂w of (1 − x)² + 100(y − x²)²: a bent valley, lowest at (1, 1)."""
    x, y = w.tolist()
    return np.array([2 * (x - 1) - 400 * x * (y - x * x), 200 * (y - x * x)])


FLAT = {"eps": 1e-8}
MINIMA: dict[str, list[tuple[Gradient, dict[str, float], int, float]]] = {
    "sgd": [(parabola, {"lr": 0.1}, 100, 1e-6), (rosenbrock, {"lr": 0.002}, 8000, 0.01)],
    "momentum": [
        (parabola, {"lr": 0.02, "momentum": 0.9}, 300, 1e-4),
        (rosenbrock, {"lr": 5e-4, "momentum": 0.9}, 3000, 0.01),
    ],
    "nesterov": [
        (parabola, {"lr": 0.02, "momentum": 0.9}, 300, 1e-4),
        (rosenbrock, {"lr": 5e-4, "momentum": 0.9}, 3000, 0.01),
    ],
    "adagrad": [
        (parabola, {"lr": 0.5, **FLAT}, 200, 1e-6),
        (rosenbrock, {"lr": 0.5, **FLAT}, 6000, 0.01),
    ],
    # Its steps do not shrink with the gradient: it ends within about η of the minimum.
    "rmsprop": [
        (parabola, {"lr": 0.005, "alpha": 0.9, **FLAT}, 400, 0.01),
        (rosenbrock, {"lr": 0.001, "alpha": 0.9, **FLAT}, 3000, 0.05),
    ],
    "adam": [
        (parabola, {"lr": 0.05, "beta1": 0.9, "beta2": 0.99, **FLAT}, 500, 1e-3),
        (rosenbrock, {"lr": 0.05, "beta1": 0.9, "beta2": 0.99, **FLAT}, 3000, 0.01),
    ],
}
MINIMA["adam_uncorrected"] = MINIMA["adam"]
MINIMA["adamw"] = [(f, {**s, "weight_decay": 1e-4}, n, tol) for f, s, n, tol in MINIMA["adam"]]


@pytest.mark.parametrize("name", MINIMA)
@pytest.mark.parametrize("place", [0, 1], ids=["parabola", "rosenbrock"])
def test_finds_the_minimum(name: str, place: int) -> None:
    gradient, settings, steps, tolerance = MINIMA[name][place]
    *_, w = stored(option(name, **settings), np.zeros(2), gradient, steps, torch.float64)
    np.testing.assert_allclose(w, 1, rtol=0, atol=tolerance)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_comes_near_the_parabolas_minimum_with_the_settings_of_its_file(file: Path) -> None:
    """Whatever the rule, steps of η = 0.01 take it there; AdaGrad's shrink on the way."""
    settings = yaml.safe_load(file.read_text()) | {"lr": 0.01}
    o = OPTIONS[file.stem](**settings)
    *_, w = stored(o, np.zeros(2), parabola, 10_000, torch.float64)
    np.testing.assert_allclose(w, 1, rtol=0, atol=0.15)


def test_every_option_has_a_file() -> None:
    assert {file.stem for file in FILES} == OPTIONS.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files(file: Path) -> None:
    o = OPTIONS[file.stem].model_validate(yaml.safe_load(file.read_text()))
    assert o.name == file.stem
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = o.build(iter([parameter]))
    assert optimizer.param_groups[0]["lr"] == o.lr
    parameter.grad = torch.ones(3)
    optimizer.step()
    assert (parameter < 1).all()
