"""The cost of a mini-batch without regularisation, C₀: a mean over examples.

`logits` has shape (batch, classes): the last layer's z, before any output activation. `targets` has
shape (batch,): the class numbers.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

from runner.options.option import Option
from runner.options.registry import group, option

if TYPE_CHECKING:
    from torch import Tensor


@group("loss")
class Loss(Option):
    """What all losses have."""

    name: str

    @abstractmethod
    def __call__(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        """C₀, a number: the mean over the batch."""

    @abstractmethod
    def probabilities(self, logits: "Tensor") -> "Tensor":
        """What the network predicts: (batch, classes), each row summing to 1."""


@option("loss")
class CrossEntropy(Loss):
    """−log a_y with a = softmax(z), y the right class. At random weights it is about log(classes)."""

    name: Literal["cross_entropy"]

    def __call__(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits, targets)

    def probabilities(self, logits: "Tensor") -> "Tensor":
        return logits.softmax(dim=1)


@option("loss")
class SigmoidCrossEntropy(Loss):
    """−Σ_j (y_j log a_j + (1 − y_j) log(1 − a_j)) with a = σ(z), summed over outputs.

    Nielsen 2015, chapter 3, http://neuralnetworksanddeeplearning.com/chap3.html.
    """

    name: Literal["sigmoid_cross_entropy"]

    def __call__(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        from torch.nn.functional import binary_cross_entropy_with_logits

        y = one_hot(targets, logits)
        return binary_cross_entropy_with_logits(logits, y, reduction="sum") / len(logits)

    def probabilities(self, logits: "Tensor") -> "Tensor":
        return normalised_sigmoid(logits)


@option("loss")
class Quadratic(Loss):
    """½‖a − y‖² with a = σ(z): the cost whose gradient vanishes where an output saturates.

    Nielsen 2015, chapter 1, http://neuralnetworksanddeeplearning.com/chap1.html.
    """

    name: Literal["quadratic"]

    def __call__(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        difference = logits.sigmoid() - one_hot(targets, logits)
        return difference.square().sum() / (2 * len(logits))

    def probabilities(self, logits: "Tensor") -> "Tensor":
        return normalised_sigmoid(logits)


def one_hot(targets: "Tensor", logits: "Tensor") -> "Tensor":
    """The targets as vectors of the logits' shape (batch, classes) and type."""
    import torch

    classes = torch.arange(logits.shape[1], device=logits.device)
    return (targets[:, None] == classes).to(logits.dtype)


def normalised_sigmoid(logits: "Tensor") -> "Tensor":
    """σ(z) scaled to sum to 1 over classes, so that the outputs can be averaged as probabilities."""
    from torch.nn.functional import logsigmoid

    return logsigmoid(logits).softmax(dim=1)
