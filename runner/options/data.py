"""Which examples a network sees, and how: what all data sets have in common."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from runner.options.option import Count, Option
from runner.options.registry import group

if TYPE_CHECKING:
    import numpy as np


def _distinct(classes: tuple[int | str, ...]) -> tuple[int | str, ...]:
    if len(set(classes)) < len(classes):
        raise ValueError(f"names a class twice: {list(classes)}")
    return classes


Size = Count | Annotated[float, Field(gt=0, le=1)]
Part = Count | Annotated[float, Field(gt=0, lt=1)]  # of what is split, which leaves a rest
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Class = Annotated[int, Field(ge=0)] | str
Classes = Annotated[tuple[Class, ...], Field(strict=False, min_length=2), AfterValidator(_distinct)]


@dataclass(frozen=True)
class Raw:
    """A data set as it is read, before any setting that all data sets share is applied.

    Images have the shape (n, channels, height, width): uint8 from 0 to `maximum`, or float32. A table's
    features are channels of one pixel. Targets have the shape (n,): int64, the number of a class from 0,
    or float32 where `class_names` is None. The order counts: validation takes the end of `train`.

    Attributes:
        val_images, val_targets: None where the data have no validation examples of their own.
        maximum: What a stored 1.0 is: 255 for pixels of a byte; 1 leaves features as they are.
    """

    train_images: "np.ndarray"
    train_targets: "np.ndarray"
    test_images: "np.ndarray"
    test_targets: "np.ndarray"
    maximum: int
    class_names: tuple[str, ...] | None
    val_images: "np.ndarray | None" = None
    val_targets: "np.ndarray | None" = None


@group("data")
class Data(Option):
    """What every data set can be asked for: which examples, and how a network sees them.

    Attributes:
        name: The data set.
        classes: Keep only these classes, two or more, by name or by number, numbered from 0 in this order;
            null keeps all.
        val_size: How many examples at the end of the training examples are for validation: a number or a
            fraction. null takes the data's own validation examples, or a tenth where there are none.
        train_size: How many of the remaining examples are trained on: a number or a fraction. They are
            taken in turns from each class, from the front.
        standardize: Subtract the mean and divide by the standard deviation of the training
            examples: none (pixels stay in [0, 1]), global (one mean for all pixels), per_feature.
        augment: none, or crop_flip: a random crop of the image padded by an eighth, mirrored half
            the time.
        split_seed: Draws training, validation and test examples anew from all of them, in numbers as before;
            null keeps the official split.
    """

    divides: ClassVar[bool] = False  # `read` draws the splits by `split_seed`
    places: ClassVar[tuple[str, ...]] = ()  # settings that say where the files lie, and no more
    known_classes: ClassVar[
        Mapping[str, tuple[str, ...]]
    ] = {}  # by `name`, where no file has to tell

    name: str
    classes: Classes | None = None
    val_size: Part | None = None
    train_size: Size = 1.0
    standardize: Literal["none", "global", "per_feature"] = "none"
    augment: Literal["none", "crop_flip"] = "none"
    split_seed: Seed | None = None

    @field_validator("classes")
    @classmethod
    def _classes_are_known(cls, classes: Classes | None, info: ValidationInfo) -> Classes | None:
        if classes and info.data.get("name") in cls.known_classes:
            class_numbers(classes, cls.known_classes[info.data["name"]])
        return classes

    @abstractmethod
    def read(self) -> Raw:
        """Reads the whole data set; only here numpy is imported.

        Raises:
            DataError: A file is missing or damaged.
        """

    def files(self) -> Mapping[str, Path]:
        """The files that `read` reads, each by a name that stays when the data are moved.

        Their content is the data's fingerprint, a part of the run's identity. Files that have to be
        downloaded are there afterwards.

        Raises:
            DataError: A file is missing.
        """
        return {}

    def pinned(self) -> str | None:
        """The fingerprint of files that are not on this machine, where it is known without them."""
        return None

    # train_size is 1 for one example and 1.0 for all: equal numbers to Python, not to the caches.
    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Data) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


def class_numbers(wanted: Sequence[int | str], names: Sequence[str]) -> list[int]:
    """The numbers of classes: by name, else, where no class has such a name, by number from 0.

    Raises:
        ValueError: There is no such class, or one is named twice.
    """
    numbers = []
    for given in wanted:
        if str(given) in names:
            numbers.append(names.index(str(given)))
        elif isinstance(given, int) and given < len(names):
            numbers.append(given)
        else:
            close = get_close_matches(str(given), names, n=1, cutoff=0.5)
            hint = f"; did you mean '{close[0]}'?" if close else "."
            shown = ", ".join(names[:20]) + (f", ... ({len(names)})" if len(names) > 20 else "")
            raise ValueError(f"there is no class {given!r}{hint} Known: {shown}")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"names a class twice: {list(wanted)}")
    return numbers
