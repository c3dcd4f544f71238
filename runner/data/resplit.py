"""Another split of the same examples, so that seeds vary which of them are learnt and which are tested."""

from dataclasses import replace

from runner.options.data import Raw
from runner.randomness import generator


def resplit(raw: Raw, seed: int) -> Raw:
    """Training and test examples drawn anew from both together, in numbers as before.

    One source of variance among those of Bouthillier et al. 2021, https://arxiv.org/abs/2103.03098: the
    draw without replacement of a finite set.
    """
    import numpy as np
    import torch

    images = np.concatenate([raw.train_images, raw.test_images])
    targets = np.concatenate([raw.train_targets, raw.test_targets])
    order = torch.randperm(len(targets), generator=generator(seed, "split")).numpy()
    train, test = np.split(order, [len(raw.train_targets)])
    return replace(
        raw,
        train_images=images[train],
        train_targets=targets[train],
        test_images=images[test],
        test_targets=targets[test],
    )
