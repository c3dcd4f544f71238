"""Averages of networks: the mean of their class probabilities on the test split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import DataError
from runner.runs.folder import RunFolder

if TYPE_CHECKING:
    import numpy as np


class MissingMember(RuntimeError):
    """A member of an ensemble has no predictions."""


@dataclass(frozen=True)
class Member:
    """One finished run."""

    path: Path

    @cached_property
    def predictions(self) -> "tuple[np.ndarray, np.ndarray]":
        """Probabilities (n, classes) and labels (n,).

        Raises:
            MissingMember: The run did not complete.
        """
        folder = RunFolder(self.path)
        if not self.complete:
            raise MissingMember(f"{folder}: {folder.status or 'not trained'}, no predictions")
        return folder.predictions()

    @property
    def complete(self) -> bool:
        return RunFolder(self.path).status == "complete"

    @property
    def has_predictions(self) -> bool:
        return self.complete and (self.path / "predictions.npz").exists()


def mean_probabilities(members: Sequence[Member]) -> "tuple[np.ndarray, np.ndarray]":
    """p(class) = 1/M · Σ_m p_m(class), (n, classes), and labels (n,).

    Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474.

    Raises:
        MissingMember: A member did not complete.
        DataError: A member's predictions are damaged, or of other examples than the first one's.
    """
    import numpy as np

    _, labels = members[0].predictions
    total = np.zeros(members[0].predictions[0].shape)
    for member in members:
        probabilities, own_labels = member.predictions
        if not np.array_equal(labels, own_labels) or probabilities.shape != total.shape:
            raise DataError(f"{member.path}: tested on other examples than {members[0].path}")
        total += probabilities
    return total / len(members), labels


def ensemble_metrics(members: Sequence[Member]) -> dict[str, float]:
    """test/accuracy, test/error and test/loss (−log of the right class's mean probability).

    Raises:
        MissingMember, DataError: As `mean_probabilities`.
    """
    import numpy as np

    mean, labels = mean_probabilities(members)
    accuracy = float((mean.argmax(axis=1) == labels).mean())
    right = mean[np.arange(len(labels)), labels]
    loss = float(-np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean())
    return {"test/accuracy": accuracy, "test/error": 1 - accuracy, "test/loss": loss}


def disjoint_groups(members: Sequence[Member], size: int) -> list[list[Member]]:
    """Groups of `size` members in order, no member in two; those left over at the end are in none."""
    return [list(members[at : at + size]) for at in range(0, len(members) - size + 1, size)]


def accuracy_by_size(members: Sequence[Member]) -> Iterator[tuple[int, list[float]]]:
    """(size, test accuracy of each disjoint group of that size), from one member to all."""
    for size in range(1, len(members) + 1):
        yield (
            size,
            [ensemble_metrics(group)["test/accuracy"] for group in disjoint_groups(members, size)],
        )
