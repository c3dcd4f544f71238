"""Regularisation: the penalty in the cost, and the settings that networks are built with."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from runner.options.option import Fraction, NonNegative, Option

if TYPE_CHECKING:
    from torch import Tensor


class Regularizer(Option):
    """What keeps a network from fitting its training set too well. All of it reaches every network.

    Attributes:
        l1: λ₁ in C = C₀ + λ₁·Σ|w| + (λ₂/2)·Σw², over weights only, at least 0.
        l2: λ₂, at least 0.
        dropout: The probability of dropping a hidden unit, in [0, 1): the retain probability of
            Srivastava et al. 2014 is 1 − dropout. https://jmlr.org/papers/v15/srivastava14a.html
        dropout_input: The same for an input.
        batch_norm: Batch normalisation before the activation of every hidden layer.
            Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167
        max_norm: The largest norm of the weights into one unit, or null. Srivastava et al. 2014, §5.1.
    """

    l1: NonNegative
    l2: NonNegative
    dropout: Fraction
    dropout_input: Fraction
    batch_norm: bool
    max_norm: Annotated[float, Field(gt=0)] | None


def penalty(weights: Iterable["Tensor"], l1: float, l2: float) -> "Tensor | float":
    """l1·Σ|w| + (l2/2)·Σw². Its gradient is l1·sign(w) + l2·w."""
    cost: Tensor | float = 0.0
    for w in weights:
        if l1:
            cost = cost + l1 * w.abs().sum()
        if l2:
            cost = cost + l2 / 2 * w.square().sum()
    return cost


def limit_norm(weights: Iterable["Tensor"], max_norm: float) -> None:
    """Scales the weights into each unit down, in place, to a norm of at most `max_norm`.

    A weight has shape (units, ...): dimension 0 numbers the units.
    """
    for w in weights:
        norm = w.flatten(1).norm(dim=1).clamp(min=max_norm)
        w.mul_((max_norm / norm).view(-1, *(1,) * (w.dim() - 1)))
