"""A trained network tested on a data set, its own or another."""

import torch

from runner.data.examples import Dataset
from runner.data.inputs import Inputs
from runner.errors import DataError
from runner.training.metrics import loss_and_accuracy, named
from runner.training.trained import BATCH, TrainedNetwork


@torch.inference_mode()
def evaluate(network: TrainedNetwork, data: Dataset) -> dict[str, float]:
    """The metrics of a network on the test split of a data set, by name.

    Raises:
        DataError: The data have another shape or other classes than those it was trained on.
    """
    known, found = described(network.inputs), described(Inputs.of(data))
    for own, other in zip(known, found, strict=True):
        if own != other:
            raise DataError(f"the network was trained on {own}, these data have {other}")
    logits = torch.cat([network.outputs(part) for part in data.test.images.split(BATCH)])
    measured = loss_and_accuracy(network.loss, logits[None], data.test.targets)
    return named("test", *measured[:, 0].tolist())


def described(inputs: Inputs) -> list[str]:
    """What data must have in common with those that a network was trained on."""
    names = inputs.class_names
    return [
        f"images of {'×'.join(map(str, inputs.shape))}",
        "values, not classes" if names is None else f"{len(names)} classes",
        "bytes" if inputs.bytes else "floats",
    ]
