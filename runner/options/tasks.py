"""The tasks: classification, regression, and reconstruction with or without noise.

Shape suffixes: R runs, B examples of a batch, N examples of a split or an epoch, K outputs, M numbers.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from runner.options.architectures import Architecture
from runner.options.losses import Loss
from runner.options.option import NonNegative
from runner.options.registry import option
from runner.options.task import SHOWN, Evaluated, Facts, Findings, Metric, Task

if TYPE_CHECKING:
    from torch import Tensor

MAX_CLASSES = 100  # of a confusion matrix in result.json


@option("task")
class Classification(Task):
    """Which of several classes an example belongs to: an output for each class."""

    targets = ("class",)
    metrics = (Metric("loss"), Metric("accuracy", higher_is_better=True, percent=True))
    tested = (Metric("error", percent=True),)
    criterion = "accuracy"
    pictures: ClassVar[Mapping[str, str]] = {
        "confusion_matrix": "Confusion matrix: a row for each class, a column for what its examples were taken for.",
        "mistakes": "The mistakes of which the network was most sure.",
    }

    name: Literal["classification"]

    def misfits(self, facts: Facts, loss: Loss) -> Iterator[str]:
        if facts.class_names is None:
            yield f"task=classification: data={facts.data} has values, no classes; task=regression"

    def num_outputs(self, facts: Facts) -> int:
        assert facts.class_names is not None
        return len(facts.class_names)

    def measure(self, loss: Loss, kept_RNM: "Tensor", targets: "Tensor", facts: Facts) -> "Tensor":
        import torch

        from runner.options.metrics import accuracy, mean_loss

        return torch.stack([mean_loss(loss, kept_RNM, targets), accuracy(kept_RNM, targets)])

    def also_tested(self, metrics: dict[str, float]) -> dict[str, float]:
        return {"error": round(1 - metrics["accuracy"], 7)}

    def answers(self, loss: Loss, outputs_NK: "Tensor", facts: Facts) -> "Tensor":
        return loss.probabilities(outputs_NK)

    def findings(self, evaluated: Evaluated) -> Findings:
        """Probabilities; the confusion matrix, the scores of each class, and the most confident mistakes."""
        import numpy as np

        from runner.options.metrics import class_scores, confusion_matrix
        from runner.options.pictures import are_pictures, drawn_matrix, gallery

        names = evaluated.facts.class_names
        assert names is not None
        probabilities, labels = evaluated.answers, evaluated.targets
        predicted = probabilities.argmax(1)
        confusion = confusion_matrix(predicted, labels, len(names))
        scores = class_scores(confusion)
        few = len(names) <= MAX_CLASSES
        found = Findings(
            arrays={
                "probabilities": probabilities.numpy(),
                "labels": labels.numpy(),
                "class_names": np.array(names, dtype=str),
            },
            scores={
                "per_class": [
                    {"name": name, **{key: values[n] for key, values in scores.items()}}
                    for n, name in enumerate(names)
                ]
                if few
                else None,
                "confusion_matrix": confusion.tolist() if few else None,
            },
        )
        if few:
            found.pictures["confusion_matrix"] = drawn_matrix(confusion.numpy(), names)
        confidence = probabilities.amax(1).where(predicted != labels, -1.0)
        worst = confidence.argsort(descending=True, stable=True)[:SHOWN]
        worst = worst[confidence[worst] >= 0]
        if len(worst) and are_pictures(evaluated.facts.shape):
            captions = [
                (f"said {names[predicted[i]]} ({confidence[i]:.0%})", f"is {names[labels[i]]}")
                for i in worst.tolist()
            ]
            found.pictures["mistakes"] = gallery(evaluated.images[worst].numpy(), captions)
        return found


@option("task")
class Regression(Task):
    """A value for each example: one output.

    The network learns (y − μ)/σ, with the mean and the standard deviation of the training targets, so that the
    same η serves for all units. The loss is measured there; all else in the units of the data.
    """

    targets = ("value",)
    metrics = (
        Metric("loss"),
        Metric("mae"),
        Metric("rmse"),
        Metric("r2", higher_is_better=True),
    )
    criterion = "rmse"
    pictures: ClassVar[Mapping[str, str]] = {
        "predictions": "A point for each example; on the line the prediction is the target."
    }

    name: Literal["regression"]

    def problems(self, architecture: Architecture, loss: Loss) -> Iterator[str]:
        yield from super().problems(architecture, loss)
        yield from ends_in_classes("regression", architecture)

    def misfits(self, facts: Facts, loss: Loss) -> Iterator[str]:
        if facts.class_names is not None:
            found = f"data={facts.data} has {len(facts.class_names)} classes, no values"
            yield f"task=regression: {found}; data.target_kind=values (csv, npz), or task=classification"

    def num_outputs(self, facts: Facts) -> int:
        return 1

    def examples(
        self, inputs: "Tensor", targets: "Tensor", noise: "Tensor | None", facts: Facts
    ) -> "tuple[Tensor, Tensor]":
        return inputs, (targets - facts.mean) / facts.spread

    def measure(self, loss: Loss, kept_RNM: "Tensor", targets: "Tensor", facts: Facts) -> "Tensor":
        import torch

        from runner.options import metrics

        values_RN = kept_RNM[..., 0] * facts.spread + facts.mean
        _, learnt = self.examples(kept_RNM, targets, None, facts)
        return torch.stack(
            [
                metrics.mean_loss(loss, kept_RNM, learnt),
                metrics.mean_absolute_error(values_RN, targets),
                metrics.root_mean_squared_error(values_RN, targets),
                metrics.coefficient_of_determination(values_RN, targets),
            ]
        )

    def answers(self, loss: Loss, outputs_NK: "Tensor", facts: Facts) -> "Tensor":
        return loss.activation(outputs_NK)[:, 0] * facts.spread + facts.mean

    def findings(self, evaluated: Evaluated) -> Findings:
        """The predictions, and a picture of them against the targets."""
        from runner.options.pictures import drawn_points

        arrays = {"predictions": evaluated.answers.numpy(), "targets": evaluated.targets.numpy()}
        points = drawn_points(arrays["targets"], arrays["predictions"])
        return Findings(arrays, pictures={"predictions": points})


@option("task")
class Reconstruction(Task):
    """The input itself, from the input or from a corrupted one: an output for each pixel and channel.

    x̃ is what the network gets of the clean x, which it is held to (Vincent et al. 2010, §5.3,
    https://jmlr.org/papers/v11/vincent10a.html):

        gaussian          x̃ = x + level·ε, with ε ~ N(0, 1) for each pixel
        masking           a share `level` of the pixels becomes 0
        salt_and_pepper   a share `level` becomes the smallest or the largest value, each half the time

    In training the noise is drawn anew in every epoch; validation and test have the same noise in every
    epoch, which the seed decides. mse is measured between x and the network's answer a, and
    psnr = 10·log₁₀(peak²/mse), with a peak of 1 where inputs lie in [0, 1], else of their range.

    Attributes:
        noise: How inputs are corrupted.
        level: How much: a standard deviation, or a share of at most 1. 0 without noise.
    """

    targets = ("fraction", "value")
    metrics = (Metric("loss"), Metric("mse"), Metric("psnr", higher_is_better=True))
    criterion = "psnr"
    pictures: ClassVar[Mapping[str, str]] = {
        "reconstructions": "Inputs, what the network got of them, and what it made of that."
    }

    name: Literal["reconstruction"]
    noise: Literal["none", "gaussian", "masking", "salt_and_pepper"]
    level: NonNegative

    @property
    def draws(self) -> bool:
        return self.noise != "none"

    def problems(self, architecture: Architecture, loss: Loss) -> Iterator[str]:
        yield from super().problems(architecture, loss)
        yield from ends_in_classes("reconstruction", architecture)
        if self.noise == "none" and self.level:
            yield (
                f"task.level={self.level:g} does nothing with task.noise=none;"
                " task.noise=gaussian, masking or salt_and_pepper, or task.level=0.0"
            )
        if self.noise != "none" and not self.level:
            yield f"task.noise={self.noise} needs task.level above 0, or task.noise=none"
        if self.noise in ("masking", "salt_and_pepper") and self.level > 1:
            yield f"task.level={self.level:g}: with task.noise={self.noise} a share, at most 1"

    def misfits(self, facts: Facts, loss: Loss) -> Iterator[str]:
        if "value" not in loss.targets and not within_unit(facts):
            yield (
                f"loss={loss.name}: its outputs lie in [0, 1], but the inputs to"
                f" reconstruct between {facts.low:.3g} and {facts.high:.3g};"
                " loss=mean_squared_error, or for pixels data.standardize=none"
            )

    def num_outputs(self, facts: Facts) -> int:
        channels, height, width = facts.shape
        return channels * height * width

    def examples(
        self, inputs: "Tensor", targets: "Tensor", noise: "Tensor | None", facts: Facts
    ) -> "tuple[Tensor, Tensor]":
        clean = inputs.flatten(-3)
        if noise is None:
            return inputs, clean
        return self.corrupted(inputs, noise, facts), clean

    def corrupted(self, inputs: "Tensor", noise: "Tensor", facts: Facts) -> "Tensor":
        """x̃ of x; `noise` is uniform in (−1, 1)."""
        import torch

        if self.noise == "gaussian":
            return inputs + self.level * 2**0.5 * torch.erfinv(noise)
        below = 2 * self.level - 1  # a share `level` of the noise
        if self.noise == "masking":
            return inputs.masked_fill(noise < below, 0.0)
        salted = inputs.masked_fill(noise < below, facts.high)
        return salted.masked_fill(noise < self.level - 1, facts.low)

    def num_kept(self, facts: Facts) -> int:
        return 2

    def kept(self, loss: Loss, outputs_RBK: "Tensor", targets: "Tensor") -> "Tensor":
        """The loss and the squared error of each example: its outputs would fill the memory."""
        import torch

        from runner.options.metrics import loss_of_each

        outputs_RBK = outputs_RBK.float()
        targets_RBK = targets.expand_as(outputs_RBK)
        error = loss.activation(outputs_RBK) - targets_RBK
        losses = loss_of_each(loss, outputs_RBK, targets_RBK)
        return torch.stack([losses, error.square().mean(2)], dim=2)

    def measure(self, loss: Loss, kept_RNM: "Tensor", targets: "Tensor", facts: Facts) -> "Tensor":
        import torch

        from runner.options.metrics import peak_signal_to_noise_ratio

        mean_loss, error = kept_RNM.mean(1).unbind(1)
        peak = 1.0 if within_unit(facts) else facts.high - facts.low
        return torch.stack([mean_loss, error, peak_signal_to_noise_ratio(error, peak)])

    def answers(self, loss: Loss, outputs_NK: "Tensor", facts: Facts) -> "Tensor":
        return loss.activation(outputs_NK).reshape(-1, *facts.shape)

    def findings(self, evaluated: Evaluated) -> Findings:
        """Reconstructions, in half precision, and a picture of some: input, corrupted input, output."""
        import numpy as np

        from runner.options.pictures import are_pictures, drawn_rows

        found = Findings({"reconstructions": evaluated.answers.numpy().astype(np.float16)})
        if are_pictures(evaluated.facts.shape):
            rows = {
                "input": evaluated.clean,
                "corrupted": evaluated.inputs,
                "output": evaluated.answers,
            }
            if not self.draws:
                del rows["corrupted"]
            shown = {name: images[:SHOWN].numpy() for name, images in rows.items()}
            ends = evaluated.facts.low, evaluated.facts.high
            found.pictures["reconstructions"] = drawn_rows(shown, ends)
        return found


def within_unit(facts: Facts) -> bool:
    """Whether inputs lie in [0, 1], as pixels do that are not standardized."""
    return facts.low >= 0 and facts.high <= 1


def ends_in_classes(task: str, architecture: Architecture) -> Iterator[str]:
    """Why an architecture whose last layer is made for classes cannot be used."""
    if architecture.classifies:
        yield f"architecture={architecture.name} ends in a map for each class; task={task}: architecture=mlp or convnet"
