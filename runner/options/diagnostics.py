"""What is measured inside the layers."""

from typing import TYPE_CHECKING

from runner.options.option import Option
from runner.options.registry import group

if TYPE_CHECKING:
    from torch import Tensor


@group("diagnostics")
class Diagnostics(Option):
    """Statistics and histograms of every layer after each epoch.

    Attributes:
        layers: Whether they are computed.
    """

    layers: bool

    def of_layer(
        self, weight: "Tensor", y: "Tensor", a: "Tensor", gradient: "Tensor"
    ) -> "dict[str, float]":
        """Further numbers of a layer, by name: they become metrics such as `name/1` of the first layer.

        Args:
            weight: (out, in) or (out, in, k, k).
            y: What the activation takes, (batch, units) or (batch, units, height, width).
            a: What it gives, of the same shape.
            gradient: ∂C₀/∂y of each example, of the same shape.
        """
        return {}
