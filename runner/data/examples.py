"""Data sets as tensors in memory, their splits, and the batches of an epoch by (seed, epoch) alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from runner.data.resplit import resplit
from runner.errors import DataError
from runner.options.data import Data

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from runner.data.formats import Raw


@dataclass(frozen=True)
class Split:
    """Images (n, channels, height, width) and what is known of each.

    Images are uint8, or float32 where features are not bytes. Targets are the number of each one's
    class, (n,) int64, or values, (n,) float32, where the data have no classes.
    """

    images: "Tensor"
    targets: "Tensor"

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Dataset:
    """Three splits, and the map from a stored image to a network's input: image·scale + shift.

    `class_names` is None where the targets are values. `scale` and `shift` are float32 and have shape () or (channels, height, width).
    """

    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...] | None
    scale: "Tensor"
    shift: "Tensor"
    augment: bool

    @property
    def classes(self) -> int:
        """How many classes there are."""
        assert self.class_names is not None
        return len(self.class_names)

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def inputs(self, images: "Tensor") -> "Tensor":
        """uint8 images as float32 inputs of the same shape."""
        return images.float().mul_(self.scale).add_(self.shift)

    def to(self, device: "torch.device") -> "Dataset":
        """The same on a device; splits that would fill over half of its free memory stay behind."""
        import torch

        splits = {name: getattr(self, name) for name in ("train", "val", "test")}
        size = sum(split.images.nbytes for split in splits.values())
        if device.type != "cuda" or size < torch.cuda.mem_get_info(device)[0] / 2:
            for name, split in splits.items():
                splits[name] = Split(split.images.to(device), split.targets.to(device))
        return replace(self, **splits, scale=self.scale.to(device), shift=self.shift.to(device))


def epoch_order(data: Dataset, seed: int, epoch: int) -> "Tensor":
    """The order of the training examples in an epoch: a permutation (n,), by seed and epoch alone."""
    import torch

    from runner.randomness import generator

    return torch.randperm(len(data.train), generator=generator(seed, "order", epoch))


def epoch_crops(data: Dataset, seed: int, epoch: int) -> "Tensor":
    """Where each image of an epoch is cropped and whether it is mirrored, (n, 3): see `crop_flip`."""
    import torch

    from runner.randomness import generator

    _, height, width = data.shape
    limits = torch.tensor([2 * (height // 8) + 1, 2 * (width // 8) + 1, 2])
    draws = torch.rand(len(data.train), 3, generator=generator(seed, "augment", epoch))
    return (draws * limits).long()


def batch(data: Dataset, examples: "Tensor", crops: "Tensor | None") -> "tuple[Tensor, Tensor]":
    """Inputs (runs, batch, channels, height, width) float32 and targets (runs, batch) int64.

    Args:
        data: Its training split is used.
        examples: Numbers of the training examples, (runs, batch).
        crops: As `crop_flip` takes them, (runs, batch, 3); None leaves the images as they are.
    """
    device = data.scale.device
    numbers = examples.flatten()
    images = data.train.images.index_select(0, numbers)
    if crops is not None:
        images = crop_flip(images, crops.flatten(0, 1))
    targets = data.train.targets.index_select(0, numbers).view(examples.shape)
    inputs = data.inputs(images.to(device))
    return inputs.unflatten(0, examples.shape), targets.to(device)


def crop_flip(images: "Tensor", crops: "Tensor") -> "Tensor":
    """Moves each image by up to an eighth of its size, filled with zeros, and mirrors some.

    Args:
        images: (n, channels, height, width).
        crops: (n, 3) int64: the crop's top and left corner in the padded image, and 1 to mirror.
    """
    import torch
    from torch.nn.functional import pad

    n, channels, height, width = images.shape
    dy, dx = height // 8, width // 8
    top, left, mirrored = crops[:, 0, None], crops[:, 1, None], crops[:, 2, None]
    rows = top + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    columns = left + torch.where(mirrored == 1, width - 1 - columns, columns)
    example = torch.arange(n, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    padded = pad(images, (dx, dx, dy, dy))
    return padded[example, channel, rows[:, None, :, None], columns[:, None, None, :]]


def slices(n: int, size: int) -> Iterator[slice]:
    """[0, n) in pieces of at most `size`."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


