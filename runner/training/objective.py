"""What training minimises, over a first axis of runs: C = C₀ + l1·Σ|w| + (l2/2)·Σw².

C₀ is the loss of a batch, the sums are over weights only. No run's value depends on another's.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import vmap

from runner.options.losses import Loss

Penalty = Callable[[Sequence[Tensor]], Tensor]


def summed_loss(loss: Loss, outputs_RBK: Tensor, targets: Tensor) -> Tensor:
    """ΣC₀ over the runs: its gradient in a run's parameters is that of the run's own C₀.

    C₀ is a mean over examples; over those of all runs, times the runs, it is the sum.
    """
    return loss(outputs_RBK.flatten(0, 1), targets.flatten(0, 1)) * len(outputs_RBK)


def summed_penalty(penalty: Penalty, weights: Sequence[Tensor]) -> Tensor:
    """The sum over the runs of a term of the cost; each run's term is of its own weights.

    Args:
        penalty: Of one run's weights; see Regularizer.penalty.
        weights: Of each layer, (runs, ...).
    """
    terms_R: Tensor = vmap(penalty)(list(weights))
    return terms_R.sum()


def add_penalty(
    gradients: Sequence[Tensor], weights: Sequence[Tensor], l1_R: Tensor | None, l2_R: Tensor | None
) -> None:
    """Adds l1·sign(w) + l2·w, the gradient of l1·Σ|w| + (l2/2)·Σw², in place.

    Args:
        gradients: ∂C₀/∂w of each layer's weights, (runs, ...).
        weights: (runs, ...).
        l1_R, l2_R: λ₁ and λ₂ of each run; None where they are 0 in all of them.
    """
    for gradient, w in zip(gradients, weights, strict=True):
        if l1_R is not None:
            gradient.addcmul_(w.sign(), along_runs(l1_R, w))
        if l2_R is not None:
            gradient.addcmul_(w, along_runs(l2_R, w))


def limit_norms(weights: Sequence[Tensor], max_norm_R: Tensor | None) -> None:
    """Scales the weights into each unit down, in place, to a norm of at most the run's `max_norm`.

    Srivastava et al. 2014, §5.1, https://jmlr.org/papers/v15/srivastava14a.html.

    Args:
        weights: (runs, units, ...).
        max_norm_R: 0 for a run without a limit; None where no run has one.
    """
    if max_norm_R is None:
        return
    limit = max_norm_R[:, None]
    for w in weights:
        norm = w.flatten(2).norm(dim=2)
        scale = torch.where((limit > 0) & (norm > limit), limit / norm, 1.0)
        w.mul_(scale.view(*scale.shape, *(1,) * (w.dim() - 2)))


def along_runs(setting_R: Tensor, stacked: Tensor) -> Tensor:
    """A setting of each run in a shape that broadcasts against (runs, ...)."""
    return setting_R.view(-1, *(1,) * (stacked.dim() - 1))
