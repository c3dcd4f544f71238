"""What a task needs to know of the data."""

from functools import cache

from runner.data import examples
from runner.options.data import Data
from runner.options.task import Facts


@cache
def facts_of(data: Data) -> Facts:
    """The facts of a data set, from its training examples alone."""
    dataset = examples.load(data)
    images, targets = dataset.train.images, dataset.train.targets.double()
    ends = dataset.inputs(images.amin(0)), dataset.inputs(images.amax(0))  # the scale is positive
    spread = float(targets.std(correction=0))
    return Facts(
        data=data.name,
        shape=dataset.shape,
        class_names=dataset.class_names,
        low=float(ends[0].min()),
        high=float(ends[1].max()),
        mean=float(targets.mean()),
        spread=spread or 1.0,
    )
