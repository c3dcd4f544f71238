"""Initial weights: their spread against the formulas."""

from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from runner.options import registry
from runner.options.inits import fans

FILES = sorted((Path(__file__).parents[2] / "conf" / "init").glob("*.yaml"))
OPTIONS = registry.OPTIONS["init"]
EXTRA = {"normal": {"std": 0.03}, "orthogonal": {"gain": 1.7}}

# Shape, n_in, n_out. A convolution's unit sees 32·5·5 inputs; an input is seen by 64·5·5 places.
SHAPES = {"linear": ((300, 500), 500, 300), "conv": ((64, 32, 5, 5), 800, 1600)}

# The standard deviation as a function of n_in and n_out, and the distribution.
SPREAD = {
    "standard_normal": (lambda n_in, n_out: 1.0, "normal"),
    "scaled_normal": (lambda n_in, n_out: n_in**-0.5, "normal"),
    "scaled_uniform": (lambda n_in, n_out: (3 * n_in) ** -0.5, "uniform"),
    "normal": (lambda n_in, n_out: 0.03, "normal"),
    "glorot_normal": (lambda n_in, n_out: sqrt(2 / (n_in + n_out)), "normal"),
    "glorot_uniform": (lambda n_in, n_out: sqrt(2 / (n_in + n_out)), "uniform"),
    "he_normal": (lambda n_in, n_out: sqrt(2 / n_in), "normal"),
    "he_uniform": (lambda n_in, n_out: sqrt(2 / n_in), "uniform"),
    # Every row has the squared norm gain², over n_in weights (more than n_out here), or every column.
    "orthogonal": (lambda n_in, n_out: None, ""),
}


def option(name: str) -> Any:
    return OPTIONS[name](name=name, bias="zeros", **EXTRA.get(name, {}))


def draw(name: str, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    weight = torch.full(shape, torch.nan)
    option(name).draw(weight, torch.Generator().manual_seed(seed))
    return weight


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - {"orthogonal"}))
def test_spread(name: str, kind: str) -> None:
    if name not in SPREAD:
        pytest.fail(f"initialisation '{name}' has no formula in SPREAD")
    shape, n_in, n_out = SHAPES[kind]
    formula, distribution = SPREAD[name]
    std, w = formula(n_in, n_out), draw(name, shape)
    # The empirical std of 51,200 numbers is off by 0.3% (one sigma), their mean by std/226.
    assert w.std().item() == pytest.approx(std, rel=0.015)
    assert abs(w.mean().item()) < 5 * std / sqrt(w.numel())
    largest = w.abs().max().item() / std
    if distribution == "uniform":
        assert 0.999 * sqrt(3) < largest <= sqrt(3) * (1 + 1e-6)
    else:
        assert 3.5 < largest < 6
        assert (w.abs() < std).float().mean().item() == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8), (6, 3, 3, 3), (40, 2, 3, 3)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    w = draw("orthogonal", shape).double().flatten(1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    torch.testing.assert_close(
        product, 1.7**2 * torch.eye(len(product)).double(), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_same_seed_same_bits(name: str) -> None:
    first, again, other = (draw(name, (7, 5), seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any()


@pytest.mark.parametrize("name", OPTIONS)
def test_the_generator_moves_on_and_the_global_one_does_not(name: str) -> None:
    random, state = torch.Generator().manual_seed(0), torch.get_rng_state()
    first, second = torch.empty(7, 5), torch.empty(7, 5)
    option(name).draw(first, random)
    option(name).draw(second, random)
    assert not torch.isclose(first, second).any()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", SHAPES)
def test_fans(kind: str) -> None:
    shape, n_in, n_out = SHAPES[kind]
    assert fans(torch.empty(shape)) == (n_in, n_out)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files(file: Path) -> None:
    init = OPTIONS[file.stem].model_validate(yaml.safe_load(file.read_text()))
    assert init.name == file.stem
    weight = torch.full((4, 3), torch.nan)
    init.draw(weight, torch.Generator())
    assert weight.isfinite().all()


def test_every_option_has_a_file() -> None:
    assert {file.stem for file in FILES} == OPTIONS.keys()
