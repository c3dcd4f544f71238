"""Networks: from images of shape (batch, channels, height, width) to outputs (batch, outputs), before any activation."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from runner.options.option import Counts, Option, Positive
from runner.options.registry import group, option

if TYPE_CHECKING:
    from torch import nn

    from runner.options.regularizers import Regularizer

Activation = Literal["sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "softplus"]
Shape = tuple[int, int, int]  # channels, height, width
NonEmpty = Annotated[Counts, Field(min_length=1)]


@group("architecture")
class Architecture(Option):
    """What all architectures have.

    Attributes:
        hidden: The widths of the fully connected hidden layers.
        activation: The hidden units' g.
        classifies: Whether its last layer is made for classes and for nothing else.
    """

    classifies: ClassVar[bool] = False

    name: str
    hidden: Counts
    activation: Activation

    @property
    @abstractmethod
    def num_layers(self) -> int:
        """How many layers have weights."""

    @abstractmethod
    def build(self, shape: Shape, outputs: int, regularizer: "Regularizer") -> "nn.Module":
        """The network: from images (batch, *shape) to outputs (batch, outputs), before any activation."""

    def problems(self, regularizer: "Regularizer") -> Iterator[str]:
        """The settings that the network cannot honour, in words."""
        yield from ()


@option("architecture")
class MLP(Architecture):
    """A fully connected network.

    Attributes:
        hidden: The widths of its hidden layers; none makes it (multinomial) logistic regression.
    """

    name: Literal["mlp"]

    @property
    def num_layers(self) -> int:
        return len(self.hidden) + 1

    def problems(self, regularizer: "Regularizer") -> Iterator[str]:
        if not self.hidden:
            given = {"dropout": regularizer.dropout, "batch_norm": regularizer.batch_norm}
            for key in (key for key, value in given.items() if value):
                yield f"regularizer.{key} needs hidden layers; architecture.hidden is []"

    def build(self, shape: Shape, outputs: int, regularizer: "Regularizer") -> "nn.Module":
        from torch import nn

        from runner.options.layers import Builder

        build = Builder(regularizer, self.activation)
        channels, height, width = shape
        inputs = channels * height * width
        return nn.Sequential(
            nn.Flatten(),
            *build.input_dropout(),
            *build.fully_connected(inputs, self.hidden),
            build.output((inputs, *self.hidden)[-1], outputs),
        )


@option("architecture")
class ConvNet(Architecture):
    """3×3 convolutions, each followed by 2×2 max-pooling, then fully connected layers.

    Attributes:
        channels: The channels of each convolution. Each halves height and width, down to 1.
    """

    name: Literal["convnet"]
    channels: NonEmpty

    @property
    def num_layers(self) -> int:
        return len(self.channels) + len(self.hidden) + 1

    def build(self, shape: Shape, outputs: int, regularizer: "Regularizer") -> "nn.Module":
        from torch import nn

        from runner.options.layers import Builder

        build = Builder(regularizer, self.activation)
        depth, height, width = shape
        convolutions = []
        for channels in self.channels:
            pool = nn.MaxPool2d(2) if min(height, width) > 1 else None
            convolutions.append(build.convolution(depth, channels, kernel=3, pool=pool, end=True))
            depth = channels
            if pool:
                height, width = height // 2, width // 2
        inputs = depth * height * width
        return nn.Sequential(
            *build.input_dropout(),
            *convolutions,
            nn.Flatten(),
            *build.fully_connected(inputs, self.hidden),
            build.output((inputs, *self.hidden)[-1], outputs),
        )


@option("architecture")
class NIN(Architecture):
    """Network in Network: three mlpconv blocks (a convolution and two 1×1 convolutions) and a head.

    Blocks 5×5/192-160-96, 5×5/192-192-192 and 3×3/192-192-classes; after each of the first two 3×3
    max-pooling with stride 2 and dropout. Lin et al. 2014, https://arxiv.org/abs/1312.4400, with the
    widths of the authors' CIFAR-10 network.

    Attributes:
        head: gap averages each class's map over the image; fc puts a fully connected layer on the
            maps; fc_dropout puts dropout before that layer.
        width: Multiplies the numbers of channels: 1 is the paper's network, less runs on a CPU.
        hidden: Always empty: the widths follow from `width`.
        activation: g after each convolution, also the last.
    """

    classifies = True
    name: Literal["nin"]
    head: Literal["fc", "fc_dropout", "gap"]
    width: Positive
    hidden: Annotated[tuple[()], Field(strict=False)]
    activation: Activation

    @property
    def num_layers(self) -> int:
        return 9 if self.head == "gap" else 10

    def problems(self, regularizer: "Regularizer") -> Iterator[str]:
        if self.head == "fc_dropout" and not regularizer.dropout:
            yield "architecture.head=fc_dropout needs regularizer.dropout above 0"

    def build(self, shape: Shape, outputs: int, regularizer: "Regularizer") -> "nn.Module":
        from torch import nn

        from runner.options.layers import Builder, Dropout, GlobalAverage

        build = Builder(regularizer, self.activation)
        a, b, c = (max(1, round(self.width * channels)) for channels in (192, 160, 96))
        depth, height, width = shape
        maps = nn.Sequential(
            *build.input_dropout(),
            build.convolution(depth, a, kernel=5),
            build.convolution(a, b, kernel=1),
            build.convolution(b, c, kernel=1, pool=nn.MaxPool2d(3, 2, ceil_mode=True), end=True),
            build.convolution(c, a, kernel=5),
            build.convolution(a, a, kernel=1),
            build.convolution(a, a, kernel=1, pool=nn.MaxPool2d(3, 2, ceil_mode=True), end=True),
            build.convolution(a, a, kernel=3),
            build.convolution(a, a, kernel=1),
            build.convolution(a, outputs, kernel=1),
        )
        if self.head == "gap":
            return maps.append(GlobalAverage())
        maps.append(nn.Flatten())
        if self.head == "fc_dropout":
            maps.append(Dropout(regularizer.dropout))
        return maps.append(build.output(outputs * (height // 4) * (width // 4), outputs))
