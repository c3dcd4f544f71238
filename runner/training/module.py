"""The LightningModule: the networks of R runs in training, each the run that it would be alone.

Shape suffixes: R runs, B examples of a batch, N examples of a split or an epoch, K classes, S steps of
an epoch.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from runner.data.examples import Dataset, Split, batch, epoch_crops, epoch_order, slices
from runner.data.inputs import Inputs
from runner.options.losses import Loss
from runner.training.cuda_graph import CapturedSteps
from runner.training.graph import traced
from runner.training.lightning import pl
from runner.training.metrics import loss_and_accuracy, named
from runner.training.networks import Networks
from runner.training.objective import add_penalty, limit_norms, summed_loss
from runner.training.run import Run
from runner.training.updates import Updates

# Lightning's loop costs about 0.2 ms a turn: as much as a small network's step.
STEPS_PER_BLOCK = 16
EVALUATION_BATCH = 500


class Loader(list[Any]):
    """Which batches to take: to Lightning, which would see a plain list as several data loaders, one."""


class RunsModule(pl.LightningModule):
    """Minimises C = C₀ + l1·Σ|w| + (l2/2)·Σw² for each of R ≥ 1 runs by the run's own update rule.

    Forward is one pass for all networks, backward one pass from the sum of the runs' costs; the update
    is torch.optim's on the stacked tensors. No row of any tensor depends on another: what is not
    finite in one run stays in that run.

    Args:
        runs: Alike in data, batch size, loss and the shapes of their networks.
        template: A network that has every layer of every run.
        loss: C₀ of logits and targets, a mean over the batch.
        data: The three splits, where they are computed with.
        batch_size: Examples per step.
        precision: Makes the context in which forward and backward are computed.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        template: nn.Module,
        loss: Loss,
        data: Dataset,
        batch_size: int,
        precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # a turn of Lightning's loop is a block of steps here
        self.runs = sorted(runs, key=lambda run: run.update_settings)
        self.loss = loss
        self.data = data
        self.batch_size = batch_size
        self.precision = precision
        self.steps_per_epoch = len(data.train) // batch_size
        self.at = data.scale.device
        self.networks = Networks(template, [run.tensors for run in self.runs], self.at)
        self.updates = Updates(self.runs, self.networks.parameters, self.steps_per_epoch)
        self.l1_R = self._settings([run.l1 for run in self.runs])
        self.l2_R = self._settings([run.l2 for run in self.runs])
        self.max_norm_R = self._settings([run.max_norm for run in self.runs])
        # Of every step of an epoch, and the outputs of the other splits since it began. In one place
        # from the start: small tensors that outlive their step would lie between the large ones, which
        # then need new memory in each step.
        shape = len(self.runs), self.steps_per_epoch * batch_size, data.classes
        self.logits_RNK = torch.empty(shape, device=self.at)
        self.logits: dict[str, list[Tensor]] = {"val": [], "test": []}
        # The order of the examples in this epoch, and how they are cropped.
        where = data.train.targets.device
        self.order_RN = torch.zeros(shape[:2], dtype=torch.long, device=where)
        self.crops_RN = (
            torch.zeros(*shape[:2], 3, dtype=torch.long, device=where) if data.augment else None
        )
        self.captured: CapturedSteps | None = None

    # One step

    def step(self, number: int) -> None:
        """One update of every run, with the batch of this number of its epoch."""
        places = slice(number * self.batch_size, (number + 1) * self.batch_size)
        crops = None if self.crops_RN is None else self.crops_RN[:, places]
        self.updates.look_up(number)
        self.logits_RNK[:, places] = self.update(self.order_RN[:, places], crops)

    @torch.no_grad()
    def update(self, examples_RB: Tensor, crops_RB: Tensor | None) -> Tensor:
        """Forward, backward and update of every run; the logits (runs, batch, classes)."""
        inputs, targets_RB = batch(self.data, examples_RB, crops_RB)
        logits_RBK, *gradients = self.passes(inputs, targets_RB)
        add_penalty(
            self.networks.weights_of(gradients), self.networks.weights, self.l1_R, self.l2_R
        )
        self.updates.apply(gradients)
        limit_norms(self.networks.logical_weights, self.max_norm_R)
        return logits_RBK

    def cost_gradients(
        self, inputs: Tensor, targets_RB: Tensor, *state: Tensor
    ) -> tuple[Tensor, ...]:
        """Forward and backward: the logits (runs, batch, classes), then ∂C₀/∂ of each parameter."""
        parameters, buffers = self.networks.split(state)
        leaves = [p.detach().requires_grad_() for p in self.networks.leaves(parameters)]
        logits_RBK = self.networks.forward(leaves, buffers, inputs, of_each_run=True)
        gradients = torch.autograd.grad(summed_loss(self.loss, logits_RBK, targets_RB), leaves)
        # The fused updates read contiguous memory, whatever a gradient's strides say.
        stored = [g.contiguous().view_as(p) for g, p in zip(gradients, parameters, strict=True)]
        return logits_RBK.detach(), *stored

    @cached_property
    def passes(self) -> Callable[[Tensor, Tensor], tuple[Tensor, ...]]:
        """`cost_gradients` as the tensor operations that it consists of.

        Replaying these spares the Python of modules, vmap and autograd, which is most of a small
        network's step.
        """
        shape = (len(self.runs), self.batch_size)
        inputs = torch.empty(*shape, *self.data.shape, device=self.at)
        targets_RB = torch.zeros(shape, dtype=torch.long, device=self.at)
        state = self.networks.state
        self.networks.template.train()
        with self.precision(), torch.enable_grad():
            graph = traced(self.cost_gradients, inputs, targets_RB, *state)
        return lambda inputs, targets_RB: graph(inputs, targets_RB, *state)

    # One epoch, driven by Lightning

    def on_train_start(self) -> None:
        if CapturedSteps.fits(self):
            self.captured = CapturedSteps(self, capture=self.at.type == "cuda")
        _ = self.passes  # traced before the first step is timed

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.updates.optimizer

    def train_dataloader(self) -> Loader:
        """The numbers of an epoch's batches in blocks."""
        numbers = list(range(self.steps_per_epoch))
        # The last step stands alone, so that the weights before and after it can be compared.
        blocks = [numbers[part] for part in slices(len(numbers) - 1, STEPS_PER_BLOCK)]
        return Loader([*blocks, numbers[-1:]])

    def val_dataloader(self) -> Loader:
        return Loader(slices(len(self.data.val), EVALUATION_BATCH))

    def test_dataloader(self) -> Loader:
        return Loader(slices(len(self.data.test), EVALUATION_BATCH))

    def on_train_epoch_start(self) -> None:
        """Every run's own order of the examples in its own next epoch."""
        count = self.order_RN.shape[1]
        for row, run in enumerate(self.runs):
            self.order_RN[row] = epoch_order(self.data, run.seed, run.epoch)[:count]
            if self.crops_RN is not None:
                self.crops_RN[row] = epoch_crops(self.data, run.seed, run.epoch)[:count]
        self.updates.start_epoch()
        if self.captured:
            self.captured.start_epoch()

    def training_step(self, block: list[int], index: int) -> None:
        start = time.perf_counter()
        if self.captured:
            self.captured.steps(len(block))
        else:
            for number in block:
                self.step(number)
        if block[-1] == self.steps_per_epoch - 1:
            self.wait()
        share = (time.perf_counter() - start) / len(self.runs)
        for run in self.runs:
            run.seconds += share

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.at.type == "cuda":
            torch.cuda.synchronize(self.at)

    def validation_step(self, part: slice, index: int) -> None:
        self.logits["val"].append(self.evaluate(self.data.val, part))

    def test_step(self, part: slice, index: int) -> None:
        self.logits["test"].append(self.evaluate(self.data.test, part))

    def on_train_epoch_end(self) -> None:
        """Hands each run its state and the metrics of the epoch."""
        labels_RN = self.data.train.targets[self.order_RN].to(self.at)
        train = loss_and_accuracy(self.loss, self.logits_RNK, labels_RN)
        val = self._measured("val", self.data.val)
        measured = torch.cat([val, train, self.first_broken_steps()[None]]).T.tolist()  # read once
        for run, numbers, lr in zip(self.runs, measured, self.updates.last_rates, strict=True):
            run.metrics = named("val", *numbers[:2]) | named("train", *numbers[2:4]) | {"lr": lr}
            run.broken_at = (
                run.epoch * self.steps_per_epoch + int(numbers[4]) if numbers[4] else None
            )
            run.epoch += 1

    def on_test_epoch_end(self) -> None:
        """Hands each run its metrics on the test split; `predictions_RNK` are the probabilities."""
        logits_RNK = torch.cat(self.logits["test"], dim=1).float()
        self.predictions_RNK = torch.stack([self.loss.probabilities(row) for row in logits_RNK])
        measured = self._measured("test", self.data.test)
        for run, numbers in zip(self.runs, measured.T.tolist(), strict=True):
            run.metrics = named("test", *numbers)

    # Measuring

    @torch.no_grad()
    def evaluate(self, split: Split, part: slice) -> Tensor:
        """Logits (runs, n, classes) of a part of a split."""
        self.networks.template.eval()
        inputs = self.data.inputs(split.images[part].to(self.at))
        networks = self.networks
        leaves = networks.leaves(networks.parameters)
        return networks.forward(leaves, networks.buffers, inputs, of_each_run=False)

    @torch.no_grad()
    def measure_untrained(self) -> None:
        """Hands each run its metrics before the first step; train's are of the first 500 examples."""
        with self.precision():
            for part in self.val_dataloader():
                self.validation_step(part, 0)
            logits_RNK = self.evaluate(self.data.train, slice(0, EVALUATION_BATCH))
        labels = self.data.train.targets[:EVALUATION_BATCH].to(self.at)
        train = loss_and_accuracy(self.loss, logits_RNK, labels)
        measured = torch.cat([train, self._measured("val", self.data.val)])
        for run, numbers in zip(self.runs, measured.T.tolist(), strict=True):
            run.metrics = named("train", *numbers[:2]) | named("val", *numbers[2:])

    @property
    def described(self) -> tuple[int, int, torch.device]:
        """Parameters of one network, batch size and device, for the record."""
        return self.networks.num_parameters, self.batch_size, self.at

    def first_examples(self, count: int) -> tuple[Tensor, Tensor]:
        """Inputs (n, channels, height, width) and targets (n,) of the first training examples."""
        images, labels = self.data.train.images[:count], self.data.train.targets[:count]
        return self.data.inputs(images.to(self.at)), labels.to(self.at)

    def _measured(self, name: str, split: Split) -> Tensor:
        """Loss and accuracy (2, runs) of all logits of a split, which are then forgotten."""
        logits_RNK = torch.cat(self.logits[name], dim=1)
        self.logits[name].clear()
        return loss_and_accuracy(self.loss, logits_RNK, split.targets.to(self.at))

    def first_broken_steps(self) -> Tensor:
        """The first step of the epoch, from 1, after which something was not finite, or 0: (runs,)."""
        sums_RS = self.logits_RNK.unflatten(1, (self.steps_per_epoch, -1)).sum((2, 3))
        finite_RS = torch.cat([sums_RS.isfinite(), self.networks.finite()[:, None]], dim=1)
        steps_R = finite_RS.int().argmin(1).clamp(max=self.steps_per_epoch - 1) + 1
        return torch.where(finite_RS.all(1), 0, steps_R)

    def states(self) -> list[dict[str, Any]]:
        """Of each run all that the rest of its training depends on, between two epochs; and what it takes."""
        weights = self.networks.on_cpu([run.saved for run in self.runs])
        return [
            {
                "epoch": run.epoch,
                "global_step": run.epoch * self.steps_per_epoch,
                "seconds": run.seconds,
                "state_dict": state_dict,
                "optimizer_states": [{"state": state}],
                "inputs": self.inputs,
            }
            for run, state_dict, state in zip(
                self.runs, weights, self.updates.states(), strict=True
            )
        ]

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """What the networks take, as it stands in a checkpoint."""
        return Inputs.of(self.data).saved()

    def _settings(self, values: list[float]) -> Tensor | None:
        """A setting of each run, (runs,); None where it is 0 in all of them."""
        return torch.tensor(values, device=self.at) if any(values) else None
