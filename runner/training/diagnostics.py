"""What goes on inside the layers, measured on a fixed batch: spread, saturation, gradients, updates."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from runner.options.layers import Dropout, layers
from runner.options.losses import Loss

FLAT = 0.05  # of an activation's steepest slope: below it a unit counts as saturated
PERCENTILES = (15, 50, 85)


def layer_statistics(
    network: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    more: Callable[[Tensor, Tensor, Tensor, Tensor], dict[str, float]] = lambda *_: {},
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Statistics of every layer, numbered from 1 at the input, and tensors for histograms.

    Batch normalisation uses the batch's own statistics, as in training; nothing is dropped. The
    network is left as it was. Per layer:

        preactivation_std       standard deviation of y, over examples and units
        preactivation_p15, ...  percentiles of y of the layer's first unit (Ioffe & Szegedy 2015, §4.1,
                                https://arxiv.org/abs/1502.03167)
        activation_std          standard deviation of a = g(y)
        saturation              share of y at which g'(y) is under 5% of its largest value, in [0, 1]
        gradient_std            standard deviation of ∂C₀/∂y of single examples (Glorot & Bengio
                                2010, https://proceedings.mlr.press/v9/glorot10a.html)
        weight_norm             √Σw² of the layer's weights
        weight_zeros            share of weights under 1e-3 in size, in [0, 1]

    Args:
        network: Its Layer modules are measured.
        loss: C₀.
        inputs: (batch, channels, height, width).
        targets: (batch,) or (batch, outputs).
        more: Gives further numbers of a layer; see Diagnostics.of_layer.
    """
    probe = deepcopy(network).train()
    for module in probe.modules():
        if isinstance(module, Dropout):
            module.eval()
    seen: list[Tensor] = []
    active: list[Tensor] = []
    for layer in layers(probe):
        layer.norm.register_forward_hook(lambda _, __, y: seen.append(y))
        layer.activation.register_forward_hook(lambda _, __, a: active.append(a.detach()))
    with torch.enable_grad():
        cost = loss(probe(inputs), targets) * len(inputs)
        gradients = torch.autograd.grad(cost, seen)
    statistics: dict[str, float] = {}
    histograms: dict[str, Tensor] = {}
    # A list, because the hooks go on collecting when the activations are called again below.
    measured = list(zip(layers(probe), seen, active, gradients, strict=True))
    for number, (layer, y, a, gradient) in enumerate(measured, start=1):
        y = y.detach()
        unit = y.transpose(0, 1)[0].flatten()
        w = layer.linear.weight.detach()
        statistics |= {
            f"preactivation_std/{number}": y.std().item(),
            f"activation_std/{number}": a.std().item(),
            f"saturation/{number}": saturation(layer.activation, y),
            f"gradient_std/{number}": gradient.std().item(),
            f"weight_norm/{number}": w.norm().item(),
            f"weight_zeros/{number}": (w.abs() < 1e-3).float().mean().item(),
        }
        for percentile in PERCENTILES:
            value = unit.float().quantile(percentile / 100).item()
            statistics[f"preactivation_p{percentile}/{number}"] = value
        further = more(w, y, a, gradient)
        statistics |= {f"{name}/{number}": float(value) for name, value in further.items()}
        histograms |= {
            f"weight/{number}": w,
            f"preactivation/{number}": y,
            f"activation/{number}": a,
            f"gradient/{number}": gradient,
        }
    return statistics, histograms


def saturation(activation: nn.Module, y: Tensor) -> float:
    """The share of y at which the activation's slope is under 5% of its steepest; 0 for z itself."""
    grid = torch.linspace(-5, 5, 1001, device=y.device)
    return (
        (slope(activation, y).abs() < FLAT * slope(activation, grid).abs().max())
        .float()
        .mean()
        .item()
    )


def slope(activation: nn.Module, y: Tensor) -> Tensor:
    """g'(y), element by element."""
    with torch.enable_grad():
        y = y.detach().clone().requires_grad_()
        return torch.autograd.grad(activation(y).sum(), y)[0]


def update_ratios(
    weights: Sequence[Tensor], before: Sequence[Tensor], row: int
) -> dict[str, float]:
    """‖Δw‖/‖w‖ of each layer's weights of one run over one step; nothing before the first.

    Args:
        weights: Of each layer, (runs, ...).
        before: The same before the step; empty if there was none.
        row: The run's.
    """
    return {
        f"update_ratio/{number}": (
            (w[row] - old[row]).norm() / old[row].norm().clamp(min=1e-12)
        ).item()
        for number, (w, old) in enumerate(zip(weights, before, strict=bool(before)), start=1)
    }
