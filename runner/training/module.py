"""The LightningModule: the networks of R runs in training, each the run that it would be alone.

Shape suffixes: R runs, B examples of a batch, N examples of a split or an epoch, K outputs, M numbers of
an example from which its task measures, S steps of an epoch.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from runner.data.examples import Dataset, Split, slices
from runner.data.inputs import Inputs
from runner.options.losses import Loss
from runner.options.task import SHOWN, Evaluated, Facts, Task
from runner.training.cuda_graph import CapturedSteps
from runner.training.feed import Feed
from runner.training.graph import traced
from runner.training.lightning import pl
from runner.training.metrics import named
from runner.training.networks import Networks
from runner.training.objective import (
    Penalty,
    add_penalty,
    limit_norms,
    summed_loss,
    summed_penalty,
)
from runner.training.run import Run
from runner.training.updates import Updates

# Lightning's loop costs about 0.2 ms a turn: as much as a small network's step.
STEPS_PER_BLOCK = 16
EVALUATION_BATCH = 500


class Loader(list[Any]):
    """Which batches to take: to Lightning, which would see a plain list as several data loaders, one."""


class Between(NamedTuple):
    """What a run has come to inside an epoch.

    Attributes:
        run: Whose.
        steps: Of the epoch.
        seconds: Spent in training steps so far.
        metrics: By name; train's are of the epoch so far.
    """

    run: Run
    steps: int
    seconds: float
    metrics: dict[str, float]


class RunsModule(pl.LightningModule):
    """Minimises C = C₀ + l1·Σ|w| + (l2/2)·Σw² for each of R ≥ 1 runs by the run's own update rule.

    Forward is one pass for all networks, backward one pass from the sum of the runs' costs; the update
    is torch.optim's on the stacked tensors. No row of any tensor depends on another: what is not
    finite in one run stays in that run.

    Args:
        runs: Alike in task, data, batch size, loss and the shapes of their networks.
        template: A network that has every layer of every run.
        task: What is learnt.
        loss: C₀ of outputs and targets, a mean over the batch.
        data: The three splits, where they are computed with.
        facts: What the task knows of them.
        batch_size: Examples per step.
        precision: Makes the context in which forward and backward are computed.
        penalty: A further term of each run's cost, of its weights.
        evaluate_every: Steps of a run after which it is measured inside an epoch; None: only at the end of one.

    Attributes:
        between: What was measured inside the epoch, until the recorder takes it.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        template: nn.Module,
        task: Task,
        loss: Loss,
        data: Dataset,
        facts: Facts,
        batch_size: int,
        precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
        penalty: Penalty | None = None,
        evaluate_every: int | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # a turn of Lightning's loop is a block of steps here
        self.runs = sorted(runs, key=lambda run: run.update_settings)
        self.task = task
        self.loss = loss
        self.data = data
        self.facts = facts
        self.batch_size = batch_size
        self.precision = precision
        self.penalty = penalty
        self.evaluate_every = evaluate_every
        self.between: list[Between] = []
        self.steps_per_epoch = len(data.train) // batch_size
        self.at = data.scale.device
        self.networks = Networks(template, [run.tensors for run in self.runs], self.at)
        self.updates = Updates(self.runs, self.networks.parameters, self.steps_per_epoch)
        self.l1_R = self._settings([run.l1 for run in self.runs])
        self.l2_R = self._settings([run.l2 for run in self.runs])
        self.max_norm_R = self._settings([run.max_norm for run in self.runs])
        # What the task keeps of every step of an epoch, and of the other splits since it began. In one
        # place from the start: small tensors that outlive their step would lie between the large ones,
        # which then need new memory in each step.
        shape = len(self.runs), self.steps_per_epoch * batch_size, task.num_kept(facts)
        self.kept_RNM = torch.empty(shape, device=self.at)
        self.kept: dict[str, list[Tensor]] = {"val": [], "test": []}
        self.answers: list[Tensor] = []  # on the test split, (runs, n, ...), on the CPU
        self.feed = Feed(self.runs, task, data, facts, shape[1])
        self.captured: CapturedSteps | None = None

    # One step

    def step(self, number: int) -> None:
        """One update of every run, with the batch of this number of its epoch."""
        places = slice(number * self.batch_size, (number + 1) * self.batch_size)
        self.updates.look_up(number)
        self.kept_RNM[:, places] = self.update(places)

    @torch.no_grad()
    def update(self, places: slice | Tensor) -> Tensor:
        """Forward, backward and update of every run; what the task keeps, (runs, batch, numbers)."""
        kept_RBM, *gradients = self.passes(*self.feed.batch(places))
        add_penalty(
            self.networks.weights_of(gradients), self.networks.weights, self.l1_R, self.l2_R
        )
        self.updates.apply(gradients)
        limit_norms(self.networks.logical_weights, self.max_norm_R)
        return kept_RBM

    def cost_gradients(self, inputs: Tensor, targets: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Forward and backward: what the task keeps, then ∂C₀/∂ of each parameter."""
        parameters, buffers = self.networks.split(state)
        leaves = [p.detach().requires_grad_() for p in self.networks.leaves(parameters)]
        outputs_RBK = self.networks.forward(leaves, buffers, inputs, of_each_run=True)
        cost = summed_loss(self.loss, outputs_RBK, targets)
        if self.penalty:
            cost = cost + summed_penalty(self.penalty, self.networks.weights_from(leaves))
        gradients = torch.autograd.grad(cost, leaves)
        # The fused updates read contiguous memory, whatever a gradient's strides say.
        stored = [g.contiguous().view_as(p) for g, p in zip(gradients, parameters, strict=True)]
        return self.task.kept(self.loss, outputs_RBK.detach(), targets), *stored

    @cached_property
    def passes(self) -> Callable[[Tensor, Tensor], tuple[Tensor, ...]]:
        """`cost_gradients` as the tensor operations that it consists of.

        Replaying these spares the Python of modules, vmap and autograd, which is most of a small
        network's step.
        """
        examples = self.feed.batch(slice(0, self.batch_size))  # their shapes matter
        state = self.networks.state
        self.networks.template.train()
        with self.precision(), torch.enable_grad():
            graph = traced(self.cost_gradients, *examples, *state)
        return lambda inputs, targets: graph(inputs, targets, *state)

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
        self.feed.start_epoch(self.runs)
        self.updates.start_epoch()
        if self.captured:
            self.captured.start_epoch()

    def training_step(self, block: list[int], index: int) -> None:
        for part in self.parts(block) if self.evaluate_every else (block,):
            start = time.perf_counter()
            if self.captured:
                self.captured.steps(len(part))
            else:
                for number in part:
                    self.step(number)
            steps = part[-1] + 1
            due = self.due(steps)
            if due or steps == self.steps_per_epoch:
                self.wait()
            share = (time.perf_counter() - start) / len(self.runs)
            for run in self.runs:
                run.seconds += share
            if due:
                self.measure_between(steps, due)

    def parts(self, block: list[int]) -> Iterator[list[int]]:
        """A block in parts, so that one ends wherever a run is to be measured.

        Their lengths are powers of two: on a GPU each length is a graph of its own.
        """
        first = block[0]
        for end in (n + 1 for n in block if n == block[-1] or self.due(n + 1)):
            while first < end:
                size = 1 << (end - first).bit_length() - 1
                yield list(range(first, first + size))
                first += size

    def due(self, steps: int) -> list[Run]:
        """The runs to be measured after so many steps of the epoch; after its last one all are anyway."""
        every = self.evaluate_every
        if not every or steps == self.steps_per_epoch:
            return []
        return [run for run in self.runs if not (self._steps_before(run) + steps) % every]

    def _steps_before(self, run: Run) -> int:
        return run.epoch * self.steps_per_epoch

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.at.type == "cuda":
            torch.cuda.synchronize(self.at)

    def validation_step(self, part: slice, index: int) -> None:
        outputs_RNK, targets = self.evaluate(self.data.val, part)
        self.kept["val"].append(self.task.kept(self.loss, outputs_RNK, targets))

    def test_step(self, part: slice, index: int) -> None:
        outputs_RNK, targets = self.evaluate(self.data.test, part)
        self.kept["test"].append(self.task.kept(self.loss, outputs_RNK, targets))
        answers = [self.task.answers(self.loss, row, self.facts) for row in outputs_RNK.float()]
        self.answers.append(torch.stack(answers).cpu())

    def on_train_epoch_end(self) -> None:
        """Hands each run its state and the metrics of the epoch."""
        val = self._measured("val", self.data.val)
        measured = self.measured_after(self.steps_per_epoch, val)
        for run, (metrics, broken) in zip(self.runs, measured, strict=True):
            run.metrics = metrics
            run.broken_at = self._steps_before(run) + broken if broken else None
            run.epoch += 1

    def on_test_epoch_end(self) -> None:
        """Hands each run its metrics on the test split."""
        measured = self._measured("test", self.data.test)
        for run, numbers in zip(self.runs, measured.T.tolist(), strict=True):
            run.metrics = named("test", self.task, numbers)

    # Measuring

    @torch.no_grad()
    def measure_between(self, steps: int, due: Sequence[Run]) -> None:
        """Measures these runs after so many steps of the epoch; what is not finite is left to its end."""
        measured = self.measured_after(steps, self.measure_val())
        for run, (metrics, broken) in zip(self.runs, measured, strict=True):
            if run in due and not broken:
                self.between.append(Between(run, steps, run.seconds, metrics))

    def measured_after(self, steps: int, val: Tensor) -> list[tuple[dict[str, float], int]]:
        """Each run's metrics after so many steps of the epoch, and `first_broken_steps`.

        Args:
            steps: Train's metrics are of these.
            val: The metrics (metrics, runs) of the validation split.
        """
        places = slice(0, steps * self.batch_size)
        targets_RN = self.data.train.targets[self.feed.order_RN[:, places]].to(self.at)
        train = self.measure(self.kept_RNM[:, places], targets_RN)
        broken = self.first_broken_steps(steps)[None]
        measured = torch.cat([val, train, broken]).T.tolist()  # read once
        count = len(val)
        return [
            (
                named("val", self.task, numbers[:count])
                | named("train", self.task, numbers[count:-1])
                | {"lr": lr},
                int(numbers[-1]),
            )
            for numbers, lr in zip(measured, self.updates.rates_in(steps - 1), strict=True)
        ]

    def measure_val(self) -> Tensor:
        """The metrics (metrics, runs) of the validation split, with the weights as they are now."""
        with self.precision():
            for part in self.val_dataloader():
                self.validation_step(part, 0)
        return self._measured("val", self.data.val)

    def measure(self, kept_RNM: Tensor, targets: Tensor) -> Tensor:
        """The task's metrics (metrics, runs) of the examples of a split."""
        return self.task.measure(self.loss, kept_RNM.float(), targets, self.facts)

    @torch.no_grad()
    def evaluate(self, split: Split, part: slice) -> tuple[Tensor, Tensor]:
        """Outputs (runs, n, outputs) of a part of a split, and what they are held to."""
        self.networks.template.eval()
        inputs, targets = self.feed.fixed(split, part)
        networks = self.networks
        leaves = networks.leaves(networks.parameters)
        of_each_run = self.feed.noise is not None
        return networks.forward(leaves, networks.buffers, inputs, of_each_run), targets

    @torch.no_grad()
    def measure_untrained(self) -> None:
        """Hands each run its metrics before the first step; train's are of the first 500 examples."""
        with self.precision():
            outputs_RNK, learnt = self.evaluate(self.data.train, slice(0, EVALUATION_BATCH))
            kept_RNM = self.task.kept(self.loss, outputs_RNK, learnt)
        train = self.measure(kept_RNM, self.data.train.targets[:EVALUATION_BATCH].to(self.at))
        measured = torch.cat([train, self.measure_val()])
        for run, numbers in zip(self.runs, measured.T.tolist(), strict=True):
            run.metrics = named("train", self.task, numbers[: len(train)]) | named(
                "val", self.task, numbers[len(train) :]
            )

    @property
    def described(self) -> tuple[int, int, torch.device]:
        """Parameters of one network, batch size and device, for the record."""
        return self.networks.num_parameters, self.batch_size, self.at

    def evaluated(self, row: int) -> Evaluated:
        """A run on the test split."""
        test = self.data.test
        images, targets = self.test_on_cpu
        return Evaluated(
            answers=torch.cat([answers[row] for answers in self.answers]),
            targets=targets,
            images=images,
            inputs=self.feed.first(test, SHOWN, row)[0].cpu(),
            clean=self.data.inputs(test.images[:SHOWN].to(self.at)).cpu(),
            facts=self.facts,
        )

    @cached_property
    def test_on_cpu(self) -> tuple[Tensor, Tensor]:
        return self.data.test.images.cpu(), self.data.test.targets.cpu()

    def _measured(self, name: str, split: Split) -> Tensor:
        """The metrics (metrics, runs) of a split from all that was kept of it, which is then forgotten."""
        kept_RNM = torch.cat(self.kept[name], dim=1)
        self.kept[name].clear()
        return self.measure(kept_RNM, split.targets.to(self.at))

    def first_broken_steps(self, steps: int) -> Tensor:
        """The first of the epoch's steps so far, from 1, after which something was not finite, or 0: (runs,)."""
        kept_RNM = self.kept_RNM[:, : steps * self.batch_size]
        sums_RS = kept_RNM.unflatten(1, (steps, -1)).sum((2, 3))
        finite_RS = torch.cat([sums_RS.isfinite(), self.networks.finite()[:, None]], dim=1)
        steps_R = finite_RS.int().argmin(1).clamp(max=steps - 1) + 1
        return torch.where(finite_RS.all(1), 0, steps_R)

    def states(self) -> list[dict[str, Any]]:
        """Of each run all that the rest of its training depends on, between two epochs; and what it takes."""
        weights = self.networks.on_cpu([run.saved for run in self.runs])
        return [
            {
                "epoch": run.epoch,
                "global_step": self._steps_before(run),
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
        return Inputs.of(self.data, self.facts).saved()

    def _settings(self, values: list[float]) -> Tensor | None:
        """A setting of each run, (runs,); None where it is 0 in all of them."""
        return torch.tensor(values, device=self.at) if any(values) else None
