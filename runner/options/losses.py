"""The cost of a mini-batch without regularisation, C₀: a mean over examples.

`outputs` has shape (batch, outputs): the last layer's z, before any activation. `targets` are the classes'
numbers, (batch,), or values, (batch, outputs) or (batch,).
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from runner.options.option import Option
from runner.options.registry import group, option

if TYPE_CHECKING:
    from torch import Tensor

Target = Literal["class", "fraction", "value"]  # a class's number, a value in [0, 1], any value


@group("loss")
class Loss(Option):
    """C₀ of outputs and targets.

    Attributes:
        targets: What it can be held to.
    """

    targets: ClassVar[tuple[Target, ...]] = ("class",)

    name: str

    @abstractmethod
    def __call__(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """C₀, a number: the mean over the batch."""

    @abstractmethod
    def activation(self, outputs: "Tensor") -> "Tensor":
        """a, what the network answers."""

    def probabilities(self, outputs: "Tensor") -> "Tensor":
        """Of the classes, (batch, classes), each row summing to 1; where the targets are classes."""
        return self.activation(outputs)


@option("loss")
class CrossEntropy(Loss):
    """−log a_y with a = softmax(z), y the right class. At random weights it is about log(classes)."""

    name: Literal["cross_entropy"]

    def __call__(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets)

    def activation(self, outputs: "Tensor") -> "Tensor":
        return outputs.softmax(dim=-1)


@option("loss")
class SigmoidCrossEntropy(Loss):
    """−Σ_j (y_j log a_j + (1 − y_j) log(1 − a_j)) with a = σ(z), summed over outputs.

    Nielsen 2015, chapter 3, http://neuralnetworksanddeeplearning.com/chap3.html.
    """

    targets = ("class", "fraction")
    name: Literal["sigmoid_cross_entropy"]

    def __call__(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        from torch.nn.functional import binary_cross_entropy_with_logits

        y = as_vectors(targets, outputs)
        return binary_cross_entropy_with_logits(outputs, y, reduction="sum") / len(outputs)

    def activation(self, outputs: "Tensor") -> "Tensor":
        return outputs.sigmoid()

    def probabilities(self, outputs: "Tensor") -> "Tensor":
        return normalised_sigmoid(outputs)


@option("loss")
class Quadratic(Loss):
    """½‖a − y‖² with a = σ(z): the cost whose gradient vanishes where an output saturates.

    Nielsen 2015, chapter 1, http://neuralnetworksanddeeplearning.com/chap1.html.
    """

    targets = ("class", "fraction")
    name: Literal["quadratic"]

    def __call__(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        difference = outputs.sigmoid() - as_vectors(targets, outputs)
        return difference.square().sum() / (2 * len(outputs))

    def activation(self, outputs: "Tensor") -> "Tensor":
        return outputs.sigmoid()

    def probabilities(self, outputs: "Tensor") -> "Tensor":
        return normalised_sigmoid(outputs)


@option("loss")
class MeanSquaredError(Loss):
    """‖z − y‖²/n over the n outputs, which are linear: a = z.

    Bishop 2006, §3.1.1, https://www.microsoft.com/en-us/research/people/cmbishop/prml-book/.
    """

    targets = ("fraction", "value")
    name: Literal["mean_squared_error"]

    def __call__(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        return (outputs - as_vectors(targets, outputs)).square().mean()

    def activation(self, outputs: "Tensor") -> "Tensor":
        return outputs


def as_vectors(targets: "Tensor", outputs: "Tensor") -> "Tensor":
    """The targets in the outputs' shape (batch, outputs) and type; a class's number as 1 in its place."""
    import torch

    if targets.is_floating_point():
        return targets.reshape(outputs.shape).to(outputs.dtype)
    classes = torch.arange(outputs.shape[1], device=outputs.device)
    return (targets[:, None] == classes).to(outputs.dtype)


def normalised_sigmoid(outputs: "Tensor") -> "Tensor":
    """σ(z) scaled to sum to 1 over classes, so that the outputs can be averaged as probabilities."""
    from torch.nn.functional import logsigmoid

    return logsigmoid(outputs).softmax(dim=1)
