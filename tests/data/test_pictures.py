"""The user's own pictures: folders of classes, what is decoded, and what is refused by its file."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runner.data.picture_files import pictures_in
from runner.data.pictures import read_pictures
from runner.errors import DataError

RNG = np.random.default_rng(0)


def picture(path: Path, *shape: int, value: int | None = None) -> np.ndarray:
    """Random pixels, (height, width) or (height, width, 3), as a file."""
    pixels = RNG.integers(0, 256, shape).astype(np.uint8)
    if value is not None:
        pixels[:] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def folder(root: Path, parts: tuple[str, ...] = ("train", "test"), n: int = 3) -> Path:
    """Grey pictures of 4×5 of cats and dogs; the value of every pixel tells part, class and number."""
    for p, part in enumerate(parts):
        for c, name in enumerate(("cat", "dog")):
            for number in range(n):
                picture(root / part / name / f"{number}.png", 4, 5, value=100 * p + 50 * c + number)
    return root


def read(root: Path, **changed: Any) -> Any:
    settings = {"size": None, "color": "auto", "test_size": None, "split_seed": 0} | changed
    return read_pictures(pictures_in(root), str(root), **settings)


def values(images: np.ndarray) -> list[int]:
    assert images.dtype == np.uint8 and (images == images[:, :1, :1, :1]).all()
    found: list[int] = images[:, 0, 0, 0].tolist()
    return found


def test_folders_for_training_and_testing(tmp_path: Path) -> None:
    raw = read(folder(tmp_path))
    assert raw.class_names == ("cat", "dog") and raw.maximum == 255
    assert raw.train_images.shape == (6, 1, 4, 5) and raw.val_images is None
    assert sorted(values(raw.train_images)) == [0, 1, 2, 50, 51, 52]
    assert raw.train_targets.tolist() == [value // 50 for value in values(raw.train_images)]
    assert values(raw.test_images) == [100, 101, 102, 150, 151, 152]
    assert raw.test_targets.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_folder_for_validation(tmp_path: Path) -> None:
    raw = read(folder(tmp_path, ("train", "test", "val")))
    assert values(raw.val_images) == [200, 201, 202, 250, 251, 252]
    assert raw.val_targets.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("size", "n"), [(None, 4), (0.5, 10), (6, 6)])
def test_a_split_takes_from_each_class_alike(tmp_path: Path, size: Any, n: int) -> None:
    folder(tmp_path, ("",), n=10)
    raw, other = (read(tmp_path, test_size=size, split_seed=seed) for seed in (0, 1))
    assert np.bincount(raw.test_targets).tolist() == [n // 2, n // 2]
    everything = values(raw.train_images) + values(raw.test_images)
    assert sorted(everything) == [*range(10), *range(50, 60)]
    assert values(raw.test_images) != values(other.test_images)
    assert values(read(tmp_path, test_size=size).test_images) == values(raw.test_images)


def test_colors(tmp_path: Path) -> None:
    pixels = [picture(tmp_path / name / "1.png", 3, 2, 3) for name in ("cat", "dog")]
    grey = picture(tmp_path / "cat" / "0.png", 3, 2)
    picture(tmp_path / "dog" / "0.png", 3, 2)

    def images(color: str) -> dict[int, np.ndarray]:
        raw = read(tmp_path, color=color)
        both = np.concatenate([raw.train_images, raw.test_images])
        return {image.tobytes(): image for image in both}  # type: ignore[misc]

    for color in ("auto", "rgb"):
        found = images(color)
        for expected in (*pixels, np.repeat(grey[..., None], 3, axis=2)):
            assert expected.transpose(2, 0, 1).tobytes() in found
    assert grey.tobytes() in images("grey")  # type: ignore[comparison-overlap]


def test_sizes(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        picture(tmp_path / name / "a.png", 8, 6, value=7)
        picture(tmp_path / name / "b.JPG", 3, 9, value=7)
    raw = read(tmp_path, size=(4, 5))
    assert raw.train_images.shape == (3, 1, 4, 5) and (raw.train_images == 7).all()


def test_a_photograph_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    for name in ("cat", "dog"):
        path = tmp_path / name / "a.jpg"
        picture(path, 8, 16)
        Image.open(path).save(tmp_path / name / "b.jpg", exif=exif)
        path.unlink()
        picture(tmp_path / name / "c.png", 16, 8)
    assert read(tmp_path).train_images.shape[1:] == (1, 16, 8)


def png(width: int, height: int, depth: int = 8, kind: int = 0, rows: bytes = b"") -> bytes:
    """A PNG written from its specification."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    data = zlib.compress(rows)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


