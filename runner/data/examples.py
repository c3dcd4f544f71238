"""Data sets as tensors in memory, their splits, and the batches of an epoch by (seed, epoch) alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from runner.data.arrays import check
from runner.data.fingerprint import computed, fingerprint
from runner.data.resplit import resplit
from runner.data.splits import divided, kept, subset, wanted_classes
from runner.errors import DataError
from runner.options.data import Data, Raw

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# What does not change what is read: with these values data sets that differ in it share one copy.
SHARED_READ = {
    "classes": None, "val_size": None, "train_size": 1.0, "standardize": "none", "augment": "none",
}  # fmt: skip


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
    import torch

    from runner.data.standardization import standardization

    raw = _read(source.model_copy(update=SHARED_READ), of)
    if source.split_seed is not None and not source.divides:
        raw = resplit(raw, source.split_seed)
    names, wanted = raw.class_names, wanted_classes(raw, source)
    train, val, test = (kept(part, wanted) for part in divided(raw, source))
    train = subset(train, source.train_size, names is not None)
    for term, (_, targets) in (("training", train), ("validation", val), ("test", test)):
        if len(targets) == 0:
            raise DataError(f"data.classes={list(source.classes or ())} leaves no {term} examples")
    images = torch.from_numpy(train[0])
    if source.augment == "crop_flip" and images.shape[2:] == (1, 1):
        raise DataError("data.augment=crop_flip: these data are no images; data.augment=none")
    scale, shift = standardization(images, raw.maximum, source.standardize)
    return Dataset(
        train=Split(images, torch.from_numpy(train[1])),
        val=Split(*map(torch.from_numpy, val)),
        test=Split(*map(torch.from_numpy, test)),
        class_names=names if names is None or wanted is None else tuple(names[n] for n in wanted),
        scale=scale,
        shift=shift,
        augment=source.augment == "crop_flip",
    )


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
    check(source.name, raw)
    return raw
