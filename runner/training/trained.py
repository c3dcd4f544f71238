"""A trained network out of its run folder: raw images in, predictions out.

Reading one changes no file, and needs no data set where the checkpoint says what the network takes.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runner.config.schema import Config
from runner.data import examples
from runner.data.inputs import Inputs
from runner.errors import DataError, one_line
from runner.options.losses import Loss
from runner.options.task import Task
from runner.runs.folder import RunFolder
from runner.training.facts import facts_of

BATCH = 500


class TrainedNetwork(nn.Module):
    """The network of a run, with what it does to the images that it takes.

    Args:
        network: From inputs (n, channels, height, width) to outputs (n, outputs).
        task, loss: Say what the outputs stand for.
        inputs: The images that it was trained on.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, task: Task, loss: Loss, inputs: Inputs) -> None:
        super().__init__()
        self.network = network
        self.task = task
        self.loss = loss
        self.inputs = inputs
        self.register_buffer("scale", inputs.scale)
        self.register_buffer("shift", inputs.shift)

    def scaled(self, images: Tensor) -> Tensor:
        """What the bare network gets of images (n, channels, height, width) in the units of the data set."""
        return images.float() * self.scale + self.shift

    def outputs(self, images: Tensor) -> Tensor:
        """Of such images what the network puts out before any activation, (n, outputs)."""
        outputs: Tensor = self.network(self.scaled(images))
        return outputs

    def forward(self, images: Tensor) -> Tensor:
        """Of such images what the task says: probabilities (n, classes), values (n,) or images."""
        return self.task.answers(self.loss, self.outputs(images), self.inputs.facts)


def trained_network(folder: RunFolder) -> TrainedNetwork:
    """The network of a run in eval mode, with the weights that the run's `select` chooses.

    Raises:
        DataError: There is no run, or none that has finished an epoch; or its checkpoint is of another network.
        CheckpointError: The checkpoint is damaged.
    """
    config = folder.config()
    if config is None:
        raise DataError(f"{folder}: no run in this folder")
    checkpoint = folder.checkpoints.peek()
    if checkpoint is None:
        raise DataError(f"{folder}: {folder.status}, no checkpoint yet")
    best = config.select == "best"
    try:
        inputs = inputs_of(checkpoint, config)
        outputs = config.task.num_outputs(inputs.facts)
        network = config.architecture.build(inputs.shape, outputs, config.regularizer)
        network.load_state_dict((checkpoint["best"] if best else checkpoint)["state_dict"])
    except (KeyError, RuntimeError, TypeError, DataError) as error:
        where = folder.checkpoints.path / "last.ckpt"
        raise DataError(f"{where}: not of the run in config.yaml: {one_line(error)}") from None
    return TrainedNetwork(network, config.task, config.loss, inputs).eval()


def inputs_of(checkpoint: dict[str, Any], config: Config) -> Inputs:
    """What a network takes; for a checkpoint of version 0.2 or older read off its data set."""
    if "inputs" in checkpoint:
        return Inputs.read(checkpoint["inputs"])
    return Inputs.of(examples.load(config.data), facts_of(config.data))


@torch.inference_mode()
def predict(network: TrainedNetwork, images: Any) -> np.ndarray:
    """What a network says of raw images, float32; see `as_images` for what these may be."""
    batch = as_images(images, network.inputs)
    device = network.scale.device
    parts = [network(part.to(device)).cpu() for part in batch.split(BATCH)]
    return torch.cat(parts).numpy()


def as_images(images: Any, inputs: Inputs) -> Tensor:
    """Images as a network takes them, (n, channels, height, width).

    Args:
        images: An array, tensor or list of n images in the units of the data set: (n, channels, height, width),
            (n, height, width) where there is one channel, or flat, (n, channels·height·width).
        inputs: What the network takes.

    Raises:
        ValueError: They have another shape, or values that are no numbers.
    """
    channels, height, width = inputs.shape
    array = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if array.dtype.kind not in "buif":
        raise ValueError(f"images must be numbers, found {array.dtype}")
    shapes = [(channels, height, width), (channels * height * width,)]
    if channels == 1:
        shapes.insert(1, (height, width))
    if array.shape[1:] not in shapes:
        raise ValueError(unfit(array.shape, shapes))
    array = array if array.dtype == np.uint8 else array.astype(np.float32)
    if not len(array):
        raise ValueError("no images")
    if not np.isfinite(array).all():
        raise ValueError("images hold values that are not finite")
    if inputs.bytes and inputs.white > 1 and array.dtype != np.uint8 and 0 < array.max() <= 1:
        raise ValueError(
            f"images go up to {array.max():g}, and the network was trained on values from 0 to"
            f" {inputs.white:g}: it takes pixels as they are stored and scales them by itself"
        )
    return torch.from_numpy(array.copy()).reshape(-1, channels, height, width)


def unfit(found: tuple[int, ...], shapes: list[tuple[int, ...]]) -> str:
    """Why images of this shape cannot be taken, and what is meant by them most likely."""
    wanted = " or ".join(f"(n, {', '.join(map(str, shape))})" for shape in shapes)
    channels, height, width = shapes[0]
    hint = ""
    if found in shapes:
        hint = "; of a single image make images[None]"
    elif found[1:] == (height, width, channels):
        hint = "; the channels come first: images.transpose(0, 3, 1, 2)"
    return f"images must have shape {wanted}, found {found}{hint}"
