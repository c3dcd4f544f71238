"""The user's own arrays in an .npz file, read as if a stranger had written it."""

import math
import zipfile
import zlib
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from runner.data.arrays import MAX_BYTES, Array, as_images, checked, maximum_of
from runner.data.refusals import unexpected
from runner.data.splits import spread
from runner.errors import DataError
from runner.options.data import Raw

REQUIRED = ("x_train", "y_train", "x_test", "y_test")
OPTIONAL = ("x_val", "y_val", "class_names")
EXPECTED = f"arrays {', '.join(REQUIRED)}, and no more than {', '.join(OPTIONAL)} besides"
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
LAST_CHARACTER = 0x10FFFF
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, NotImplementedError, TypeError,
)  # fmt: skip


def read_npz(path: Path, channels: str, target_kind: str, split_seed: int) -> Raw:
    """Reads and checks all arrays. Without x_val the training examples are put in an order by the seed.

    Raises:
        DataError: The file holds anything but what is expected.
    """
    arrays = _arrays(path)
    given = arrays.get("class_names")
    names = None if given is None else _class_names(path, given)
    y_train = _flat(path, "y_train", arrays["y_train"])
    if target_kind == "classes" and names is None:
        names = _found_names(path, y_train)
    if target_kind == "values" and names is not None:
        raise unexpected(
            path, "class_names, with data.target_kind=values", "data.target_kind=classes"
        )
    images, targets = {}, {}
    for part in ("train", "test", "val"):
        if f"x_{part}" in arrays:
            y = _flat(path, f"y_{part}", arrays[f"y_{part}"])
            x = as_images(path, f"x_{part}", arrays.pop(f"x_{part}"), channels)
            if len(x) != len(y):
                raise unexpected(
                    path, f"{len(x)} x_{part} and {len(y)} y_{part}", "one y for each x"
                )
            targets[part] = _numbers(path, f"y_{part}", y, names)
            images[part] = x
    if "val" not in images:
        order = spread(targets["train"], split_seed)
        images["train"], targets["train"] = images["train"][order], targets["train"][order]
    raw = Raw(
        train_images=images["train"],
        train_targets=targets["train"],
        test_images=images["test"],
        test_targets=targets["test"],
        maximum=maximum_of(images["train"]),
        class_names=names,
        val_images=images.get("val"),
        val_targets=targets.get("val"),
    )
    return checked(path, raw, ("x_train", "x_test", "x_val"))


def _arrays(path: Path) -> dict[str, Array]:
    """All arrays, made only when their names and sizes are known to be as expected."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            _check_names(path, names)
            size = sum(member.file_size for member in archive.infolist())
            if size > MAX_BYTES:
                raise unexpected(path, f"{size:,} bytes, unpacked", f"up to {MAX_BYTES:,}")
            return {name: _array(archive, name) for name in names}
    except DataError:
        raise
    except UNREADABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise unexpected(path, reason, EXPECTED) from None


def _check_names(path: Path, names: list[str]) -> None:
    for name in names:
        if name not in (*REQUIRED, *OPTIONAL):
            close = get_close_matches(name, [*REQUIRED, *OPTIONAL], n=1, cutoff=0.6)
            hint = f" (meant as {close[0]}?)" if close else ""
            raise unexpected(path, f"an array {name!r}{hint}", EXPECTED)
    missing = [name for name in REQUIRED if name not in names]
    if ("x_val" in names) != ("y_val" in names):
        missing.append("y_val" if "x_val" in names else "x_val")
    if missing:
        raise unexpected(path, f"no {', '.join(missing)}", EXPECTED)
    if len(set(names)) < len(names):
        raise unexpected(path, "an array twice", EXPECTED)


def _array(archive: zipfile.ZipFile, name: str) -> Array:
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        header = HEADERS.get(npy.read_magic(file))
        if header is None:
            raise ValueError(f"{name}: an unknown version of the format")
        shape, column_major, dtype = header(file)
        if dtype.hasobject or dtype.kind not in "buifU":
            raise ValueError(f"{name} of type {dtype}, which is neither numbers nor text")
        size = math.prod(shape) * dtype.itemsize
        if size != member.file_size - file.tell():
            raise ValueError(
                f"{name} of shape {shape} and type {dtype}, which is not what it holds"
            )
        data = file.read()  # to the end, where its checksum is compared
    if not size:
        raise ValueError(f"{name} of shape {shape}: nothing in it")
    if dtype.kind == "U":
        points = np.frombuffer(data, np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if ((points > LAST_CHARACTER) | ((points >= 0xD800) & (points < 0xE000))).any():
            raise ValueError(f"{name} with what is no character")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if column_major else "C").copy("C")


def _flat(path: Path, name: str, y: Array) -> Array:
    """Targets (n,), which may come as (n, 1)."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise unexpected(
            path, f"{name} of shape {y.shape}", "(n,): one number or name for each example"
        )
    return y


def _class_names(path: Path, given: Array) -> tuple[str, ...]:
    if given.dtype.kind != "U" or given.ndim != 1:
        raise unexpected(
            path, f"class_names of type {given.dtype}, shape {given.shape}", "a list of text"
        )
    names = tuple(map(str, given))
    if len(set(names)) < len(names) or not all(names):
        raise unexpected(
            path, "class_names with an empty name or the same one twice", "different names"
        )
    return names


def _found_names(path: Path, y: Array) -> tuple[str, ...]:
    """The names of the classes, where the file does not list them: the texts, or the numbers from 0."""
    if y.dtype.kind == "U":
        return tuple(map(str, np.unique(y)))
    _check_whole(path, "y_train", y)
    found = np.unique(y)
    if found[0] < 0 or found[-1] != len(found) - 1:
        shown = ", ".join(map(str, found[:8])) + (", ..." if len(found) > 8 else "")
        raise unexpected(
            path,
            f"y_train of {shown}",
            "classes numbered 0, 1, 2, ... without a gap, or named by text",
        )
    return tuple(map(str, range(len(found))))


def _check_whole(path: Path, name: str, y: Array) -> None:
    if y.dtype.kind not in "bui":
        raise unexpected(
            path,
            f"{name} of type {y.dtype}",
            "integers or text for classes (or data.target_kind=values)",
        )


def _numbers(path: Path, name: str, y: Array, names: tuple[str, ...] | None) -> Array:
    """Targets as they are trained on: float32 values, or int64 numbers of classes."""
    if names is None:
        if y.dtype.kind not in "buif":
            raise unexpected(
                path, f"{name} of type {y.dtype}", "numbers, with data.target_kind=values"
            )
        with np.errstate(over="ignore"):
            values = y.astype(np.float32)
        if not np.isfinite(values).all():
            at = int(np.argmin(np.isfinite(values)))
            raise unexpected(path, f"{name}[{at}] = {y[at]}", "finite numbers, also as float32")
        return values
    if y.dtype.kind == "U":
        number = {text: i for i, text in enumerate(names)}
        found = np.array([number.get(str(text), -1) for text in y], np.int64)
    else:
        _check_whole(path, name, y)
        found = np.where((y >= 0) & (y < len(names)), y, -1).astype(np.int64)
    if (found < 0).any():
        at = int(np.argmin(found))
        known = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise unexpected(
            path, f"{name}[{at}] = {y[at]!s}", f"one of {len(names)} classes: {known}"
            if y.dtype.kind == "U" else f"0 to {len(names) - 1}: there are {len(names)} classes"
        )  # fmt: skip
    return found
