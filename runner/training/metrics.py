"""The metrics of a split, computed once an epoch from all of its logits, over a first axis of runs."""

import torch
from torch import Tensor
from torch.func import vmap
from torchmetrics.functional.classification import multiclass_accuracy

from runner.options.losses import Loss

CHUNK = 16  # runs whose losses are computed at once: the logits of an epoch are copied for it


def loss_and_accuracy(loss: Loss, logits_RNK: Tensor, targets: Tensor) -> Tensor:
    """C₀ without the penalty and the share of right answers in [0, 1]: (2, runs).

    Args:
        loss: C₀.
        logits_RNK: (runs, n, classes).
        targets: (runs, n), or (n,) where all runs have the same.
    """
    logits_RNK = logits_RNK.float()
    dims = (0, 0 if targets.dim() == 2 else None)
    loss_R = vmap(loss, in_dims=dims, chunk_size=CHUNK)(logits_RNK, targets)
    accuracy_R = multiclass_accuracy(
        logits_RNK.argmax(2),
        targets.expand(logits_RNK.shape[:2]),
        num_classes=logits_RNK.shape[2],
        average="micro",
        multidim_average="samplewise",
        validate_args=False,
    )
    return torch.stack([loss_R, accuracy_R])


def named(split: str, loss: float, accuracy: float) -> dict[str, float]:
    """`<split>/loss`, `<split>/accuracy`, and for the test split `test/error`, 1 − accuracy."""
    # float32 has seven decimals: 0.98 should not be reported as 0.9800000190734863.
    share = round(accuracy, 7)
    metrics = {f"{split}/loss": loss, f"{split}/accuracy": share}
    return metrics | ({"test/error": round(1 - share, 7)} if split == "test" else {})
