"""How examples are divided: by a seed, from each class alike; by number or fraction."""

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


def spread(targets: npt.NDArray[np.generic], seed: int) -> Numbers:
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
    found: Numbers = order[np.argsort(place, kind="stable")]
    return found


def part(size: int | float, total: int) -> int:
    """How many examples a number, or a fraction, of a total is; at least one."""
    return size if isinstance(size, int) else max(1, round(size * total))
