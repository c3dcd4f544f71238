"""What a network takes: kept with its weights, so that using it needs no data set."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import DataError
from runner.options.task import Facts

if TYPE_CHECKING:
    from torch import Tensor

    from runner.data.examples import Dataset

SAMPLE = 1000  # training images that black, white and mean are taken from
BYTE = 127  # bytes that go beyond it are taken to go up to 255


@dataclass(frozen=True)
class Inputs:
    """The images that a network was trained on, in the units of its data set.

    Attributes:
        facts: What its task knew of the data: shape, classes, ranges.
        scale, shift: A stored image becomes the network's input by image·scale + shift; float32, of shape ()
            or (channels, height, width).
        black, white: The values that stand for a picture's darkest and brightest.
        mean: Of all values.
        bytes: Whether images are stored as uint8.
    """

    facts: Facts
    scale: "Tensor"
    shift: "Tensor"
    black: float
    white: float
    mean: float
    bytes: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.facts.shape

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """None where the targets are values."""
        return self.facts.class_names

    @classmethod
    def of(cls, data: "Dataset", facts: Facts) -> "Inputs":
        """Those of the networks that are trained on a data set."""
        import torch

        images = data.train.images[:SAMPLE]
        values, bytes = images.float(), images.dtype == torch.uint8
        low, high = values.min().item(), values.max().item()
        return cls(
            facts=facts,
            scale=data.scale.cpu(),
            shift=data.shift.cpu(),
            black=0.0 if bytes else low,
            white=255.0 if bytes and high > BYTE else high,
            mean=values.mean().item(),
            bytes=bytes,
        )

    def saved(self) -> dict[str, Any]:
        """For a checkpoint: tensors and plain values."""
        return asdict(self)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "Inputs":
        """What `saved` has written.

        Raises:
            DataError: It is something else.
        """
        try:
            found = cls(**{**values, "facts": Facts(**values["facts"])})
            problem = found._problem()
        except Exception as error:  # whatever a forged checkpoint holds
            problem = f"{type(error).__name__}: {error}"
        if problem:
            raise DataError(f"inputs: {problem}".splitlines()[0])
        return found

    def _problem(self) -> str | None:
        import torch

        shape = self.shape
        if len(shape) != 3 or not all(type(size) is int and size > 0 for size in shape):
            return f"shape {shape!r}"
        for tensor in (self.scale, self.shift):
            if tensor.dtype != torch.float32 or tensor.shape not in ((), shape):
                return f"scale or shift of {tensor.dtype} and shape {tuple(tensor.shape)}"
            if not tensor.isfinite().all():
                return "scale or shift are not finite"
        if self.class_names is not None and not (
            self.class_names and all(isinstance(name, str) for name in self.class_names)
        ):
            return f"class_names {self.class_names!r}"
        facts = self.facts
        ends = (facts.low, facts.high, facts.mean, facts.spread)
        if not all(abs(v) < float("inf") for v in (self.black, self.white, self.mean, *ends)):
            return "a range or a mean is not finite"
        return None
