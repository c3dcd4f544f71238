"""Splits, subsets, standardisation, and batches as a function of (seed, epoch)."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
import yaml
from pydantic import TypeAdapter, ValidationError

from runner.data.examples import (
    Dataset,
    Split,
    _standardization,
    batch,
    crop_flip,
    divided,
    epoch_crops,
    epoch_order,
    load,
    slices,
)
from runner.data.files import bundled
from runner.data.tables import read_digits
from runner.errors import DataError
from runner.options.data import Data, Raw
from runner.options.registry import ByName

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared" / "data"
FILES = sorted((REPOSITORY / "conf" / "data").glob("*.yaml"))


def data(name: str = "digits", **settings: Any) -> Data:
    """conf/data/<name>.yaml with some settings replaced."""
    values = yaml.safe_load((REPOSITORY / "conf" / "data" / f"{name}.yaml").read_text())
    found: Data = TypeAdapter(Annotated[Data, ByName("data")]).validate_python(values | settings)
    return found


def batches(dataset: Dataset, batch_size: int, seed: int = 0, epoch: int = 0) -> list[Any]:
    order = epoch_order(dataset, seed, epoch)
    crops = epoch_crops(dataset, seed, epoch) if dataset.augment else None
    found = []
    for start in range(0, len(order) - batch_size + 1, batch_size):
        places = slice(start, start + batch_size)
        of_run = None if crops is None else crops[None, places]
        inputs, targets = batch(dataset, order[None, places], of_run)
        found.append((inputs[0], targets[0]))
    return found


def tiny(examples: int = 30, shape: tuple[int, ...] = (2, 8, 16), augment: bool = False) -> Dataset:
    """Images that all differ; example i has the label i."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (examples, *shape), dtype=torch.uint8, generator=random)
    split = Split(images, torch.arange(examples))
    names = tuple(map(str, range(examples)))
    return Dataset(split, split, split, names, torch.tensor(1 / 255), torch.tensor(0.0), augment)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files(file: Path) -> None:
    assert data(file.stem).name == file.stem


def test_splits() -> None:
    dataset, raw = load(data()), read_digits(bundled("digits.csv.gz"))
    assert [len(s) for s in (dataset.train, dataset.val, dataset.test)] == [1024, 300, 473]
    assert (dataset.shape, dataset.classes, dataset.augment) == ((1, 8, 8), 10, False)
    for split, images, labels in (
        (dataset.train, raw.train_images[:1024], raw.train_targets[:1024]),
        (dataset.val, raw.train_images[1024:], raw.train_targets[1024:]),
        (dataset.test, raw.test_images, raw.test_targets),
    ):
        np.testing.assert_array_equal(split.images, images)
        np.testing.assert_array_equal(split.targets, labels)


def test_same_settings_share_one_copy() -> None:
    assert load(data()) is load(data())
    assert (
        load(data(standardize="global")).train.images is not load(data(val_size=301)).train.images
    )
    # One example is not all of them, though 1 == 1.0.
    assert [len(load(data(train_size=size)).train) for size in (1.0, 1)] == [1024, 1]


def test_classes_are_renumbered_in_the_given_order() -> None:
    dataset, everything = load(data(classes=[7, 0, 3])), load(data())
    assert dataset.classes == 3
    for split in ("train", "val", "test"):
        kept, full = getattr(dataset, split), getattr(everything, split)
        pairs = [
            (i, (7, 0, 3).index(y)) for i, y in enumerate(full.targets.tolist()) if y in (7, 0, 3)
        ]
        assert kept.targets.tolist() == [label for _, label in pairs]
        assert torch.equal(kept.images, full.images[[i for i, _ in pairs]])


def test_classes_by_name(tmp_path: Path) -> None:
    assert load(data("iris", classes=["virginica", "setosa"])).class_names == (
        "virginica",
        "setosa",
    )
    assert load(data("iris", classes=[2, 0])).class_names == ("virginica", "setosa")
    (tmp_path / "my.csv").write_text("a,y\n" + "".join(f"{n},{3 + n % 3}\n" for n in range(60)))
    table = {"path": str(tmp_path / "my.csv"), "target": "y"}
    assert load(data("csv", **table)).class_names == ("3", "4", "5")
    assert load(data("csv", **table, classes=[5, 3])).class_names == (
        "5",
        "3",
    )  # names before numbers
    for classes, said in (([3, 6], "no class 6.* Known: 3, 4, 5"), ([5, 2], "names a class twice")):
        with pytest.raises(DataError, match=f"data.classes=.*: .*{said}"):
            load(data("csv", **table, classes=classes))
    with pytest.raises(DataError, match="are values"):
        load(data("csv", **table, classes=[3, 4], target_kind="values"))


