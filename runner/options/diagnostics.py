"""What is measured inside the layers."""

from runner.options.option import Option
from runner.options.registry import group


@group("diagnostics")
class Diagnostics(Option):
    """Statistics and histograms of every layer after each epoch.

    Attributes:
        layers: Whether they are computed.
    """

    layers: bool
