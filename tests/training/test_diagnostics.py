"""Statistics of layers against explicit computation."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from runner.options.architectures import MLP
from runner.options.layers import ACTIVATIONS, layers, weights
from runner.options.losses import CrossEntropy
from runner.options.regularizers import Regularizer
from runner.training.diagnostics import layer_statistics, saturation, update_ratios

LOSS = CrossEntropy(name="cross_entropy")


def network(activation: Any = "sigmoid", **settings: Any) -> nn.Module:
    """6-5-3 in float64 with wide weights, so that some of its units saturate."""
    none = {"l1": 0.0, "l2": 0.0, "dropout": 0.0, "dropout_input": 0.0, "batch_norm": False}
    regularizer = Regularizer(**{**none, "max_norm": None} | settings)
    built = MLP(name="mlp", hidden=(5,), activation=activation).build((1, 2, 3), 3, regularizer)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(0, 1.5, generator=random)
    return built.double()


def batch(examples: int = 20) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(0)
    inputs = torch.tensor(random.normal(size=(examples, 1, 2, 3)))
    return inputs, torch.tensor(random.integers(3, size=examples))


def test_statistics_by_hand() -> None:
    net, (inputs, targets) = network(), batch()
    (w1, b1), (w2, b2) = (
        (layer.linear.weight.detach().numpy(), layer.linear.bias.detach().numpy())
        for layer in layers(net)
    )
    w1[0, 0] = w1[1, 1] = 5e-4  # two of 30
    y1 = inputs.numpy().reshape(20, 6) @ w1.T + b1
    a1 = 1 / (1 + np.exp(-y1))
    y2 = a1 @ w2.T + b2
    softmax = np.exp(y2) / np.exp(y2).sum(axis=1, keepdims=True)
    g2 = softmax - np.eye(3)[targets]  # of single examples: not divided by the batch
    g1 = g2 @ w2 * a1 * (1 - a1)
    saturated = (a1 * (1 - a1) < 0.05 * 0.25).mean()
    assert 0.05 < saturated < 0.95
    expected = {"saturation/1": saturated, "saturation/2": 0.0}
    expected |= {"weight_zeros/1": 2 / 30, "weight_zeros/2": 0.0}
    for number, (y, a, g, w) in enumerate(((y1, a1, g1, w1), (y2, y2, g2, w2)), start=1):
        expected |= {
            f"preactivation_std/{number}": y.std(ddof=1),
            f"activation_std/{number}": a.std(ddof=1),
            f"gradient_std/{number}": g.std(ddof=1),
            f"weight_norm/{number}": np.sqrt((w**2).sum()),
        }
        for percentile in (15, 50, 85):
            expected[f"preactivation_p{percentile}/{number}"] = np.percentile(y[:, 0], percentile)

    statistics, histograms = layer_statistics(net, LOSS, inputs, targets)
    assert statistics.keys() == expected.keys()
    assert statistics == pytest.approx(expected, rel=1e-5)
    for name, value in {
        "weight/1": w1,
        "preactivation/1": y1,
        "gradient/1": g1,
        "activation/2": y2,
    }.items():
        np.testing.assert_allclose(histograms[name], value, rtol=1e-9)


def test_y_stands_behind_batch_norm() -> None:
    """y = γẑ + β with the batch's own statistics, in a network that is being evaluated too."""
    net, (inputs, targets) = network(batch_norm=True), batch()
    layer = next(layers(net))
    z = inputs.flatten(1) @ layer.linear.weight.T
    z_hat = (z - z.mean(dim=0)) / (z.var(dim=0, correction=0) + 1e-5).sqrt()
    y = (z_hat * layer.norm.weight + layer.norm.bias).detach()
    for mode in (True, False):
        statistics, histograms = layer_statistics(net.train(mode), LOSS, inputs, targets)
        torch.testing.assert_close(histograms["preactivation/1"], y)
        assert statistics["preactivation_std/1"] == pytest.approx(y.std().item())


@pytest.mark.parametrize("mode", [True, False])
def test_the_network_is_left_as_it_was(mode: bool) -> None:
    net, (inputs, targets) = network(batch_norm=True, dropout=0.5, dropout_input=0.2), batch()
    net(inputs).sum().backward()  # counts, running statistics and gradients that are not zero
    net.train(mode)
    before = copy.deepcopy(net.state_dict())
    gradients = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    random = torch.get_rng_state()
    with torch.no_grad():  # as in an evaluation loop
        first, _ = layer_statistics(net, LOSS, inputs, targets)
    assert first == layer_statistics(net, LOSS, inputs, targets)[0]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(
        torch.equal(p.grad, g)
        for p, g in zip(net.parameters(), gradients, strict=True)
        if p.grad is not None
    )
    assert all(module.training == mode for module in net.modules())
    assert not any(m._forward_hooks for m in net.modules())
    assert torch.equal(torch.get_rng_state(), random)


def test_nothing_is_dropped() -> None:
    inputs, targets = batch()
    plain, dropping = network(), network(dropout=0.5, dropout_input=0.2)
    for p, value in zip(dropping.parameters(), plain.parameters(), strict=True):
        p.data = value.data
    expected, _ = layer_statistics(plain, LOSS, inputs, targets)
    # The layers are numbered alike though dropout stands between them.
    assert layer_statistics(dropping, LOSS, inputs, targets)[0] == expected


# Where g' is under 5% of its steepest: |y| > 4.36 for σ (its slope there is 0.0125), half for tanh.
@pytest.mark.parametrize(
    ("activation", "y", "share"),
    [
        ("sigmoid", [-4.4, -4.3, 0.0, 4.3, 4.4], 0.4),
        ("tanh", [-2.2, -2.1, 0.0, 2.1, 2.2], 0.4),
        ("relu", [-1.0, -0.1, 0.1, 9.0], 0.5),
        ("leaky_relu", [-1.0, -0.1, 0.1, 9.0], 0.5),  # its lesser slope is 0.01
        ("elu", [-3.1, -2.9, 0.1, 9.0], 0.25),  # e^y < 0.05 for y < −3.0
    ],
)
def test_saturation(activation: str, y: list[float], share: float) -> None:
    assert saturation(ACTIVATIONS[activation](), torch.tensor(y)) == pytest.approx(share)


def test_saturation_of_nothing() -> None:
    assert saturation(nn.Identity(), torch.tensor([-100.0, 0.0, 100.0])) == 0


def test_update_ratios() -> None:
    net = network()
    before = [torch.stack([w, w]).clone() for w in weights(net)]
    after = [w.clone() for w in before]
    after[0][1] *= 1.01
    after[1][1] += 2.0
    moved = 2 * 15**0.5 / before[1][1].norm().item()
    expected = {"update_ratio/1": 0.01, "update_ratio/2": moved}
    assert update_ratios(after, before, 1) == pytest.approx(expected)
    assert update_ratios(after, before, 0) == {"update_ratio/1": 0.0, "update_ratio/2": 0.0}
    zeros = [torch.zeros_like(w) for w in before]
    assert all(np.isfinite(ratio) for ratio in update_ratios(after, zeros, 1).values())
    assert update_ratios(after, [], 1) == {}
