"""One run while it is trained: its settings, and its state between two epochs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from runner.options.optimizers import UpdateRule
from runner.options.schedules import Schedule, factor


@dataclass(eq=False)
class Run:
    """What distinguishes a run from the others that a module trains.

    Attributes:
        seed: The data order follows from it.
        update_rule: With its η.
        schedule: The factor on η at each step.
        epochs: Passes over the training split.
        l1, l2: λ₁ and λ₂.
        max_norm: The largest norm of the weights into a unit; 0 where there is no limit.
        tensors: The network's parameters and buffers by name.
        saved: The names of those that a checkpoint holds.
        optimizer_state: Of each parameter by its number, as torch.optim has it; empty before the
            first step of a rule that starts from nothing.
        epoch: Finished epochs, those before a resumption counted.
        seconds: Spent in training steps.
        metrics: Of the last epoch.
        broken_at: The step, counted from 1, after which something was not finite; None so far.
    """

    seed: int
    update_rule: UpdateRule
    schedule: Schedule
    epochs: int
    l1: float
    l2: float
    max_norm: float
    tensors: dict[str, Tensor]
    saved: Sequence[str]
    optimizer_state: dict[int, dict[str, Any]] = field(default_factory=dict)
    epoch: int = 0
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    broken_at: int | None = None

    def lr(self, step: int, steps_per_epoch: int) -> float:
        """η in step `step`, counted from 0 over the whole run."""
        return self.update_rule.lr * factor(self.schedule, step, steps_per_epoch, self.epochs)

    @property
    def update_settings(self) -> str:
        """Equal for runs whose parameters are updated in the same way from now on."""
        return f"{self.update_rule!r} {self.schedule!r} {self.epochs} {self.epoch}"

    def resume(self, checkpoint: dict[str, Any]) -> None:
        """Goes back to the state that a checkpoint holds."""
        self.load_weights(checkpoint["state_dict"])
        self.optimizer_state = dict(checkpoint["optimizer_states"][0]["state"])
        self.epoch = checkpoint["epoch"]
        self.seconds = checkpoint["seconds"]

    def load_weights(self, state_dict: dict[str, Tensor]) -> None:
        """Takes parameters and saved buffers from a checkpoint.

        Raises:
            KeyError: One is missing.
        """
        self.tensors |= {name: state_dict[name] for name in self.saved}


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """A network's parameters and buffers by name."""
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    return parameters | dict(network.named_buffers())
