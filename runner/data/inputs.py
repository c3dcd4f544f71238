"""What a network takes: kept with its weights, so that using it needs no data set."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from runner.data.examples import Dataset

SAMPLE = 1000  # training images that black, white and mean are taken from
BYTE = 127  # bytes that go beyond it are taken to go up to 255


@dataclass(frozen=True)
class Inputs:
    """The images that a network was trained on, in the units of its data set.

    Attributes:
        shape: Channels, height, width.
        scale, shift: A stored image becomes the network's input by image·scale + shift; float32, of shape ()
            or (channels, height, width).
        class_names: None where the targets are values.
        black, white: The values that stand for a picture's darkest and brightest.
        mean: Of all values.
        bytes: Whether images are stored as uint8.
    """

    shape: tuple[int, int, int]
    scale: "Tensor"
    shift: "Tensor"
    class_names: tuple[str, ...] | None
    black: float
    white: float
    mean: float
    bytes: bool

    @classmethod
    def of(cls, data: "Dataset") -> "Inputs":
        """Those of the networks that are trained on a data set."""
        import torch

        images = data.train.images[:SAMPLE]
        values, bytes = images.float(), images.dtype == torch.uint8
        low, high = values.min().item(), values.max().item()
        return cls(
            shape=data.shape,
            scale=data.scale.cpu(),
            shift=data.shift.cpu(),
            class_names=data.class_names,
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
            found = cls(**values)
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
        if not all(abs(v) < float("inf") for v in (self.black, self.white, self.mean)):
            return "black, white or mean are not finite"
        return None
