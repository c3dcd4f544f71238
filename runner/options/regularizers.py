"""Regularisation: the settings of the cost and of the networks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runner.options.option import Fraction, NonNegative, Option, Positive
from runner.options.registry import group

if TYPE_CHECKING:
    from torch import Tensor


@group("regularizer")
class Regularizer(Option):
    """What keeps a network from fitting its training set too well. All of it reaches every network.

    Attributes:
        l1: λ₁ in C = C₀ + λ₁·Σ|w| + (λ₂/2)·Σw², over weights only.
        l2: λ₂.
        dropout: The probability of dropping a hidden unit: the retain probability of Srivastava
            et al. 2014 is 1 − dropout. https://jmlr.org/papers/v15/srivastava14a.html
        dropout_input: The same for an input.
        batch_norm: Batch normalisation before the activation of every hidden layer.
            Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167
        max_norm: The largest norm of the weights into one unit; null sets no limit. Srivastava et al. 2014, §5.1.
    """

    l1: NonNegative = 0.0
    l2: NonNegative = 0.0
    dropout: Fraction = 0.0
    dropout_input: Fraction = 0.0
    batch_norm: bool = False
    max_norm: Positive | None = None

    def penalty(self, weights: "Sequence[Tensor]") -> "Tensor | None":
        """A further term of the cost, a number: of every layer's weights, (out, in) or (out, in, k, k)."""
        return None
