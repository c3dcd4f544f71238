"""A trained network tested on a data set, its own or another."""

import torch

from runner.data.examples import Dataset, slices
from runner.errors import DataError
from runner.options.task import Facts
from runner.training.metrics import named
from runner.training.noise import Noise
from runner.training.trained import BATCH, TrainedNetwork


@torch.inference_mode()
def evaluate(network: TrainedNetwork, data: Dataset, facts: Facts, seed: int) -> dict[str, float]:
    """The metrics of a network on the test split of a data set, by name.

    Args:
        network: Of a run.
        data: Its own or others.
        facts: Of these data.
        seed: Of the run: the noise of its task follows from it.

    Raises:
        DataError: The data have another shape or other classes than those it was trained on.
    """
    known = described(network.inputs.facts, network.inputs.bytes)
    found = described(facts, data.test.images.dtype == torch.uint8)
    for own, other in zip(known, found, strict=True):
        if own != other:
            raise DataError(f"the network was trained on {own}, these data have {other}")
    task, loss, own_facts = network.task, network.loss, network.inputs.facts
    noise = Noise([seed], facts.shape, data.scale.device) if task.draws else None
    kept = []
    for part in slices(len(data.test), BATCH):
        numbers = torch.arange(part.start, part.stop)[None]
        inputs, targets = task.examples(
            network.scaled(data.test.images[part])[None],
            data.test.targets[part][None],
            noise.of(numbers, fixed=True) if noise else None,
            own_facts,
        )
        kept.append(task.kept(loss, network.network(inputs[0])[None], targets))
    measured = task.measure(loss, torch.cat(kept, dim=1).float(), data.test.targets, own_facts)
    return named("test", task, measured[:, 0].tolist())


def described(facts: Facts, bytes: bool) -> list[str]:
    """What data must have in common with those that a network was trained on."""
    names = facts.class_names
    return [
        f"images of {'×'.join(map(str, facts.shape))}",
        "values, not classes" if names is None else f"{len(names)} classes",
        "bytes" if bytes else "floats",
    ]
