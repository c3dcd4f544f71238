"""The user's own arrays: what is accepted, and what is refused with the file and the array named."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.data.npz import read_npz
from runner.errors import DataError

Y = np.array([0, 1, 2, 0, 1, 2])
IMAGES = np.arange(6 * 3 * 4).astype(np.uint8).reshape(6, 3, 4)
FEATURES = np.linspace(-1, 1, 12).reshape(6, 2)


def written(path: Path, **changed: Any) -> Path:
    """Six examples of three classes for training and for testing; None leaves an array out."""
    arrays = {"x_train": IMAGES, "y_train": Y, "x_test": IMAGES, "y_test": Y} | changed
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def read(path: Path, channels: str = "auto", kind: str = "classes", seed: int = 0) -> Any:
    return read_npz(path, channels, kind, seed)


@pytest.mark.parametrize(
    ("x", "channels", "expected"),
    [
        (IMAGES, "auto", IMAGES[:, None]),
        (FEATURES, "auto", FEATURES.astype(np.float32)[:, :, None, None]),
        (np.asfortranarray(FEATURES), "auto", FEATURES.astype(np.float32)[:, :, None, None]),
        (FEATURES.astype(">f4"), "auto", FEATURES.astype(np.float32)[:, :, None, None]),
        (FEATURES > 0, "auto", (FEATURES > 0).astype(np.float32)[:, :, None, None]),
        (IMAGES.astype(int), "auto", IMAGES.astype(np.float32)[:, None]),
        (IMAGES.reshape(6, 1, 3, 4), "auto", IMAGES.reshape(6, 1, 3, 4)),
        (IMAGES.reshape(6, 2, 2, 3), "auto", IMAGES.reshape(6, 2, 2, 3).transpose(0, 3, 1, 2)),
        (IMAGES.reshape(6, 2, 2, 3), "first", IMAGES.reshape(6, 2, 2, 3)),
        (IMAGES.reshape(6, 3, 4, 1), "auto", IMAGES.reshape(6, 3, 4, 1)),
        (IMAGES.reshape(6, 3, 4, 1), "last", IMAGES.reshape(6, 1, 3, 4)),
    ],
)
def test_features_are_images(tmp_path: Path, x: np.ndarray, channels: str, expected: Any) -> None:
    raw = read(written(tmp_path / "my.npz", x_train=x, x_test=x), channels)
    np.testing.assert_array_equal(raw.test_images, expected)
    assert raw.test_images.dtype == expected.dtype and raw.test_images.flags.c_contiguous
    assert raw.maximum == (255 if x.dtype == np.uint8 else 1)
    # In another order for training, each with its class.
    assert sorted(map(bytes, raw.train_images)) == sorted(map(bytes, expected))
    for image, target in zip(raw.train_images, raw.train_targets, strict=True):
        assert target in Y[[np.array_equal(image, other) for other in expected]]


def test_validation_examples_of_its_own_keep_the_order(tmp_path: Path) -> None:
    raw = read(written(tmp_path / "my.npz", x_val=IMAGES[:2], y_val=Y[:2]))
    np.testing.assert_array_equal(raw.train_images, IMAGES[:, None])
    assert raw.val_images.shape == (2, 1, 3, 4) and raw.val_targets.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("y", "names", "expected"),
    [
        (Y, None, ("0", "1", "2")),
        (Y[:, None], None, ("0", "1", "2")),
        (Y.astype(np.uint8), np.array(["cat", "dog", "owl"]), ("cat", "dog", "owl")),
        (np.array(["b", "a", "ö"])[Y], None, ("a", "b", "ö")),
        (np.array(["b", "a", "c"])[Y], np.array(["c", "b", "a"]), ("c", "b", "a")),
        (Y > 0, None, ("0", "1")),
    ],
)
def test_class_names(tmp_path: Path, y: np.ndarray, names: Any, expected: tuple[str, ...]) -> None:
    raw = read(written(tmp_path / "my.npz", y_train=y, y_test=y, class_names=names))
    assert raw.class_names == expected and raw.test_targets.dtype == np.int64
    if y.dtype.kind == "U":
        assert [expected[number] for number in raw.test_targets] == y.tolist()
    else:
        assert raw.test_targets.tolist() == y.flatten().tolist()


def test_values(tmp_path: Path) -> None:
    path = written(tmp_path / "my.npz", y_train=Y / 7, y_test=Y)
    raw = read(path, kind="values")
    assert raw.class_names is None and raw.train_targets.dtype == np.float32
    assert raw.test_targets.tolist() == Y.tolist()


BIG = 1 << 40
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "labels missing": ({"y_test": None}, "no y_test"),
    "half a validation set": ({"x_val": IMAGES}, "no y_val"),
    "a misspelt array": ({"x_vall": IMAGES}, "'x_vall' (meant as x_val?)"),
    "objects": ({"y_train": np.array([0, 1, None] * 2, object)}, "y_train of type object"),
    "bytes": ({"y_train": np.array([b"a", b"b", b"c"] * 2)}, "y_train of type |S1"),
    "complex": ({"x_train": FEATURES * 1j}, "complex128"),
    "text as features": ({"x_train": np.array([["a"]] * 6)}, "x_train of type <U1"),
    "NaN": ({"x_train": np.where(FEATURES > 0.9, np.nan, FEATURES)}, "x_train[5, 1] = nan"),
    "infinity": ({"x_test": np.where(FEATURES < -0.9, np.inf, FEATURES)}, "x_test[0, 0] = inf"),
    "beyond float32": ({"x_train": FEATURES * 1e300}, "x_train[0, 0]"),
    "one dimension": ({"x_train": np.arange(6.0)}, "x_train of shape (6,)"),
    "five dimensions": ({"x_train": IMAGES[:, None, None]}, "(6, 1, 1, 3, 4)"),
    "nothing": ({"x_test": IMAGES[:0], "y_test": Y[:0]}, "x_test of shape (0, 3, 4)"),
    "fewer labels": ({"y_train": Y[:5]}, "6 x_train and 5 y_train"),
    "another size": ({"x_test": IMAGES[:, :2]}, "x_test: 1×2×4 uint8"),
    "another type": ({"x_test": IMAGES / 255}, "x_test: 1×3×4 float32"),
    "float labels": ({"y_train": Y / 1.0}, "y_train of type float64"),
    "negative labels": ({"y_train": Y - 1}, "y_train of -1, 0, 1"),
    "a gap": ({"y_train": Y * 2}, "y_train of 0, 2, 4"),
    "labels from 1": ({"y_train": Y + 1}, "y_train of 1, 2, 3"),
    "one class": ({"y_train": Y * 0, "y_test": Y * 0}, "one class"),
    "one-hot": ({"y_train": np.eye(3)[Y]}, "y_train of shape (6, 3)"),
    "a class that training lacks": ({"y_test": Y + 1}, "y_test[2] = 3"),
    "a name that training lacks": (
        {"y_train": np.array(["a", "b", "c"])[Y], "y_test": np.array(["a", "b", "d"])[Y]},
        "y_test[2] = d",
    ),
    "an empty class": ({"class_names": np.array(list("abcd"))}, "class 'd' without examples"),
    "a name twice": ({"class_names": np.array(["a", "a", "b"])}, "the same one twice"),
    "numbers as names": ({"class_names": np.arange(3)}, "class_names of type int64"),
}


def check(error: BaseException, path: Path, found: str) -> None:
    message = str(error)
    assert message.startswith(str(path)) and found in message and "expected: " in message
    assert len(message.splitlines()) <= 5 and len(message) < 500
    assert error.__context__ is None or error.__suppress_context__


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    changed, found = REFUSED[case]
    path = written(tmp_path / "my.npz", **changed)
    with pytest.raises(DataError) as caught:
        read(path)
    check(caught.value, path, found)


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


GOOD = {f"{name}.npy": npy(Y if name[0] == "y" else IMAGES) for name in ("x_train", "y_train", "x_test", "y_test")}  # fmt: skip
HUGE = npy(IMAGES).replace(b"(6, 3, 4), }".ljust(24), f"({BIG}, 3, 4), }}".encode().ljust(24))
FORGED = {
    "a huge shape": (GOOD | {"x_train.npy": HUGE}, "not what it holds"),
    "no array": (GOOD | {"x_train.npy": b"hello"}, "magic string"),
    "code as header": (
        GOOD | {"x_train.npy": b"\x93NUMPY\x01\x00\x20\x00" + b"__import__('os').system('x')".ljust(31) + b"\n"},
        "malformed",
    ),
    "no characters": (
        GOOD | {"y_train.npy": npy(np.array(["a", "b", "c"])[Y]).replace(b"b\0\0\0", b"\0\xd8\0\0")},
        "no character",
    ),
    "other names": ({"../../x.npy": b""}, "an array '../../x'"),
    "nothing in it": ({}, "no x_train"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED)
def test_forged_archives(tmp_path: Path, case: str) -> None:
    members, found = FORGED[case]
    path = archive(tmp_path / "my.npz", members)
    with pytest.raises(DataError) as caught:
        read(path)
    check(caught.value, path, found)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "my.npz", GOOD)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"x_train.npy") - 46 + 24  # the unpacked size in the archive's directory
    content[at : at + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"bytes, unpacked|not what it holds"):
        read(path)


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty", "a folder"])
def test_damaged_files(tmp_path: Path, damage: str) -> None:
    path = written(tmp_path / "my.npz")
    content = path.read_bytes()
    path.unlink()
    middle = content.index(IMAGES.tobytes())
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    match damage:
        case "cut":
            path.write_bytes(content[:-30])
        case "flipped":
            path.write_bytes(flipped)
        case "text":
            path.write_text("x_train,y_train\n")
        case "empty":
            path.write_text("")
        case "a folder":
            path.mkdir()
    with pytest.raises(DataError) as caught:
        read(path)
    check(caught.value, path, "found: ")
