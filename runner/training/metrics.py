"""The metrics of a split, computed once an epoch from all of its logits."""

from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy

from runner.options.losses import Loss


def split_metrics(split: str, loss: Loss, logits: Tensor, targets: Tensor) -> dict[str, float]:
    """`<split>/loss`, which is C₀ without the penalty, and `<split>/accuracy` in [0, 1]; for the test
    split also `test/error`, 1 − accuracy.

    Args:
        split: train, val or test.
        loss: C₀.
        logits: (n, classes).
        targets: (n,).
    """
    accuracy = multiclass_accuracy(
        logits, targets, logits.shape[1], average="micro", validate_args=False
    )
    return named(split, loss(logits, targets).item(), accuracy.item())


def named(split: str, loss: float, accuracy: float) -> dict[str, float]:
    # float32 has seven decimals: 0.98 shall not be told as 0.9800000190734863.
    share = round(accuracy, 7)
    metrics = {f"{split}/loss": loss, f"{split}/accuracy": share}
    return metrics | ({"test/error": round(1 - share, 7)} if split == "test" else {})
