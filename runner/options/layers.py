"""What networks are built of: layers, and dropout whose masks can be reproduced."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from runner.options.regularizers import Regularizer

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
}


class Layer(nn.Module):
    """z = Wx + b; y = BN(z); a = g(y); then pooling and dropout.

    Batch normalisation stands before the activation and makes b redundant: y = γẑ + β has its own
    shift. It normalises with the batch's mean and variance in training and with their running
    averages afterwards. Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167.

    Args:
        linear: Computes z, of shape (batch, units) or (batch, channels, height, width). It has a
            bias only where there is no batch normalisation.
        norm: Batch normalisation, or nothing.
        activation: g; nothing in an output layer that gives logits.
        after: What follows the activation: pooling, dropout.
    """

    def __init__(
        self,
        linear: nn.Linear | nn.Conv2d,
        norm: nn.Module | None = None,
        activation: nn.Module | None = None,
        *after: nn.Module,
    ) -> None:
        super().__init__()
        self.linear = linear
        self.norm = norm or nn.Identity()
        self.activation = activation or nn.Identity()
        self.after = nn.ModuleList(after)

    def forward(self, x: Tensor) -> Tensor:
        a: Tensor = self.activation(self.norm(self.linear(x)))
        for module in self.after:
            a = module(a)
        return a


class BatchNorm(nn.Module):
    """ẑ = (z − μ)/√(σ² + ε), y = γẑ + β, for each unit or channel, in float32.

    μ and σ² are the batch's in training, and their running averages afterwards. In mixed precision z may
    be bfloat16, in which averages over a batch have too few digits.

    Args:
        units: Of z, (batch, units) or (batch, units, height, width).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(units))  # γ
        self.bias = nn.Parameter(torch.zeros(units))  # β
        self.register_buffer("running_mean", torch.zeros(units))
        self.register_buffer("running_var", torch.ones(units))
        self.eps, self.momentum = 1e-5, 0.1

    def forward(self, z: Tensor) -> Tensor:
        # torch's own kernels. Which one torch.nn would take depends, on a GPU, on how z lies in memory,
        # and vmap has no answer to that for the z of several runs.
        y: Tensor = torch.native_batch_norm(
            z.float() if z.dtype == torch.bfloat16 else z,
            self.weight, self.bias, self.running_mean, self.running_var,
            self.training, self.momentum, self.eps,
        )[0]  # fmt: skip
        return y.to(z.dtype)


class Dropout(nn.Module):
    """Sets each unit to 0 with probability `rate` in training and divides the others by 1 − rate.

    The mask is a pure function of (key, number of the forward pass, place in the tensor), computed by
    an integer hash instead of a stateful generator. So a resumed run and a run trained in a stack
    with others drop the same units as the run alone, on a CPU and on a GPU alike. `key` and `count`
    are buffers: they lie in the checkpoint and can be stacked.

    Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html. The hash is MurmurHash3's
    finaliser, https://github.com/aappleby/smhasher.

    Args:
        rate: The probability of dropping a unit, in [0, 1).
    """

    key: Tensor
    count: Tensor
    threshold: Tensor
    scale: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.register_buffer("key", torch.zeros((), dtype=torch.int32))
        self.register_buffer("count", torch.zeros((), dtype=torch.int32))
        # A hash is uniform over the int32 range: the lowest `rate` of that range is dropped.
        threshold = torch.tensor(min(round(rate * 2**32), 2**32 - 1) - 2**31, dtype=torch.int32)
        self.register_buffer("threshold", threshold, persistent=False)
        self.register_buffer("scale", torch.tensor(1 / (1 - rate)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        self.count += 1
        places = torch.arange(x.numel(), dtype=torch.int32, device=x.device).view(x.shape)
        # The place is hashed first, so that the masks of two passes are not shifted copies.
        bits = murmur(murmur(places) ^ (self.key + self.count * GOLDEN))
        return x * ((bits >= self.threshold) * self.scale).to(x.dtype)


GOLDEN = 0x9E3779B9 - 2**32  # 2³² divided by the golden ratio, as a signed 32-bit number


def murmur(h: Tensor) -> Tensor:
    """MurmurHash3's 32-bit finaliser: every bit of the input changes each bit of the output half the time.

    int32 products wrap around; the masks turn torch's arithmetic shifts into logical ones.
    """
    h = h ^ ((h >> 16) & 0xFFFF)
    h = h * (0x85EBCA6B - 2**32)
    h = h ^ ((h >> 13) & 0x7FFFF)
    h = h * (0xC2B2AE35 - 2**32)
    return h ^ ((h >> 16) & 0xFFFF)


class GlobalAverage(nn.Module):
    """The mean of each map: (batch, channels, height, width) to (batch, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        # Not AdaptiveAvgPool2d: its gradient on a GPU is not deterministic.
        return x.mean(dim=(2, 3))


class Builder:
    """Layers with the same regularisation and activation.

    Args:
        regularizer: Batch normalisation for every hidden layer, dropout for inputs and hidden units.
        activation: A name in ACTIVATIONS.
    """

    def __init__(self, regularizer: Regularizer, activation: str) -> None:
        self.regularizer = regularizer
        self.activation = ACTIVATIONS[activation]

    def input_dropout(self) -> list[nn.Module]:
        return self._dropout(self.regularizer.dropout_input)

    def fully_connected(self, inputs: int, widths: Sequence[int]) -> list[nn.Module]:
        """Hidden layers of the given widths, one after the other."""
        batch_norm = self.regularizer.batch_norm
        return [
            Layer(
                nn.Linear(n_in, n_out, bias=not batch_norm),
                BatchNorm(n_out) if batch_norm else None,
                self.activation(),
                *self._dropout(self.regularizer.dropout),
            )
            for n_in, n_out in zip((inputs, *widths), widths, strict=False)
        ]

    def convolution(
        self, n_in: int, n_out: int, kernel: int, pool: nn.Module | None = None, end: bool = False
    ) -> nn.Module:
        """A convolution that keeps height and width; at the end of a block with pooling and dropout."""
        batch_norm = self.regularizer.batch_norm
        return Layer(
            nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2, bias=not batch_norm),
            BatchNorm(n_out) if batch_norm else None,
            self.activation(),
            *([pool] if pool else []),
            *(self._dropout(self.regularizer.dropout) if end else []),
        )

    def output(self, inputs: int, outputs: int) -> nn.Module:
        return Layer(nn.Linear(inputs, outputs))

    def _dropout(self, rate: float) -> list[nn.Module]:
        # Without dropout something else takes its place, so that parameters have the same names either way.
        return [Dropout(rate) if rate else nn.Identity()]


def layers(network: nn.Module) -> Iterator[Layer]:
    """The layers of a network from input to output; numbered from 1 wherever they are named."""
    return (module for module in network.modules() if isinstance(module, Layer))


def is_dense(network: nn.Module) -> bool:
    """Whether a network is fully connected layers, one after the other: it takes inputs of any shape.

    Its shapes are known without a pass on torch's meta device, which imports sympy: 0.2 times `import torch`.
    """
    return isinstance(network, nn.Sequential) and all(
        isinstance(module, (nn.Flatten, nn.Identity, Dropout))
        or (isinstance(module, Layer) and isinstance(module.linear, nn.Linear))
        for module in network
    )


def weights(network: nn.Module) -> list[Tensor]:
    """The weights of a network: no biases, no batch-norm γ and β."""
    return [layer.linear.weight for layer in layers(network)]