Make = Callable[[Path], Path]  # changes a good folder and says which place the message must name


def put(name: str, content: bytes) -> Make:
    def make(root: Path) -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return make


def draw(name: str, *shape: int) -> Make:
    def make(root: Path) -> Path:
        picture(root / name, *shape)
        return root / name

    return make


def link(name: str, target: str) -> Make:
    def make(root: Path) -> Path:
        (root / name).symlink_to(target)
        return root / name

    return make


def remove(name: str, said: str = "") -> Make:
    def make(root: Path) -> Path:
        (root / name).rename(root.parent / "away")
        return root / said

    return make


def empty(name: str) -> Make:
    def make(root: Path) -> Path:
        (root / name).mkdir()
        return root / name

    return make


LARGE = png(30_000, 30_000, rows=bytes(1000))
REFUSED: dict[str, tuple[Make, str]] = {
    "text": (put("train/cat/3.png", b"hello"), "no PNG and no JPEG inside"),
    "empty": (put("train/cat/3.png", b""), "no PNG and no JPEG inside"),
    "another format": (put("train/cat/3.png", b"GIF89a" + bytes(20)), "no PNG and no JPEG inside"),
    "a bomb": (put("train/cat/3.png", LARGE), "900000000 pixels"),
    "cut": (put("train/cat/3.png", png(5, 4, rows=bytes(7))), "truncated"),
    "16 bits": (put("train/cat/3.png", png(5, 4, depth=16, rows=bytes(44))), "I;16"),
    "another size": (draw("test/dog/3.png", 5, 4), "5×4"),
    "another kind of file": (put("train/cat/notes.txt", b""), "a file of another kind"),
    "a folder among pictures": (empty("train/cat/more"), "a folder"),
    "no pictures": (empty("train/owl"), "no pictures"),
    "a class that training lacks": (
        draw("test/owl/1.png", 4, 5),
        "class 'owl', which train/ lacks",
    ),
    "a file among classes": (put("train/labels.csv", b""), "a file"),
    "a folder beside train": (empty("tests"), "beside train/"),
    "no test": (remove("test"), "train/ without test/"),
    "one class": (remove("train/dog", "test/dog"), "class 'dog', which train/ lacks"),
    "a link out of the folder": (link("train/cat/3.png", "/etc/passwd"), "out of the folder"),
    "a link to nothing": (link("train/cat/3.png", "4.png"), "leads nowhere"),
    "a link to itself": (link("train/cat/3.png", "3.png"), "leads nowhere"),
    "a class outside": (link("train/owl", "/usr"), "out of the folder"),
    "a circle": (link("train/cat/up", ".."), "a folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    make, found = REFUSED[case]
    place = make(folder(tmp_path / "pictures"))
    with pytest.raises(DataError) as caught:
        read(tmp_path / "pictures")
    message = str(caught.value)
    assert str(place).startswith(message.splitlines()[0]) and found in message
    assert len(message.splitlines()) <= 5 and "expected: " in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_size_for_testing_beside_a_folder_for_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.test_size=0.3.*test_size=null"):
        read(folder(tmp_path), test_size=0.3)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folders"):
        read(tmp_path)


def test_what_is_passed_over(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "train" / ".DS_Store").write_text("")
    (tmp_path / "test" / "cat" / "Thumbs.db").write_text("")
    (tmp_path / "train" / "cat" / "again.png").symlink_to("0.png")
    assert len(pictures_in(tmp_path)) == 13


def test_odd_names(tmp_path: Path) -> None:
    folder(tmp_path)
    odd = tmp_path / "train" / "cat" / os.fsdecode(b"\xff = ${x}.png")
    (tmp_path / "train" / "cat" / "0.png").rename(odd)
    assert len(read(tmp_path).train_targets) == 6
    (tmp_path / "train" / "cat").rename(tmp_path / "train" / "c\x1b[31mt")
    with pytest.raises(DataError, match="can be printed"):
        read(tmp_path)