@cache
def load(data: Data) -> Dataset:
    """Reads (or downloads) a data set and splits it; the same settings share one copy.

    Raises:
        DataError: A file is missing or damaged, or the settings leave nothing to train on.
    """
    raw = _read(data.name, data.root)
    if data.split_seed is not None:
        raw = resplit(raw, data.split_seed)
    n = len(raw.train_labels)
    if data.val_size >= n:
        raise DataError(
            f"data.val_size={data.val_size} leaves no training examples: {data.name} has {n} for"
            " training and validation"
        )
    train = _keep(
        raw.train_images[: n - data.val_size], raw.train_labels[: n - data.val_size], data
    )
    val = _keep(raw.train_images[n - data.val_size :], raw.train_labels[n - data.val_size :], data)
    test = _keep(raw.test_images, raw.test_labels, data)
    train = _subset(train, data.train_size)
    for name, split in (("training", train), ("validation", val), ("test", test)):
        if len(split) == 0:
            raise DataError(f"data.classes={list(data.classes or ())} leaves no {name} examples")
    scale, shift = _standardization(train.images, raw.maximum, data.standardize)
    numbers = data.classes or range(int(raw.train_labels.max()) + 1)
    names = tuple(str(number) for number in numbers)
    return Dataset(train, val, test, names, scale, shift, augment=data.augment == "crop_flip")


@cache
def _read(name: str, root: str | None) -> "Raw":
    from runner.data.files import load_raw

    return load_raw(name, root)


def _keep(images: "np.ndarray", labels: "np.ndarray", data: Data) -> Split:
    """The examples of the wanted classes, their labels renumbered from 0."""
    import torch

    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    if not data.classes:
        return Split(x, y)
    matches = y[:, None] == torch.tensor(data.classes)
    kept = matches.any(dim=1)
    return Split(x[kept], matches[kept].int().argmax(dim=1))


def _subset(train: Split, size: float) -> Split:
    """The first `size` examples (a number, or a fraction if not an integer), classes in turns."""
    import torch

    count = size if isinstance(size, int) else max(1, round(size * len(train)))
    if count >= len(train):
        if isinstance(size, int) and count > len(train):
            raise DataError(
                f"data.train_size={size}: only {len(train)} examples are left to train on"
            )
        return train
    rank = torch.zeros_like(train.targets)
    for label in range(int(train.targets.max()) + 1):
        of_class = train.targets == label
        rank[of_class] = torch.arange(int(of_class.sum()))
    first = torch.argsort(rank, stable=True)[:count]
    return Split(train.images[first], train.targets[first])


def _standardization(images: "Tensor", maximum: int, kind: str) -> "tuple[Tensor, Tensor]":
    """Scale and shift, from the training images (n, channels, height, width) alone."""
    import torch

    if kind == "none":
        return torch.tensor(1 / maximum), torch.tensor(0.0)
    total = torch.zeros(images.shape[1:], dtype=torch.float64)
    squares = total.clone()
    # In pieces: a float64 copy of all of MNIST would fill 380 MB.
    for piece in images.split(1000):
        total += piece.double().sum(dim=0)
        squares += piece.double().square().sum(dim=0)
    # Divided once, and so exact where a pixel never changes: its variance is 0, not 1e-14.
    mean, square = total / len(images), squares / len(images)
    if kind == "global":
        mean, square = mean.mean(), square.mean()
    std = (square - mean.square()).clamp(min=0).sqrt()
    # A pixel that never changes has no spread to divide by: it becomes 0.
    std = torch.where(std > 0, std, 1.0)
    return (1 / std).float(), (-mean / std).float()