def test_validation_examples() -> None:
    x, y = np.arange(40, dtype=np.float32).reshape(20, 2, 1, 1), np.arange(20) % 2
    raw = Raw(x, y, x, y, 1, ("a", "b"))
    for size, count in ((3, 3), (0.5, 10), (None, 2)):
        train, val, _ = divided(raw, data("iris", val_size=size))
        np.testing.assert_array_equal(val[1], y[20 - count :])
        np.testing.assert_array_equal(train[0], x[: 20 - count])
    own = replace(raw, val_images=x[:5], val_targets=y[:5])
    assert [len(part[1]) for part in divided(own, data("iris", val_size=None))] == [20, 5, 20]
    with pytest.raises(DataError, match=r"data.val_size=3: the data have 5 .*val_size=null"):
        divided(own, data("iris", val_size=3))


def test_features_that_are_no_bytes() -> None:
    """Stored as float32 and left as they are; inputs are a copy, not the data changed in place."""
    dataset = load(data("iris", standardize="per_feature"))
    before = dataset.train.images.clone()
    inputs = dataset.inputs(dataset.train.images[:])
    assert torch.equal(dataset.train.images, before) and before.dtype == torch.float32
    x = before.double()
    expected = (x - x.mean(0)) / x.std(0, correction=0)
    torch.testing.assert_close(inputs, expected.float(), atol=1e-5, rtol=1e-5)
    plain = load(data("iris", standardize="none"))
    assert torch.equal(plain.inputs(before), before) and plain.class_names == (
        "setosa", "versicolor", "virginica",
    )  # fmt: skip


@pytest.mark.parametrize("value", [0.1, -1e6 / 3, 1e20])
@pytest.mark.parametrize("kind", ["per_feature", "global"])
def test_a_feature_that_never_changes_becomes_0(value: float, kind: str) -> None:
    images = torch.full((70, 1, 1, 1), value)
    scale, shift = _standardization(images, 1, kind)
    assert (images * scale + shift).abs().max() == 0


def test_a_table_has_nothing_to_crop() -> None:
    with pytest.raises(DataError, match=r"data.augment=crop_flip: .* no images"):
        load(data("iris", augment="crop_flip"))


@pytest.mark.parametrize(("size", "n"), [(10, 10), (57, 57), (0.25, 256), (1e-9, 1), (1023, 1023)])
def test_train_size_takes_classes_in_turns(size: float, n: int) -> None:
    full, subset = load(data()).train, load(data(train_size=size)).train
    labels = full.targets.tolist()
    turn = [labels[:i].count(label) for i, label in enumerate(labels)]
    chosen = sorted(range(1024), key=lambda i: (turn[i], i))[:n]
    assert subset.targets.tolist() == [labels[i] for i in chosen]
    assert torch.equal(subset.images, full.images[chosen])
    if n == 10:
        assert sorted(subset.targets.tolist()) == list(range(10))


def test_standardization() -> None:
    plain = load(data(train_size=500))
    x = plain.train.images.numpy() / 16
    np.testing.assert_allclose(plain.inputs(plain.train.images), x, rtol=1e-6)

    whole = load(data(train_size=500, standardize="global"))
    np.testing.assert_allclose(
        whole.inputs(whole.val.images),
        (whole.val.images.numpy() / 16 - x.mean()) / x.std(),
        atol=1e-5,
    )
    feature = load(data(train_size=500, standardize="per_feature"))
    mean, std = x.mean(axis=0), x.std(axis=0)
    assert (std == 0).sum() > 3  # the corners are always blank
    inputs = feature.inputs(feature.train.images).numpy()
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(inputs.std(axis=0), std > 0, atol=1e-5)
    expected = (feature.val.images.numpy() / 16 - mean) / np.where(std > 0, std, 1 / 16)
    np.testing.assert_allclose(feature.inputs(feature.val.images), expected, atol=1e-4)


@pytest.mark.parametrize("value", [0, 7, 200, 255])
def test_a_pixel_that_never_changes_becomes_0(value: int) -> None:
    """Whatever its value and the number of examples: rounding must not give it a spread."""
    images = torch.full((7001, 1, 1, 1), value, dtype=torch.uint8)
    scale, shift = _standardization(images, 255, "per_feature")
    assert (scale.item(), shift.item()) == (1, -value)


def test_the_order_is_a_permutation_by_seed_and_epoch() -> None:
    dataset = tiny()
    orders = {
        (seed, epoch): epoch_order(dataset, seed, epoch).tolist()
        for seed in range(3)
        for epoch in range(3)
    }
    assert all(sorted(order) == list(range(30)) for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) == 9
    torch.rand(5)  # torch's generator has no part in it, nor has the batch size
    assert epoch_order(dataset, 2, 1).tolist() == orders[2, 1]


