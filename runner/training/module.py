"""The LightningModule of one run: forward, cost, gradient, update; and what is measured every epoch."""

import time
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from runner.data.examples import Dataset, Epoch, Split, slices
from runner.options.layers import weights
from runner.options.losses import Loss
from runner.options.optimizers import Optimizer
from runner.options.regularizers import limit_norm, penalty
from runner.options.schedules import Schedule, factor
from runner.training.metrics import split_metrics

STEPS_PER_BLOCK = (
    16  # Lightning's loop costs about 0.2 ms a turn: as much as a small network's step
)
EVALUATION_BATCH = 500


class Loader(list[Any]):
    """Which batches to take: to Lightning, which would see a plain list as several data loaders, one."""


class Diverged(RuntimeError):
    """The cost is no longer a finite number."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss is not finite at step {step}")
        self.step = step


class RunModule(pl.LightningModule):
    """A network in training: C = C₀ + l1·Σ|w| + (l2/2)·Σw², minimised by one of the update rules.

    Args:
        network: From inputs (batch, channels, height, width) to logits (batch, classes).
        loss: C₀ of logits and targets, a mean over the batch.
        optimizer: The update rule, with its η.
        schedule: The factor on η at each step.
        data: The three splits.
        batch_size: Examples per step.
        seed: The data order follows from it.
        epochs: Passes over the training split.
        l1, l2: λ₁ and λ₂.
        max_norm: The largest norm of the weights into a unit, or None.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        optimizer: Optimizer,
        schedule: Schedule,
        data: Dataset,
        batch_size: int,
        seed: int,
        epochs: int,
        l1: float = 0.0,
        l2: float = 0.0,
        max_norm: float | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # a turn of Lightning's loop is a block of steps here
        self.network = network
        self.weights = weights(network)
        self.loss = loss
        self.update_rule = optimizer
        self.schedule = schedule
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.epochs = epochs
        self.l1, self.l2, self.max_norm = l1, l2, max_norm
        self.steps_per_epoch = len(data.train) // batch_size
        self.epoch = 0  # finished epochs, those before a resumption counted
        self.seconds = 0.0  # spent in training steps
        # Logits and targets of each split since the epoch began.
        self.outputs: dict[str, list[tuple[Tensor, Tensor]]] = {"train": [], "val": [], "test": []}
        self.metrics: dict[str, float] = {}  # of the epoch that has ended

    def training_state(self) -> dict[str, Any]:
        """All that the rest of the training depends on, at the end of an epoch."""
        return {
            "epoch": self.epoch,
            "global_step": self.epoch * self.steps_per_epoch,
            "seconds": self.seconds,
            "state_dict": self.network.state_dict(),
            "optimizer_states": [self.optimizer.state_dict()],
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Goes back to a training state; the optimizer's part is loaded once there is an optimizer."""
        self.network.load_state_dict(state["state_dict"])
        self.epoch = state["epoch"]
        self.seconds = state["seconds"]

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.network(inputs)
        return logits

    # Training

    def configure_optimizers(self) -> torch.optim.Optimizer:
        self.optimizer = self.update_rule.build(self.network.parameters())
        return self.optimizer

    def train_dataloader(self) -> "Loader":
        """The numbers of an epoch's batches in blocks; `Epoch` makes the batches."""
        numbers = list(range(self.steps_per_epoch))
        # The last step stands alone, so that a callback can compare the weights before and after it.
        blocks = [numbers[part] for part in slices(len(numbers) - 1, STEPS_PER_BLOCK)]
        return Loader([*blocks, numbers[-1:]])

    def on_train_epoch_start(self) -> None:
        self.batches = Epoch(self.data, self.batch_size, self.seed, self.epoch)

    def training_step(self, block: list[int], index: int) -> None:
        start = time.perf_counter()
        for number in block:
            self.step(*self.batches.batch(number), self.epoch * self.steps_per_epoch + number)
        self.check_finite(block)
        self.seconds += time.perf_counter() - start

    def step(self, inputs: Tensor, targets: Tensor, step: int) -> None:
        """One update of the parameters; `step` counts from 0 over the whole run."""
        logits = self.network(inputs)
        cost = self.loss(logits, targets) + penalty(self.weights, self.l1, self.l2)
        self.optimizer.zero_grad()
        cost.backward()
        self.optimizer.param_groups[0]["lr"] = self.lr(step)
        self.optimizer.step()
        if self.max_norm:
            with torch.no_grad():
                limit_norm(self.weights, self.max_norm)
        self.outputs["train"].append((logits.detach(), targets))

    def lr(self, step: int) -> float:
        """η in step `step`."""
        return self.update_rule.lr * factor(self.schedule, step, self.steps_per_epoch, self.epochs)

    def check_finite(self, block: list[int]) -> None:
        """Raises Diverged at the first step of the block whose logits are not finite."""
        recent = torch.stack([logits.sum() for logits, _ in self.outputs["train"][-len(block) :]])
        finite = recent.isfinite()
        if not finite.all():
            number = block[int(finite.int().argmin())]
            raise Diverged(self.epoch * self.steps_per_epoch + number + 1)

    # Measuring: metrics are computed once an epoch, from all of its logits

    def val_dataloader(self) -> "Loader":
        return Loader(slices(len(self.data.val), EVALUATION_BATCH))

    def test_dataloader(self) -> "Loader":
        return Loader(slices(len(self.data.test), EVALUATION_BATCH))

    def validation_step(self, part: slice, index: int) -> None:
        self.outputs["val"].append(self.evaluate(self.data.val, part))

    def test_step(self, part: slice, index: int) -> None:
        self.outputs["test"].append(self.evaluate(self.data.test, part))

    def evaluate(self, split: Split, part: slice) -> tuple[Tensor, Tensor]:
        """Logits (n, classes) and targets (n,) of a part of a split."""
        inputs, targets = self.batch_of(split, part)
        return self(inputs), targets

    def batch_of(self, split: Split, part: slice) -> tuple[Tensor, Tensor]:
        """Inputs (n, channels, height, width) and targets (n,) of a part of a split."""
        images, targets = split.images[part].to(self.device), split.labels[part].to(self.device)
        return self.data.inputs(images), targets

    @torch.no_grad()
    def untrained_metrics(self) -> dict[str, float]:
        """The metrics before the first step; train's are of the first 500 examples."""
        self.eval()
        for part in self.val_dataloader():
            self.outputs["val"].append(self.evaluate(self.data.val, part))
        self.outputs["train"].append(self.evaluate(self.data.train, slice(0, EVALUATION_BATCH)))
        metrics = self.measured("train") | self.measured("val")
        self.train()
        return metrics

    def on_validation_epoch_end(self) -> None:
        self.metrics = self.measured("val")

    def on_train_epoch_end(self) -> None:
        self.metrics |= self.measured("train") | {"lr": self.optimizer.param_groups[0]["lr"]}
        self.epoch += 1

    def on_test_epoch_end(self) -> None:
        logits = torch.cat([logits for logits, _ in self.outputs["test"]]).float()
        self.predictions = self.loss.probabilities(logits), self.data.test.labels
        self.metrics = self.measured("test")

    def measured(self, split: str) -> dict[str, float]:
        """The metrics over all outputs of a split since the epoch began, which are then forgotten."""
        logits, targets = zip(*self.outputs[split], strict=True)
        self.outputs[split].clear()
        return split_metrics(split, self.loss, torch.cat(logits).float(), torch.cat(targets))
