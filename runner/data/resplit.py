"""Another split of the same examples, so that seeds vary which of them are learnt and which are tested."""

from dataclasses import replace

from runner.data.formats import Raw
from runner.randomness import generator


def resplit(raw: Raw, seed: int) -> Raw:
    """Training and test examples drawn anew from both together, in numbers as before.

    One source of variance among those of Bouthillier et al. 2021, https://arxiv.org/abs/2103.03098: the
    draw without replacement of a finite set.
    """
    import numpy as np
    import torch

    images = np.concatenate([raw.train_images, raw.test_images])
    labels = np.concatenate([raw.train_labels, raw.test_labels])
    order = torch.randperm(len(labels), generator=generator(seed, "split")).numpy()
    train, test = np.split(order, [len(raw.train_labels)])
    return replace(
        raw,
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
    )