def test_an_epoch_has_only_whole_batches() -> None:
    dataset = tiny()
    seen = torch.cat([targets for _, targets in batches(dataset, batch_size=7)]).tolist()
    assert seen == epoch_order(dataset, 0, 0).tolist()[:28]
    for inputs, targets in batches(dataset, batch_size=7):
        assert (len(inputs), inputs.dtype, targets.dtype) == (7, torch.float32, torch.int64)
        torch.testing.assert_close(inputs * 255, dataset.train.images[targets].float())
    missed = [set(epoch_order(dataset, 0, epoch).tolist()[28:]) for epoch in range(3)]
    assert len(set.union(*missed)) > 2  # others wait in other epochs


def slow_crop(image: np.ndarray, top: int, left: int, mirror: int) -> np.ndarray:
    _, height, width = image.shape
    padded = np.pad(image, ((0, 0), (height // 8,) * 2, (width // 8,) * 2))
    crop = padded[:, top : top + height, left : left + width]
    return crop[:, :, ::-1] if mirror else crop


def test_a_batch_has_the_examples_of_each_run() -> None:
    dataset = tiny()
    orders = torch.stack([epoch_order(dataset, seed, 0)[:7] for seed in (0, 1)])
    inputs, targets = batch(dataset, orders, None)
    assert (inputs.shape, targets.shape) == ((2, 7, 2, 8, 16), (2, 7))
    for run in (0, 1):
        assert torch.equal(inputs[run], batch(dataset, orders[run, None], None)[0][0])
        assert torch.equal(targets[run], dataset.train.targets[orders[run]])


def test_crop_flip() -> None:
    images = tiny(60).train.images
    crops = torch.tensor([[y, x, m] for y in range(3) for x in range(5) for m in (0, 1)] * 2)
    expected = np.stack(
        [slow_crop(i.numpy(), *c) for i, c in zip(images, crops.tolist(), strict=True)]
    )
    np.testing.assert_array_equal(crop_flip(images, crops), expected)
    assert torch.equal(crop_flip(images, torch.tensor([[1, 2, 0]] * 60)), images)


def test_augmentation_by_seed_and_epoch() -> None:
    dataset = tiny(600, augment=True)
    crops = epoch_crops(dataset, 1, 2)
    # Every one of the 3·5·2 crops of an 8×16 image, about equally often.
    crop_counts = torch.unique(crops, dim=0, return_counts=True)[1]
    assert (crops.amin(0).tolist(), crops.amax(0).tolist()) == ([0, 0, 0], [2, 4, 1])
    assert len(crop_counts) == 30
    assert crop_counts.max() < 45  # of 20, by chance
    inputs, targets = batches(dataset, 100, 1, 2)[3]
    expected = [
        slow_crop(dataset.train.images[target].numpy(), *crop)
        for target, crop in zip(targets.tolist(), crops[300:400].tolist(), strict=True)
    ]
    np.testing.assert_allclose(inputs * 255, np.stack(expected), rtol=1e-5)
    assert torch.equal(batches(dataset, 100, 1, 2)[3][0], inputs)
    for seed, epoch in ((1, 3), (2, 2)):
        assert not torch.equal(epoch_crops(dataset, seed, epoch), crops)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"val_size": 1324}, ("data.val_size=1324", "1324")),
        ({"train_size": 1025}, ("data.train_size=1025", "1024")),
        ({"classes": [3, 4], "val_size": 1}, ("data.classes=[3, 4]", "validation")),
    ],
)
def test_settings_that_leave_nothing(settings: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as error:
        load(data(**settings))
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    "settings",
    [
        {"classes": [3]},
        {"classes": [0, 0]},
        {"classes": [10]},
        {"val_size": 0},
        {"train_size": 0},
        {"train_size": 1.5},
        {"standardize": "zca"},
    ],
)
def test_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        data(**settings)


def test_slices() -> None:
    assert [list(range(10)[part]) for part in slices(10, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert list(slices(0, 4)) == []


@pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="MNIST is not at hand")
@pytest.mark.parametrize(("kind", "std"), [("none", 9.4), ("global", 28.0)])
def test_spread_of_z_on_mnist(kind: str, std: float) -> None:
    """z = wᵀx with w ~ N(0, 1) has standard deviation √(n_in·E[x²]): 28 = √784 where E[x²] = 1."""
    images = load(data("mnist", root=str(SHARED))).train.images[:2000]
    scale, shift = _standardization(images, 255, kind)
    x = (images * scale + shift).flatten(1)
    w = torch.randn(784, 200, generator=torch.Generator().manual_seed(0))
    assert (x @ w).std().item() == pytest.approx(std, rel=0.04)
