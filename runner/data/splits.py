"""Which examples are for what: by number or fraction, by a seed, from each class alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from runner.errors import DataError
from runner.options.data import Data, Raw, class_numbers

TENTH = 0.1

Array = npt.NDArray[Any]
Examples = tuple[Array, Array]  # images (n, channels, height, width) and targets (n,)


def part(size: int | float, total: int) -> int:
    """How many examples a number, or a fraction, of a total is; at least one."""
    return size if isinstance(size, int) else max(1, round(size * total))


def spread(targets: Array, seed: int) -> npt.NDArray[np.int64]:
    """A random order of examples (n,) in which every stretch has its share of every class.

    Args:
        targets: Numbers of classes, (n,) int64, or values, (n,) float32, which are just shuffled.
        seed: The order follows from it.
    """
    order = np.random.default_rng(seed).permutation(len(targets))
    if targets.dtype.kind == "f":
        return order
    shuffled = targets[order]
    place = np.empty(len(order))  # within its class, in (0, 1)
    for label in np.unique(shuffled):
        of_class = np.flatnonzero(shuffled == label)
        place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    return order[np.argsort(place, kind="stable")]


def divided(raw: Raw, source: Data) -> list[Examples]:
    """The examples for training, validation and testing.

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


def wanted_classes(raw: Raw, source: Data) -> list[int] | None:
    """The numbers of the classes to keep, in their new order; None for all as they are.

    Raises:
        DataError: `classes` names one that there is not.
    """
    if not source.classes:
        return None
    try:
        if raw.class_names is None:
            raise ValueError("the targets of these data are values")
        return class_numbers(source.classes, raw.class_names)
    except ValueError as error:
        raise DataError(f"data.classes={list(source.classes)}: {error}") from None


def kept(examples: Examples, wanted: Sequence[int] | None) -> Examples:
    """The examples of the wanted classes, renumbered from 0 in their order."""
    images, targets = examples
    if wanted is None:
        return examples
    matches = targets[:, None] == np.array(wanted)
    found = matches.any(axis=1)
    return images[found], matches[found].argmax(axis=1)


def subset(train: Examples, size: int | float, of_classes: bool) -> Examples:
    """The first `size` examples (a number, or a fraction if not an integer), classes in turns.

    Raises:
        DataError: There are not so many.
    """
    images, targets = train
    count = part(size, len(targets))
    if count >= len(targets):
        if isinstance(size, int) and count > len(targets):
            raise DataError(
                f"data.train_size={size}: only {len(targets)} examples are left to train on"
            )
        return train
    turn = np.zeros(len(targets), np.int64)
    for label in np.unique(targets) if of_classes else ():
        of_class = np.flatnonzero(targets == label)
        turn[of_class] = np.arange(len(of_class))
    first = np.argsort(turn, kind="stable")[:count]
    return images[first], targets[first]
