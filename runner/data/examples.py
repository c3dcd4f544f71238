"""Data sets as tensors in memory, their splits, and the batches of an epoch by (seed, epoch) alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from runner.data.fingerprint import computed, fingerprint
from runner.data.splits import part
from runner.errors import DataError
from runner.options.data import Data, Raw, class_numbers

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

# What does not change what is read: with these values data sets that differ in it share one copy.
SHARED_READ = {
    "classes": None, "val_size": None, "train_size": 1.0, "standardize": "none", "augment": "none",
}  # fmt: skip
TENTH = 0.1


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


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits, and the map from a stored image to a network's input: image·scale + shift.

    `class_names` is None where the targets are values. `scale` and `shift` are float32 and have shape () or
    (channels, height, width).
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
        """Stored images as float32 inputs of the same shape."""
        import torch

        return images.to(torch.float32, copy=True).mul_(self.scale).add_(self.shift)

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


def load(source: Data) -> Dataset:
    """Reads (or downloads) a data set and splits it; the same settings and files share one copy.

    Raises:
        DataError: A file is missing or damaged, or the settings leave nothing to train on.
    """
    return _load(source, fingerprint(source))


@cache
def _load(source: Data, of: str) -> Dataset:
    raw = _read(source.model_copy(update=SHARED_READ), of)
    try:
        wanted = (
            source.classes and raw.class_names and class_numbers(source.classes, raw.class_names)
        )
    except ValueError as error:
        raise DataError(f"data.classes={list(source.classes or ())}: {error}") from None
    if source.classes and raw.class_names is None:
        raise DataError(
            f"data.classes={list(source.classes)}: the targets of these data are values"
        )
    train, val, test = (_keep(*pair, wanted or []) for pair in divided(raw, source))
    train = _subset(train, source.train_size, raw.class_names is not None)
    for name, split in (("training", train), ("validation", val), ("test", test)):
        if len(split) == 0:
            raise DataError(f"data.classes={list(source.classes or ())} leaves no {name} examples")
    if source.augment == "crop_flip" and train.images.shape[2:] == (1, 1):
        raise DataError("data.augment=crop_flip: these data are no images; data.augment=none")
    scale, shift = _standardization(train.images, raw.maximum, source.standardize)
    names = raw.class_names and tuple(
        raw.class_names[number] for number in wanted or range(len(raw.class_names))
    )
    return Dataset(train, val, test, names, scale, shift, augment=source.augment == "crop_flip")


@cache
def _read(source: Data, of: str) -> Raw:
    """Reads the files, which are still those of the fingerprint that the runs are known by."""
    raw = source.read()
    if computed(source) != of:
        places = ", ".join(
            str(getattr(source, key)) for key in source.places if getattr(source, key)
        )
        raise DataError(
            f"data.name={source.name} {places}: changed while it was read; run it again"
        )
    return raw


def divided(raw: Raw, source: Data) -> "list[tuple[np.ndarray, np.ndarray]]":
    """Images and targets for training, validation and testing.

    Raises:
        DataError: `val_size` leaves nothing to train on, or the data have validation examples of their own.
    """
    images, targets, size = raw.train_images, raw.train_targets, source.val_size
    n = len(targets)
    test = raw.test_images, raw.test_targets
    if raw.val_images is not None and raw.val_targets is not None:
        if size is not None:
            raise DataError(
                f"data.val_size={size}: the data have {len(raw.val_targets)} validation examples of"
                " their own; data.val_size=null takes them"
            )
        return [(images, targets), (raw.val_images, raw.val_targets), test]
    count = part(TENTH if size is None else size, n)
    if count >= n:
        raise DataError(
            f"data.val_size={size} leaves no training examples: {source.name} has {n} for"
            " training and validation"
        )
    first = n - count
    return [(images[:first], targets[:first]), (images[first:], targets[first:]), test]


def _keep(images: "np.ndarray", targets: "np.ndarray", wanted: Sequence[int]) -> Split:
    """The examples of the wanted classes, renumbered from 0; all where none is named."""
    import torch

    x, y = torch.from_numpy(images), torch.from_numpy(targets)
    if not wanted:
        return Split(x, y)
    matches = y[:, None] == torch.tensor(wanted)
    kept = matches.any(dim=1)
    return Split(x[kept], matches[kept].int().argmax(dim=1))


def _subset(train: Split, size: float, of_classes: bool) -> Split:
    """The first `size` examples (a number, or a fraction if not an integer), classes in turns."""
    import torch

    count = part(size, len(train))
    if count >= len(train):
        if isinstance(size, int) and count > len(train):
            raise DataError(
                f"data.train_size={size}: only {len(train)} examples are left to train on"
            )
        return train
    rank = torch.zeros_like(train.targets)
    if of_classes:
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
    # Floats are summed as distances from the first one: what never changes then has no spread at all.
    origin = torch.zeros((), dtype=torch.float64)
    if images.dtype != torch.uint8:
        origin = images[0].double() if kind == "per_feature" else images[0].double().mean()
    total = torch.zeros(images.shape[1:], dtype=torch.float64)
    squares = total.clone()
    # In pieces: a float64 copy of all of MNIST would fill 380 MB.
    for piece in images.split(1000):
        distances = piece.double() - origin
        total += distances.sum(dim=0)
        squares += distances.square().sum(dim=0)
    # Divided once, and so exact where a pixel never changes: its variance is 0, not 1e-14.
    mean, square = total / len(images), squares / len(images)
    if kind == "global":
        mean, square = mean.mean(), square.mean()
    std = (square - mean.square()).clamp(min=0).sqrt()
    # A pixel that never changes has no spread to divide by: it becomes 0.
    std = torch.where(std > 0, std, 1.0)
    return (1 / std).float(), (-(mean + origin) / std).float()
