"""Arrays that others wrote, as images and targets: checked, and of the types that are trained on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from runner.data.refusals import unexpected
from runner.options.data import Raw

MAX_BYTES = 1 << 32  # of images, which stay in memory
BYTES, AS_THEY_ARE = 255, 1  # what a stored 1.0 is: of pixels of a byte, of other numbers

Array = npt.NDArray[Any]


def as_images(path: Path, name: str, x: Array, channels: str = "auto") -> Array:
    """Features as images (n, channels, height, width), uint8 or float32; a table's are channels of one pixel.

    Args:
        path: Where they come from.
        name: What they are called there.
        x: (n, features), (n, height, width), (n, channels, height, width) or (n, height, width, channels).
        channels: Where they are in four dimensions: first, last or auto.

    Raises:
        DataError: Other dimensions, numbers that are not finite, or no numbers.
    """
    shapes = (
        "(n, features), (n, height, width) or (n, channels, height, width); data.channels=last for"
        " channels at the end"
    )
    if x.ndim not in (2, 3, 4) or 0 in x.shape:
        raise unexpected(path, f"{name} of shape {x.shape}", shapes)
    if x.dtype.kind not in "buif":
        raise unexpected(
            path, f"{name} of type {x.dtype}", "numbers: uint8, or any integers or floats"
        )
    if x.dtype != np.uint8:
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)
        if not (finite := np.isfinite(x)).all():
            at = np.unravel_index(int(np.argmin(finite)), x.shape)
            place = ", ".join(map(str, at))
            raise unexpected(path, f"{name}[{place}] = {x[at]}", "finite numbers, also as float32")
    if x.ndim == 4 and (
        channels == "last"
        or (channels == "auto" and x.shape[3] in (1, 3, 4) and x.shape[1] not in (1, 3, 4))
    ):
        x = x.transpose(0, 3, 1, 2)
    elif x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 2:
        x = x[:, :, None, None]
    return np.ascontiguousarray(x)


def maximum_of(images: Array) -> int:
    return BYTES if images.dtype == np.uint8 else AS_THEY_ARE


def checked(
    path: Path, raw: Raw, terms: Sequence[str] = ("training", "testing", "validation")
) -> Raw:
    """A data set of several parts that fit together.

    Args:
        path: Where it comes from.
        raw: Images and targets of the right types.
        terms: What its parts are called there.

    Raises:
        DataError: The parts differ in shape or type, there is but one class, or a class has no training
            examples.
    """
    parts = [
        (terms[0], raw.train_images, raw.train_targets),
        (terms[1], raw.test_images, raw.test_targets),
    ]
    if raw.val_images is not None and raw.val_targets is not None:
        parts.append((terms[2], raw.val_images, raw.val_targets))
    _, train, targets = parts[0]
    for term, images, _ in parts:
        if not len(images):
            raise unexpected(path, f"no examples for {term}", "at least one")
        if images.shape[1:] != train.shape[1:] or images.dtype != train.dtype:
            raise unexpected(
                path,
                f"{terms[0]}: {_described(train)}; {term}: {_described(images)}",
                "the same shape and type",
            )
    if raw.class_names is not None:
        counts = np.bincount(targets, minlength=len(raw.class_names))
        if len(raw.class_names) < 2:
            raise unexpected(path, f"one class, {raw.class_names[0]!r}", "two classes or more")
        if not counts.all():
            missing = raw.class_names[int(np.argmin(counts))]
            raise unexpected(
                path, f"class {missing!r} without examples for training", "some of each class"
            )
    return raw


def _described(images: Array) -> str:
    channels, height, width = images.shape[1:]
    return f"{channels}×{height}×{width} {images.dtype}"
