"""What a task promises: what is learnt, what a network is held to, what is measured of it, and what is shown.

Shape suffixes: R runs, B examples of a batch, N examples of a split or an epoch, K outputs, M numbers.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, ClassVar, cast

from runner.options.architectures import Architecture, Shape
from runner.options.losses import Loss, Target
from runner.options.option import Option
from runner.options.registry import OPTIONS, group, names_of

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

SHOWN = 12  # examples in a picture


@dataclass(frozen=True)
class Metric:
    """A number of a split: its name, which way is better, and how it is shown."""

    name: str
    higher_is_better: bool = False
    percent: bool = False  # it is a share in [0, 1]

    @property
    def worst(self) -> float:
        """What a run that diverged counts as."""
        return -inf if self.higher_is_better else inf

    def shown(self, value: float | None) -> str:
        if value is None or not isfinite(value):
            return "–"
        return f"{value:.2%}" if self.percent else f"{value:.4g}"


@dataclass(frozen=True)
class Facts:
    """What a task knows of the data, from the training examples alone.

    Attributes:
        data: The name of the data set.
        shape: Of an input: channels, height, width.
        class_names: None where the targets are values.
        low, high: The smallest and the largest value of an input as a network gets it.
        mean, spread: The mean and the standard deviation of the targets, where they are values.
    """

    data: str
    shape: Shape
    class_names: tuple[str, ...] | None
    low: float
    high: float
    mean: float = 0.0
    spread: float = 1.0


@dataclass(frozen=True)
class Evaluated:
    """A run on the test split, on the CPU.

    Attributes:
        answers: (n, ...), as `Task.answers` gives them.
        targets: (n,).
        images: (n, channels, height, width), as they are stored.
        inputs: The first few as the network got them.
        clean: The same before they were corrupted.
        facts: Of the data.
    """

    answers: "Tensor"
    targets: "Tensor"
    images: "Tensor"
    inputs: "Tensor"
    clean: "Tensor"
    facts: Facts


@dataclass(frozen=True)
class Findings:
    """What a run leaves besides its metrics: predictions.npz, more of result.json, and pictures by name."""

    arrays: dict[str, "np.ndarray"]
    scores: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, "Image"] = field(default_factory=dict)


@group("task")
class Task(Option):
    """What is learnt. Nothing else in the runner knows one task from another.

    Attributes:
        targets: What a loss must be able to be held to: one of these will do.
        metrics: Of every split, in the order of `measure`; the first is the loss.
        tested: Of the test split besides; see `also_tested`.
        criterion: The metric that chooses the best epoch, ranks a sweep and tunes a study.
        pictures: What each picture of `findings` shows, by its name, in the order of the report.
    """

    targets: ClassVar[tuple[Target, ...]]
    metrics: ClassVar[tuple[Metric, ...]]
    tested: ClassVar[tuple[Metric, ...]] = ()
    criterion: ClassVar[str]
    pictures: ClassVar[Mapping[str, str]] = {}

    name: str

    @classmethod
    def metric(cls, name: str) -> Metric:
        """One of its metrics: accuracy, or val/accuracy."""
        known = {metric.name: metric for metric in (*cls.metrics, *cls.tested)}
        return known[name.rpartition("/")[2]]

    @classmethod
    def names(cls, split: str) -> list[str]:
        """Of the metrics of a split: val/loss, val/accuracy, ..."""
        metrics = (*cls.metrics, *(cls.tested if split == "test" else ()))
        return [f"{split}/{metric.name}" for metric in metrics]

    @classmethod
    def reported(cls) -> Metric:
        """The metric of the test split by which results are compared."""
        return cls.tested[0] if cls.tested else cls.metric(cls.criterion)

    @property
    def draws(self) -> bool:
        """Whether inputs are corrupted with random numbers."""
        return False

    # What does not fit

    def problems(self, architecture: Architecture, loss: Loss) -> Iterator[str]:
        """Which other settings it cannot do with, in words."""
        if not set(self.targets) & set(loss.targets):
            fit = [
                names_of(kind)[0]
                for kind in OPTIONS["loss"].values()
                if issubclass(kind, Loss) and set(self.targets) & set(kind.targets)
            ]
            yield f"loss={loss.name} does not fit task={self.name}; loss={' or '.join(fit)}"

    def misfits(self, facts: Facts, loss: Loss) -> Iterator[str]:
        """Why these data are not to be learnt so, in words."""
        yield from ()

    # What is learnt

    @abstractmethod
    def num_outputs(self, facts: Facts) -> int:
        """Of the network."""

    def examples(
        self, inputs: "Tensor", targets: "Tensor", noise: "Tensor | None", facts: Facts
    ) -> "tuple[Tensor, Tensor]":
        """What the network gets, and what its outputs are held to.

        Args:
            inputs: (..., batch, channels, height, width), augmented and standardized.
            targets: (..., batch): the classes' numbers, or values.
            noise: Uniform in (−1, 1), of the inputs' shape; None unless it `draws`.
            facts: Of the data.
        """
        return inputs, targets

    # What is measured

    def num_kept(self, facts: Facts) -> int:
        """How many numbers `kept` keeps of an example."""
        return self.num_outputs(facts)

    def kept(self, loss: Loss, outputs_RBK: "Tensor", targets: "Tensor") -> "Tensor":
        """Of every example what `measure` needs, (runs, batch, numbers): here the outputs.

        Args:
            loss: C₀.
            outputs_RBK: Before any activation.
            targets: As `examples` gives them, with or without a first axis of runs.
        """
        return outputs_RBK

    @abstractmethod
    def measure(self, loss: Loss, kept_RNM: "Tensor", targets: "Tensor", facts: Facts) -> "Tensor":
        """The metrics of a split, (metrics, runs), from what was kept of its examples.

        Args:
            loss: C₀.
            kept_RNM: See `kept`.
            targets: As in the data, (runs, n), or (n,) where all runs have the same.
            facts: Of the data.
        """

    def also_tested(self, metrics: dict[str, float]) -> dict[str, float]:
        """The metrics `tested`, from those of the test split, by name without the split."""
        return {}

    # What is found

    @abstractmethod
    def answers(self, loss: Loss, outputs_NK: "Tensor", facts: Facts) -> "Tensor":
        """What a network says of examples, in the units of the data."""

    @abstractmethod
    def findings(self, evaluated: Evaluated) -> Findings:
        """What a run on the test split leaves."""


def all_metrics() -> dict[str, Metric]:
    """The metrics of all tasks by name; of the test split's own ones, too."""
    return {m.name: m for kind in all_tasks() for m in (*kind.metrics, *kind.tested)}


def names_in(split: str) -> list[str]:
    """The names of a split's metrics, of all tasks."""
    return list(dict.fromkeys(name for kind in all_tasks() for name in kind.names(split)))


def all_tasks() -> list[type[Task]]:
    """Also the user's, which need not be derived from Task."""
    return cast(list[type[Task]], list(OPTIONS["task"].values()))
