"""Which examples a network sees, and how."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from runner.options.option import Count, Option


def _distinct(classes: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(classes)) < len(classes):
        raise ValueError(f"names a class twice: {list(classes)}")
    return classes


Size = Count | Annotated[float, Field(gt=0, le=1)]
Class = Annotated[int, Field(ge=0, le=9)]
Classes = Annotated[tuple[Class, ...], Field(strict=False, min_length=2), AfterValidator(_distinct)]


class Data(Option):
    """Which examples a network sees, and how.

    Attributes:
        name: The data set.
        root: A folder with mnist/, fashion_mnist/ or cifar-10-batches-bin/; null looks at the
            environment variable RUNNER_DATA, then at the user's cache, then downloads.
        classes: Keep only these classes, two or more, numbered from 0 in this order; null keeps all.
        val_size: The number of examples at the end of the training file that are for validation.
        train_size: How many of the remaining examples are trained on: a number or a fraction. They are
            taken in turns from each class, from the front of the file.
        standardize: Subtract the mean and divide by the standard deviation of the training
            examples: none (pixels stay in [0, 1]), global (one mean for all pixels), per_feature.
        augment: none, or crop_flip: a random crop of the image padded by an eighth, mirrored half
            the time.
        split_seed: Draws training, validation and test examples anew from all of them, in numbers as before;
            null keeps the official split.
    """

    name: Literal["digits", "mnist", "fashion_mnist", "cifar10"]
    root: str | None
    classes: Classes | None
    val_size: Count
    train_size: Size
    standardize: Literal["none", "global", "per_feature"]
    augment: Literal["none", "crop_flip"]
    split_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None

    # train_size is 1 for one example and 1.0 for all: equal numbers to Python, not to the caches.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Data) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))
