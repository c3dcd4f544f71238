"""Initial weights. n_in and n_out are a layer's fan-in and fan-out, for a convolution times k²."""

from abc import abstractmethod
from math import sqrt
from typing import TYPE_CHECKING, Literal

from runner.options.option import Option, Positive
from runner.options.registry import group, option

if TYPE_CHECKING:
    from torch import Generator, Tensor

Bias = Literal["zeros", "normal"]


@group("init")
class Init(Option):
    """What all initialisations have.

    Attributes:
        bias: How biases begin: as zeros, or drawn from N(0, 1).
    """

    name: str
    bias: Bias = "zeros"

    @abstractmethod
    def draw(self, weight: "Tensor", generator: "Generator") -> None:
        """Fills a weight of shape (out, in) or (out, in, k, k), by the generator alone."""


@option("init")
class StandardNormal(Init):
    """w ~ N(0, 1): z = wᵀx then has a wide spread, √n_in where E[x²] = 1, and saturates the units."""

    name: Literal["standard_normal"]

    def draw(self, weight: "Tensor", generator: "Generator") -> None:
        weight.normal_(0, 1, generator=generator)


@option("init")
class ScaledNormal(Init):
    """w ~ N(0, 1/n_in), a variance: keeps z near N(0, 1) where E[x²] = 1.

    LeCun et al. 1998, https://doi.org/10.1007/978-3-642-35289-8_3.
    """

    name: Literal["scaled_normal"]

    def draw(self, weight: "Tensor", generator: "Generator") -> None:
        n_in, _ = fans(weight)
        weight.normal_(0, 1 / sqrt(n_in), generator=generator)


@option("init")
class ScaledUniform(Init):
    """w ~ U(−1/√n_in, 1/√n_in): what Glorot & Bengio call the standard initialisation.

    Its variance is 1/(3·n_in). Glorot & Bengio 2010, equation 1,
    https://proceedings.mlr.press/v9/glorot10a.html.
    """

    name: Literal["scaled_uniform"]

    def draw(self, weight: "Tensor", generator: "Generator") -> None:
        n_in, _ = fans(weight)
        weight.uniform_(-1 / sqrt(n_in), 1 / sqrt(n_in), generator=generator)


@option("init")
class Normal(Init):
    """w ~ N(0, std²) with one standard deviation for every layer, as Network in Network has it.

    Lin et al. 2014, https://arxiv.org/abs/1312.4400.

    Attributes:
        std: The standard deviation.
    """

    name: Literal["normal"]
    std: Positive

    def draw(self, weight: "Tensor", generator: "Generator") -> None:
        weight.normal_(0, self.std, generator=generator)


@option("init")
class GlorotNormal(Init):
    """w ~ N(0, 2/(n_in + n_out)). Glorot & Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html."""

    name: Literal["glorot_normal"]

    def draw(self, weight: "Tensor", generator: "Generator") -> None:
        n_in, n_out = fans(weight)
        weight.normal_(0, sqrt(2 / (n_in + n_out)), generator=generator)


@option("init")
class GlorotUniform(Init):
    """w ~ U(−a, a), a = √(6/(n_in + n_out)): the 'normalized initialization', with GlorotNormal's variance.

    Glorot & Bengio 2010, equation 16, https://proceedings.mlr.press/v9/glorot10a.html.
    """

    name: Literal["glorot_uniform"]

    def draw(self, weight: "Tensor", generator: "Generator") -> None:
        n_in, n_out = fans(weight)
        bound = sqrt(6 / (n_in + n_out))
        weight.uniform_(-bound, bound, generator=generator)


@option("init")
class HeNormal(Init):
    """w ~ N(0, 2/n_in), for rectified units. He et al. 2015, https://arxiv.org/abs/1502.01852."""

    name: Literal["he_normal"]

    def draw(self, weight: "Tensor", generator: "Generator") -> None:
        n_in, _ = fans(weight)
        weight.normal_(0, sqrt(2 / n_in), generator=generator)


@option("init")
class HeUniform(Init):
    """w ~ U(−a, a), a = √(6/n_in), for rectified units. He et al. 2015, https://arxiv.org/abs/1502.01852."""

    name: Literal["he_uniform"]

    def draw(self, weight: "Tensor", generator: "Generator") -> None:
        n_in, _ = fans(weight)
        bound = sqrt(6 / n_in)
        weight.uniform_(-bound, bound, generator=generator)


@option("init")
class Orthogonal(Init):
    """`gain` times a matrix with orthonormal rows or columns. Saxe et al. 2014, https://arxiv.org/abs/1312.6120.

    Attributes:
        gain: The factor: every singular value.
    """

    name: Literal["orthogonal"]
    gain: Positive

    def draw(self, weight: "Tensor", generator: "Generator") -> None:
        from torch.nn.init import orthogonal_

        orthogonal_(weight, gain=self.gain, generator=generator)


def fans(weight: "Tensor") -> tuple[int, int]:
    """(n_in, n_out) of a weight of shape (out, in) or (out, in, k, k)."""
    window = weight[0][0].numel()
    return weight.shape[1] * window, weight.shape[0] * window
