"""Dropout's masks, and batch normalisation's gradient."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from runner.options.layers import BatchNorm, Dropout, Layer
from runner.options.regularizers import Regularizer

FILES = sorted((Path(__file__).parents[2] / "conf" / "regularizer").glob("*.yaml"))
N = 10_000


def dropout(rate: float = 0.3, key: int = 1234) -> Dropout:
    module = Dropout(rate)
    module.key.fill_(key)
    return module


def masks(module: Dropout, passes: int, shape: tuple[int, ...] = (N,)) -> Tensor:
    """Which units were kept in successive passes, (passes, *shape)."""
    return torch.stack([module(torch.ones(shape)) != 0 for _ in range(passes)])


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_dropout_rate_and_scale(rate: float) -> None:
    a = dropout(rate)(torch.full((N,), 3.0))
    kept = a != 0
    sigma = (rate * (1 - rate) / N) ** 0.5
    assert abs(kept.float().mean().item() - (1 - rate)) <= 4 * sigma
    torch.testing.assert_close(a[kept], torch.full((int(kept.sum()),), 3 / (1 - rate)))


def test_dropout_gradient_and_evaluation() -> None:
    x = torch.linspace(1, 2, 100, requires_grad=True)
    module = dropout()
    y = module(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, (y / x).detach())
    assert module.eval()(x) is x
    assert module.count == 1


def test_dropout_is_a_pure_function_of_key_and_count() -> None:
    module, again = dropout(), dropout()
    first = masks(module, 3)
    torch.rand(5)  # torch's generator has no part in it
    assert torch.equal(masks(again, 3), first)
    resumed = Dropout(0.3)
    resumed.load_state_dict(module.state_dict())
    assert module.state_dict().keys() == {"key", "count"}
    assert torch.equal(masks(resumed, 2), masks(again, 2))


def test_dropout_masks_are_independent() -> None:
    """Between passes, keys and places the correlation of N units is about 1/√N."""
    passes = masks(dropout(), 8)
    others = torch.cat([masks(dropout(key=key), 1) for key in (0, 1, 2, 3, 1235, 2**31 - 1)])
    kept = (torch.cat([passes, others]).double() - 0.7) / 0.21**0.5
    for lag in (0, 1, 2, 3, 8, 64, 100, 1024):
        table = kept[:, lag:] @ kept[:, : N - lag].T / N
        if lag == 0:
            table.fill_diagonal_(0)
        assert table.abs().max() < 4.5 * N**-0.5, lag


def test_dropout_by_chi_square() -> None:
    """The eight patterns of a unit in three successive passes are as frequent as independence says."""
    patterns = torch.tensor([4, 2, 1]) @ masks(dropout(), 3).long()
    kept = [bin(pattern).count("1") for pattern in range(8)]
    expected = N * np.array([0.7**k * 0.3 ** (3 - k) for k in kept])
    counts = torch.bincount(patterns, minlength=8).numpy()
    assert (
        (counts - expected) ** 2 / expected
    ).sum() < 26  # 99.95% of χ² with 7 degrees of freedom


def test_dropout_of_stacked_runs() -> None:
    """Under vmap every run drops what it drops alone, whatever its rate, key and count."""
    modules = [dropout(rate, key) for rate, key in ((0.0, 5), (0.3, 5), (0.5, 99), (0.8, -7))]
    masks(modules[2], 3)
    x = torch.rand(4, 6, 10) + 1
    stacked = {
        name: torch.stack([dict(module.named_buffers())[name] for module in modules])
        for name in ("key", "count", "threshold", "scale")
    }
    shared = Dropout(0.5)
    forward = torch.func.vmap(lambda b, x_BD: torch.func.functional_call(shared, b, (x_BD,)))
    for _ in range(3):
        alone = torch.stack([module(x_BD) for module, x_BD in zip(modules, x, strict=True)])
        assert torch.equal(forward(stacked, x), alone)
    assert stacked["count"].tolist() == [3, 3, 6, 3]


def test_batch_norm_backward() -> None:
    """∂C/∂z = ∂C/∂ẑ/√(σ²+ε) + ∂C/∂σ²·2(z−μ)/m + ∂C/∂μ/m; ∂C/∂w is summed over the batch."""
    random, m = np.random.default_rng(0), 7
    x, w, dy = random.normal(size=(m, 3)), random.normal(size=(4, 3)), random.normal(size=(m, 4))
    layer = Layer(nn.Linear(3, 4, bias=False), BatchNorm(4)).double()
    norm = layer.norm
    assert isinstance(norm, BatchNorm)
    gamma, beta = random.normal(size=4), random.normal(size=4)
    with torch.no_grad():
        for parameter, value in ((layer.linear.weight, w), (norm.weight, gamma), (norm.bias, beta)):
            parameter.copy_(torch.tensor(value))
    y = layer(torch.tensor(x))
    (y * torch.tensor(dy)).sum().backward()

    z = x @ w.T
    mu, variance = z.mean(axis=0), z.var(axis=0)
    root = np.sqrt(variance + norm.eps)
    z_hat = (z - mu) / root
    dz_hat = dy * gamma
    dvariance = (dz_hat * (z - mu) * -0.5 * root**-3).sum(axis=0)
    dmu = -dz_hat.sum(axis=0) / root
    dz = dz_hat / root + dvariance * 2 * (z - mu) / m + dmu / m
    np.testing.assert_allclose(y.detach(), gamma * z_hat + beta, rtol=1e-10)
    np.testing.assert_allclose(layer.linear.weight.grad, dz.T @ x, rtol=1e-9)
    np.testing.assert_allclose(norm.weight.grad, (dy * z_hat).sum(axis=0), rtol=1e-10)
    np.testing.assert_allclose(norm.bias.grad, dy.sum(axis=0), rtol=1e-10)


@pytest.mark.parametrize("shape", [(7, 4), (7, 4, 3, 5)], ids=["units", "channels"])
def test_batch_norm_is_torch_s(shape: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(0)
    ours, theirs = BatchNorm(4), (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(4)
    for _ in range(3):
        z = torch.randn(shape, generator=random) * 3 + 1
        torch.testing.assert_close(ours(z), theirs(z))
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(z), theirs(z))
    expected = {k: v for k, v in theirs.state_dict().items() if k != "num_batches_tracked"}
    torch.testing.assert_close(ours.state_dict(), expected)
    # In bfloat16 statistics would have two digits; taken in float32, they are right.
    half = BatchNorm(4)
    y = half(z.bfloat16())
    assert y.dtype == torch.bfloat16 and half.running_mean.dtype == torch.float32
    torch.testing.assert_close(y.float(), BatchNorm(4)(z), atol=0.03, rtol=0.03)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files(file: Path) -> None:
    """A file's name says what it does: nothing else is switched on."""
    regularizer = Regularizer.model_validate(yaml.safe_load(file.read_text()))
    active = {key for key, value in regularizer if value}
    name = file.stem.replace("l1_l2", "l1+l2").replace("_dropout", "+dropout").replace("_l2", "+l2")
    name = name.replace("_max_norm", "+max_norm")
    assert active - {"dropout_input"} == set(name.removesuffix("_input").split("+")) - {"none"}
