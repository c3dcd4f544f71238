"""Learning-rate schedules: the factor on `optimizer.lr` as a pure function of the step."""

import math
from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import Field

from runner.options.option import Fraction, NonNegative, Option, Positive
from runner.options.registry import group, option


@group("schedule")
class Schedule(Option):
    """What all schedules have.

    Attributes:
        warmup_epochs: η first rises linearly for so many epochs.
    """

    name: str
    warmup_epochs: NonNegative = 0.0

    @abstractmethod
    def decay(self, epoch: float, epochs: int) -> float:
        """The factor on η at a time of the run, in epochs from 0 to `epochs`; warm-up comes on top."""


@option("schedule")
class Constant(Schedule):
    """η stays as it is."""

    name: Literal["constant"]

    def decay(self, epoch: float, epochs: int) -> float:
        return 1.0


@option("schedule")
class Step(Schedule):
    """η is multiplied by `gamma` at each of the points `at`, fractions of the run in (0, 1).

    Attributes:
        at: The points, fractions of the run.
        gamma: The factor at each of them.
    """

    name: Literal["step"]
    at: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(strict=False, min_length=1)
    ]
    gamma: Positive

    def decay(self, epoch: float, epochs: int) -> float:
        # Not epoch >= point * epochs: 0.55 * 100 is a little more than 55.
        return float(self.gamma ** sum(epoch / epochs >= point for point in self.at))


@option("schedule")
class Exponential(Schedule):
    """η·gamma^epoch, lowered a little at every step.

    Attributes:
        gamma: The factor for each epoch.
    """

    name: Literal["exponential"]
    gamma: Positive

    def decay(self, epoch: float, epochs: int) -> float:
        return float(self.gamma**epoch)


@option("schedule")
class Cosine(Schedule):
    """η falls to `final`·η along half a cosine. Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983.

    Attributes:
        final: What is left of η at the end, as a factor.
    """

    name: Literal["cosine"]
    final: Fraction

    def decay(self, epoch: float, epochs: int) -> float:
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def factor(schedule: Schedule, step: int, steps_per_epoch: int, epochs: int) -> float:
    """The factor on η in step `step`, counted from 0 over the whole run.

    During the first `warmup_epochs` epochs it also rises linearly, from 1/n in the first of the n
    warm-up steps to 1 in the last. Goyal et al. 2017, https://arxiv.org/abs/1706.02677.
    """
    warmup_steps = schedule.warmup_epochs * steps_per_epoch
    warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return warmup * schedule.decay(step / steps_per_epoch, epochs)
