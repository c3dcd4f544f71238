import numpy as np

from runner.data.resplit import resplit
from runner.options.data import Raw

N, TEST = 30, 10
IMAGES = np.arange(N, dtype=np.uint8).reshape(N, 1, 1, 1)
LABELS = np.arange(N, dtype=np.int64) % 10
RAW = Raw(IMAGES[TEST:], LABELS[TEST:], IMAGES[:TEST], LABELS[:TEST], 255, None)


def test_every_example_is_in_one_split_with_its_own_label() -> None:
    new = resplit(RAW, 3)
    assert (len(new.train_images), len(new.test_images)) == (N - TEST, TEST)
    images = np.concatenate([new.train_images, new.test_images]).ravel()
    assert sorted(images) == list(range(N))
    assert (np.concatenate([new.train_targets, new.test_targets]) == images % 10).all()


def test_the_seed_draws_it() -> None:
    assert (resplit(RAW, 3).test_images == resplit(RAW, 3).test_images).all()
    assert (resplit(RAW, 3).test_images != resplit(RAW, 4).test_images).any()
    assert (resplit(RAW, 3).test_images != RAW.test_images).any()
