"""What is measured of outputs, over a first axis of runs.

Shape suffixes: R runs, N examples, K outputs. Targets are (runs, n, ...), or (n, ...) where all runs have the
same.
"""

import torch
from torch import Tensor
from torch.func import vmap

from runner.options.losses import Loss

CHUNK = 16  # runs whose losses are computed at once: the outputs of an epoch are copied for it


def mean_loss(loss: Loss, outputs_RNK: Tensor, targets: Tensor) -> Tensor:
    """C₀ without the penalty: (runs,)."""
    dims = (0, 0 if len(targets.shape) == 2 else None)
    loss_R: Tensor = vmap(loss, in_dims=dims, chunk_size=CHUNK)(outputs_RNK, targets)
    return loss_R


def loss_of_each(loss: Loss, outputs_RNK: Tensor, targets_RNK: Tensor) -> Tensor:
    """C₀ of every single example: (runs, n)."""

    def of_one(z: Tensor, y: Tensor) -> Tensor:
        return loss(z[None], y[None])

    loss_RN: Tensor = vmap(vmap(of_one))(outputs_RNK, targets_RNK)
    return loss_RN


def accuracy(outputs_RNK: Tensor, targets: Tensor) -> Tensor:
    """The share of examples whose class has the largest output, in [0, 1]: (runs,)."""
    return (outputs_RNK.argmax(2) == targets).float().mean(1)


def mean_absolute_error(values_RN: Tensor, targets: Tensor) -> Tensor:
    """Σ|a − y|/n: (runs,)."""
    return (values_RN - targets).abs().mean(1)


def root_mean_squared_error(values_RN: Tensor, targets: Tensor) -> Tensor:
    """√(Σ(a − y)²/n): (runs,)."""
    return (values_RN - targets).square().mean(1).sqrt()


def coefficient_of_determination(values_RN: Tensor, targets: Tensor) -> Tensor:
    """R² = 1 − Σ(a − y)²/Σ(y − ȳ)², at most 1; 0 for the mean of the targets: (runs,).

    Not finite where all targets are the same.
    """
    deviations = targets - targets.mean(-1, keepdim=True)
    unexplained = (values_RN - targets).square().sum(1)
    return 1 - unexplained / deviations.square().sum(-1)


def peak_signal_to_noise_ratio(mean_squared_error: Tensor, peak: float) -> Tensor:
    """10·log₁₀(peak²/mse) in decibels; `peak` is the largest difference of two values."""
    return 10 * torch.log10(peak**2 / mean_squared_error)


def confusion_matrix(predicted_N: Tensor, targets_N: Tensor, classes: int) -> Tensor:
    """How many examples of each class, in rows, were taken for each, in columns: (classes, classes)."""
    counts = torch.bincount(targets_N * classes + predicted_N, minlength=classes**2)
    return counts.view(classes, classes)


def class_scores(confusion: Tensor) -> dict[str, list[float | None]]:
    """precision, recall, f1 and support, the number of examples, of every class.

    precision = right/taken for it; recall = right/examples of it; f1 = 2·right/(taken for it + examples of
    it). None where nothing is there to be divided by.
    """
    right, taken, support = confusion.diag(), confusion.sum(0), confusion.sum(1)

    def shares(numerator: Tensor, denominator: Tensor) -> list[float | None]:
        pairs = zip(numerator.tolist(), denominator.tolist(), strict=True)
        return [round(a / b, 7) if b else None for a, b in pairs]

    return {
        "precision": shares(right, taken),
        "recall": shares(right, support),
        "f1": shares(2 * right, taken + support),
        "support": support.tolist(),
    }
