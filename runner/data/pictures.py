"""The user's own pictures, decoded as if a stranger had sent them."""

import struct
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from runner.data.arrays import BYTES, MAX_BYTES, Array, checked
from runner.data.picture_files import place_of
from runner.data.refusals import unexpected
from runner.data.splits import part, spread
from runner.errors import DataError
from runner.options.data import Raw

MAX_PIXELS = 50_000_000  # of one picture, before it is brought to a size
MAX_FILE_BYTES = 200_000_000
FIFTH = 0.2
GREY = ("1", "L", "LA")
COLOR = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")
UNREADABLE = (
    OSError, ValueError, SyntaxError, EOFError, TypeError, struct.error, zlib.error, Warning,
    Image.DecompressionBombError,
)  # fmt: skip


def read_pictures(
    files: Mapping[str, Path],
    root: str,
    size: tuple[int, int] | None,
    color: str,
    test_size: int | float | None,
    split_seed: int,
) -> Raw:
    """Reads all pictures as uint8 and their classes, named by the folders.

    Args:
        files: The pictures by their places, as `picture_files.pictures_in` finds them.
        root: The folder as the user named it.
        size: Height and width to bring them to; None: all have the same.
        color: grey, rgb or auto.
        test_size: How many are for testing, where there is no folder test/; None: a fifth.
        split_seed: Which ones follows from it.

    Raises:
        DataError: A picture is damaged or of another size, or the parts differ in their classes.
    """
    places = {name: place_of(name) for name in files}
    names = tuple(sorted({c for p, c in places.values() if p in (None, "train")}))
    for name, (_, class_name) in places.items():
        if class_name not in names:
            raise unexpected(
                files[name].parent,
                f"class '{class_name}', which train/ lacks",
                f"{', '.join(names[:10])}" + (", ..." if len(names) > 10 else ""),
            )
    images = _decoded(list(files.values()), size, color)
    targets = np.array([names.index(c) for _, c in places.values()], np.int64)
    parts = np.array([p or "" for p, _ in places.values()])
    if "train" in parts:
        if test_size is not None:
            raise DataError(
                f"data.test_size={test_size}: {root} has a folder test/; data.test_size=null takes it"
            )
        chosen = {p: np.flatnonzero(parts == p) for p in ("train", "test", "val")}
        order = chosen["train"]
        train, test = order[spread(targets[order], split_seed)], chosen["test"]
    else:
        chosen = {}
        order = spread(targets, split_seed)
        count = part(FIFTH if test_size is None else test_size, len(order))
        test, train = order[:count], order[count:]
    val = chosen.get("val")
    own = val is not None and len(val) > 0
    raw = Raw(
        train_images=images[train],
        train_targets=targets[train],
        test_images=images[test],
        test_targets=targets[test],
        maximum=BYTES,
        class_names=names,
        val_images=images[val] if own else None,
        val_targets=targets[val] if own else None,
    )
    return checked(Path(root), raw)


def _decoded(paths: list[Path], size: tuple[int, int] | None, color: str) -> Array:
    """All pictures, (n, channels, height, width) uint8."""
    images: Array | None = None
    grey = color == "grey"
    for number, path in enumerate(paths):
        pixels = _pixels(path, size, color)
        if number == 0:
            first, grey = pixels.shape[:2], pixels.ndim == 2
            needed = len(paths) * pixels.size
            if needed > MAX_BYTES:
                raise unexpected(
                    path,
                    f"{len(paths)} pictures of {_size(first)}: {needed:,} bytes",
                    f"up to {MAX_BYTES:,}; data.size=[height, width] makes them smaller",
                )
            images = np.empty((len(paths), *pixels.shape), np.uint8)
        assert images is not None
        if pixels.shape[:2] != first:
            raise unexpected(
                path,
                _size(pixels.shape),
                f"{_size(first)}, as {paths[0].name}; data.size=[height, width] brings all to one size",
            )
        if (
            grey and pixels.ndim == 3
        ):  # the first one in color: what was grey so far becomes so, too
            images = np.repeat(images[..., None], 3, axis=3)
            grey = False
        elif not grey and pixels.ndim == 2:
            pixels = pixels[..., None]
        images[number] = pixels
    assert images is not None
    if images.ndim == 3:
        return images[:, None]
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _pixels(path: Path, size: tuple[int, int] | None, color: str) -> Array:
    """One picture, (height, width) if it is grey, else (height, width, 3)."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"over {MAX_FILE_BYTES:,} bytes")
        with (
            warnings.catch_warnings(action="error"),
            Image.open(path, formats=("PNG", "JPEG")) as picture,
        ):
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError(f"{_size((picture.height, picture.width))} pixels")
            if picture.mode not in (*GREY, *COLOR):
                raise ValueError(f"pixels of the kind {picture.mode}")
            upright = ImageOps.exif_transpose(picture)
            mode = {"grey": "L", "rgb": "RGB"}.get(color, "L" if picture.mode in GREY else "RGB")
            converted = upright.convert(mode)
            if size and converted.size != size[::-1]:
                converted = converted.resize(size[::-1], Image.Resampling.BILINEAR)
            return np.asarray(converted)
    except UNREADABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if "cannot identify" in reason:
            reason = "no PNG and no JPEG inside"
        raise unexpected(
            path, reason[:200], f"a PNG or JPEG of 8 bits a channel, up to {MAX_PIXELS:,} pixels"
        ) from None


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}×{shape[1]}"
