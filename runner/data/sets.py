"""A class for each data set: its settings, its files, and how they are read.

Nothing here imports numpy before the data are read, so that a finished run answers in a moment.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from runner.data.class_names import CIFAR10, CIFAR100, DIGITS, FASHION
from runner.data.files import bundled, check_root, is_absent, load_raw, own, paths_of
from runner.data.fingerprint import combined
from runner.data.origins import ORIGINS
from runner.options.data import Data, Part, Raw
from runner.options.option import Count
from runner.options.registry import option

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Side = Annotated[int, Field(ge=1, le=4096)]


@option("data")
class Downloaded(Data):
    """A set that comes from the network once, and from then on out of the user's cache.

    Attributes:
        root: A folder with mnist/, fashion_mnist/, cifar-10-batches-bin/, cifar-100-binary/ or svhn/;
            null looks at the environment variable RUNNER_DATA, then at the user's cache, then downloads.
    """

    places: ClassVar = ("root",)
    known_classes: ClassVar = {
        "mnist": DIGITS, "fashion_mnist": FASHION, "cifar10": CIFAR10, "cifar100": CIFAR100, "svhn": DIGITS,
    }  # fmt: skip

    name: Literal["mnist", "fashion_mnist", "cifar10", "cifar100", "svhn"]
    root: str | None

    def files(self) -> Mapping[str, Path]:
        return paths_of(self.name, self.root)

    def pinned(self) -> str | None:
        content = ORIGINS[self.name].content
        return combined(content) if content and is_absent(self.name, self.root) else None

    def read(self) -> Raw:
        return load_raw(self.name, self.root)


@option("data")
class Digits(Data):
    """Digits of 8×8 pixels, which come with scikit-learn, in a split that never changes.

    Attributes:
        root: Not needed; a folder all the same, if it is given.
    """

    places: ClassVar = ("root",)
    known_classes: ClassVar = {"digits": DIGITS}

    name: Literal["digits"]
    root: str | None

    def files(self) -> Mapping[str, Path]:
        check_root(self.root)
        return {"digits": bundled("digits.csv.gz")}

    def read(self) -> Raw:
        from runner.data.tables import read_digits

        return read_digits(bundled("digits.csv.gz"))


BUNDLED = {"iris": "iris.csv", "wine": "wine_data.csv", "breast_cancer": "breast_cancer.csv"}


@option("data")
class Table(Data):
    """A small table that comes with scikit-learn.

    Attributes:
        root: Not needed; a folder all the same, if it is given.
        test_size: Examples that are for testing, a number or a fraction, drawn from each class alike.
        split_seed: Which ones follows from it.
    """

    places: ClassVar = ("root",)
    known_classes: ClassVar = {
        "iris": ("setosa", "versicolor", "virginica"),
        "wine": ("class_0", "class_1", "class_2"),
        "breast_cancer": ("malignant", "benign"),
    }

    name: Literal["iris", "wine", "breast_cancer"]
    root: str | None
    test_size: Part
    split_seed: Seed

    def files(self) -> Mapping[str, Path]:
        check_root(self.root)
        return {self.name: bundled(BUNDLED[self.name])}

    def read(self) -> Raw:
        from runner.data.tables import read_bundled

        names = self.known_classes[self.name]
        return read_bundled(bundled(BUNDLED[self.name]), names, self.test_size, self.split_seed)


@option("data")
class Npz(Data):
    """The user's own arrays: an .npz file with x_train, y_train, x_test, y_test.

    It may also hold x_val and y_val, and class_names. x is (n, features), (n, height, width) or
    (n, channels, height, width); y is the number of a class from 0, its name, or a value.

    Attributes:
        path: The file, written by numpy.savez.
        channels: Where the channels of x with four dimensions are: first; last; auto takes the last
            dimension if it is 1, 3 or 4 and the second one is not.
        target_kind: What y is: classes, or values to be predicted.
        split_seed: Which examples are for validation, where there is no x_val, follows from it.
    """

    places: ClassVar = ("path",)

    name: Literal["npz"]
    path: str | None
    channels: Literal["auto", "first", "last"]
    target_kind: Literal["classes", "values"]
    split_seed: Seed

    def files(self) -> Mapping[str, Path]:
        return {"npz": own(self.path, "data.path", "an .npz file, written by numpy.savez")}

    def read(self) -> Raw:
        from runner.data.npz import read_npz

        (path,) = self.files().values()
        return read_npz(path, self.channels, self.target_kind, self.split_seed)


@option("data")
class ImageFolder(Data):
    """The user's own pictures, PNG or JPEG: a folder for each class.

    train/<class>/ and test/<class>/, also val/<class>/; or just <class>/, and some are for testing.

    Attributes:
        path: The folder.
        size: [height, width] that every picture is brought to; null: all have the same size as they are.
        color: grey or rgb; auto is grey if all pictures are.
        test_size: Without a folder test/: examples that are for testing, a number or a fraction, drawn from
            each class alike. null: a fifth.
        split_seed: Which ones follows from it, and the order in which validation takes the last ones.
    """

    places: ClassVar = ("path",)

    name: Literal["image_folder"]
    path: str | None
    size: Annotated[tuple[Side, Side], Field(strict=False)] | None
    color: Literal["auto", "grey", "rgb"]
    test_size: Part | None
    split_seed: Seed

    def files(self) -> Mapping[str, Path]:
        from runner.data.picture_files import pictures_in

        return pictures_in(
            own(self.path, "data.path", "a folder with a folder for each class", folder=True)
        )

    def read(self) -> Raw:
        from runner.data.pictures import read_pictures

        return read_pictures(
            self.files(), self.path or "", self.size, self.color, self.test_size, self.split_seed
        )


@option("data")
class Csv(Data):
    """The user's own table: numbers in columns, one of which is the target.

    Attributes:
        path: The file, in UTF-8.
        target: The target's column: its name, or its number from 1.
        target_kind: What the target is: classes, text or whole numbers, or values to be predicted.
        header: Whether the first row names the columns; auto: if none of its cells is a number.
        delimiter: What stands between cells; auto takes the commonest of comma,
            semicolon and tab in the first row.
        test_path: A file of the same columns for testing; null splits some off.
        test_size: Without test_path: examples that are for testing, a number or a fraction, drawn from each
            class alike. null: a fifth.
        split_seed: Which ones follows from it, and the order in which validation takes the last ones.
    """

    places: ClassVar = ("path", "test_path")

    name: Literal["csv"]
    path: str | None
    target: Count | str | None
    target_kind: Literal["classes", "values"]
    header: Literal["auto"] | bool
    delimiter: Literal["auto", "comma", "semicolon", "tab", "space"]
    test_path: str | None
    test_size: Part | None
    split_seed: Seed

    @field_validator("test_size")
    @classmethod
    def _one_test_set(cls, size: Part | None, info: ValidationInfo) -> Part | None:
        if size is not None and info.data.get("test_path") is not None:
            raise ValueError("data.test_path has the examples for testing; data.test_size=null")
        return size

    def files(self) -> Mapping[str, Path]:
        expected = "a .csv file"
        found = {"csv": own(self.path, "data.path", expected)}
        if self.test_path is not None:
            found["test"] = own(self.test_path, "data.test_path", expected)
        return found

    def read(self) -> Raw:
        from runner.data.tables import read_csv

        files = self.files()
        return read_csv(
            files["csv"],
            files.get("test"),
            target=self.target,
            target_kind=self.target_kind,
            header=self.header,
            delimiter=self.delimiter,
            test_size=self.test_size,
            split_seed=self.split_seed,
        )
