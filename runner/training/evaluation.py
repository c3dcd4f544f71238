"""A trained network tested on a data set, its own or another."""

import torch

from runner.data.examples import Dataset, slices
from runner.data.inputs import Inputs
from runner.errors import DataError
from runner.training.metrics import named
from runner.training.noise import Noise
from runner.training.trained import BATCH, TrainedNetwork


@torch.inference_mode()
def evaluate(network: TrainedNetwork, data: Dataset, seed: int) -> dict[str, float]:
    """The metrics of a network on the test split of a data set, by name.

    Args:
        network: Of a run.
        data: Its own, or others.
        seed: Of the run: the noise of a task that corrupts inputs follows from it.

    Raises:
        DataError: The data have another shape or other classes than those it was trained on.
    """
    known, found = described(network.inputs), described(Inputs.of(data))
    for own, other in zip(known, found, strict=True):
        if own != other:
            raise DataError(f"the network was trained on {own}, these data have {other}")
    task, loss, facts, test = network.task, network.loss, network.facts, data.test
    noise = Noise([seed], data.shape, torch.device("cpu")) if task.draws else None
    kept = []
    for part in slices(len(test), BATCH):
        numbers = torch.arange(part.start, part.stop)[None]
        drawn = noise.of(numbers, fixed=True)[0] if noise else None
        scaled = network.scaled(test.images[part])
        inputs, targets = task.examples(scaled, test.targets[part], drawn, facts)
        kept.append(task.kept(loss, network.network(inputs)[None], targets))
    measured = task.measure(loss, torch.cat(kept, dim=1).float(), test.targets, facts)
    return named("test", task, measured[:, 0].tolist())


def described(inputs: Inputs) -> list[str]:
    """What data must have in common with those that a network was trained on."""
    names = inputs.class_names
    return [
        f"images of {'×'.join(map(str, inputs.shape))}",
        "values, not classes" if names is None else f"{len(names)} classes",
        "bytes" if inputs.bytes else "floats",
    ]
