"""Many runs as one model: their parameters and buffers lie stacked along a first axis.

Shape suffixes: R runs, B examples of a batch, N examples of a split or an epoch, K classes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.fx import GraphModule

from runner.data.examples import Split, crop_flip, slices
from runner.options.layers import Dropout, weights
from runner.training.graph import traced
from runner.training.metrics import named
from runner.training.module import EVALUATION_BATCH, RunModule

METRIC_CHUNK = 16  # runs whose losses over a whole epoch are computed at once


class Stack:
    """Trains the networks of several runs together; each stays the run that it is alone.

    Forward is one pass by `vmap` over the stacked tensors, backward one pass from the sum of the runs'
    costs. Both are traced once into the tensor operations that they consist of, and a step replays
    these: it spares the Python of modules, vmap and autograd, which is most of a small network's step.
    The update is torch.optim's, elementwise, on slices of the stack: runs with equal settings lie side
    by side and are updated as one tensor.

    While a run is in a stack, the tensors of its module are views of the stack's rows: its state,
    its layers and its norms can be read there at any time.

    No row depends on another: what is not finite in one run stays in that run.

    Args:
        template: A network that has every layer of every run (dropout, if only some runs have it).
        modules: One for each run, with the same data, batch size, loss and shapes; with optimizers.
        precision: Makes the context in which the training loop computes forward and backward.
    """

    def __init__(
        self,
        template: nn.Module,
        modules: Sequence[RunModule],
        precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.template = template
        self.modules = sorted(modules, key=update_settings)
        self.precision = precision
        first = self.modules[0]
        self.data, self.loss, self.batch_size = first.data, first.loss, first.batch_size
        self.steps_per_epoch = first.steps_per_epoch
        self.device = self.data.scale.device
        rows = [tensors(module.network) for module in self.modules]
        self.names = [name for name, _ in template.named_parameters()]
        self.parameters = [self._stacked_parameter(name, rows) for name in self.names]
        self.buffers = {n: self._stacked_buffer(n, rows) for n, _ in template.named_buffers()}
        self.groups = list(self._groups())
        self.optimizer = joined([group.optimizer for group in self.groups])
        own = {id(w) for w in weights(template)}
        self.weights = [i for i, p in enumerate(template.parameters()) if id(p) in own]
        self.l1 = self._settings([m.l1 for m in self.modules])
        self.l2 = self._settings([m.l2 for m in self.modules])
        self.max_norm = self._settings([m.max_norm or 0.0 for m in self.modules])
        # Of every step of an epoch, (runs, examples, classes). In one place from the start: small tensors
        # that outlive their step would lie between the large ones, which then need new memory each step.
        self.examples = self.steps_per_epoch * self.batch_size
        shape = len(self.modules), self.examples, self.data.classes
        self.logits_RNK = torch.empty(shape, device=self.device)
        self.passes = self._traced()

    # Training

    def start_epoch(self) -> None:
        """Every run's own order of the examples in its own next epoch."""
        for module in self.modules:
            module.on_train_epoch_start()
        batches = [module.batches for module in self.modules]
        self.order_RN = torch.stack([epoch.order[: self.examples] for epoch in batches])
        crops = [epoch.crops for epoch in batches if epoch.crops is not None]
        self.crops = torch.stack(crops) if crops else None

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        """Inputs (runs, batch, channels, height, width) and targets (runs, batch)."""
        runs, size = len(self.modules), self.batch_size
        places = self.places(number)
        indices = self.order_RN[:, places].flatten()
        images = self.data.train.images.index_select(0, indices)
        if self.crops is not None:
            images = crop_flip(images, self.crops[:, places].flatten(0, 1))
        inputs = self.data.inputs(images.to(self.device))
        targets = self.data.train.labels.index_select(0, indices).to(self.device)
        return inputs.unflatten(0, (runs, size)), targets.view(runs, size)

    def places(self, number: int) -> slice:
        """Where the examples of a step lie in its epoch."""
        return slice(number * self.batch_size, (number + 1) * self.batch_size)

    @torch.no_grad()
    def step(self, number: int) -> None:
        """One update of every run, with the batch of this number of its epoch."""
        inputs, targets_RB = self.batch(number)
        logits_RBK, gradients = self.passes(self.parameters, self.buffers, inputs, targets_RB)
        self._add_penalty(gradients)
        for group in self.groups:
            group.take(gradients, number)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._limit_norms()
        self.logits_RNK[:, self.places(number)] = logits_RBK

    def end_epoch(self) -> list[int | None]:
        """Measures the epoch and brings the modules and their optimizers up to date.

        Returns:
            For each of `modules`, the first step of the epoch, counted from 1, whose logits were not
            finite, or None.
        """
        sums_RS = self.logits_RNK.unflatten(1, (self.steps_per_epoch, -1)).sum((2, 3))
        finite_RS = sums_RS.isfinite().cpu()
        labels = self.data.train.labels[self.order_RN]
        train = self.measured("train", self.logits_RNK, labels)
        with self.precision():
            logits_RNK = self.evaluate(self.data.val)
        val = self.measured("val", logits_RNK, self.data.val.labels)
        for group in self.groups:
            group.lend(self.optimizer.state)
        for row, module in enumerate(self.modules):
            module.metrics = val[row] | train[row] | {"lr": module.optimizer.param_groups[0]["lr"]}
            module.epoch += 1
        broken = [torch.nonzero(~finite_S).flatten().tolist() for finite_S in finite_RS]
        return [steps[0] + 1 if steps else None for steps in broken]

    def tested(self) -> list[tuple[dict[str, float], Tensor]]:
        """For each of `modules` its metrics on the test split and its probabilities (n, classes)."""
        with self.precision():
            logits_RNK = self.evaluate(self.data.test).float()
        metrics = self.measured("test", logits_RNK, self.data.test.labels)
        probabilities = [self.loss.probabilities(logits_NK) for logits_NK in logits_RNK]
        return list(zip(metrics, probabilities, strict=True))

    def _traced(self) -> GraphModule:
        """Forward and backward as a graph of tensor operations; nothing is computed here.

        It takes the stored parameters, the buffers and a batch, and returns the logits
        (runs, batch, classes) and the gradient of each parameter.
        """

        def passes(
            parameters: Sequence[Tensor],
            buffers: dict[str, Tensor],
            inputs: Tensor,
            targets_RB: Tensor,
        ) -> tuple[Tensor, tuple[Tensor, ...]]:
            leaves = [p.detach().requires_grad_() for p in parameters]
            logits_RBK = self._forward(leaves, buffers, inputs, of_each_run=True)
            # C₀ is a mean over examples: over those of all runs, times the runs, it is the sum of the
            # runs' costs, and each run's parameters get the gradient of their own.
            mean = self.loss(logits_RBK.flatten(0, 1), targets_RB.flatten())
            gradients = torch.autograd.grad(mean * len(self.modules), leaves)
            return logits_RBK.detach(), gradients

        runs, size = len(self.modules), self.batch_size
        inputs = torch.empty(runs, size, *self.data.shape, device=self.device)
        targets = torch.zeros(runs, size, dtype=torch.long, device=self.device)
        self.template.train()
        with self.precision():
            return traced(passes, self.parameters, self.buffers, inputs, targets)

    def _forward(
        self,
        parameters: Sequence[Tensor],
        buffers: dict[str, Tensor],
        inputs: Tensor,
        of_each_run: bool,
    ) -> Tensor:
        """Logits (runs, n, classes).

        Args:
            parameters, buffers: Of the runs, as stored.
            inputs: (runs, n, channels, height, width), or without the runs: all take the same.
            of_each_run: Which of the two it is.
        """

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
            state = (parameters, buffers)
            logits: Tensor = functional_call(self.template, state, (x,), tie_weights=False)
            return logits

        named = {n: logical(p) for n, p in zip(self.names, parameters, strict=True)}
        forward = vmap(one, in_dims=(0, 0, 0 if of_each_run else None))
        logits_RNK: Tensor = forward(named, buffers, inputs)
        return logits_RNK

    def _add_penalty(self, gradients: Sequence[Tensor]) -> None:
        """Adds l1·sign(w) + l2·w, the gradient of l1·Σ|w| + (l2/2)·Σw², to the weights' gradients."""
        for i in self.weights:
            w = self.parameters[i]
            if self.l1 is not None:
                gradients[i].addcmul_(w.sign(), along_runs(self.l1, w))
            if self.l2 is not None:
                gradients[i].addcmul_(w, along_runs(self.l2, w))

    def _limit_norms(self) -> None:
        """Scales the weights into each unit down to the run's `max_norm`, where it has one."""
        if self.max_norm is None:
            return
        for i in self.weights:
            w = logical(self.parameters[i])
            norm = w.flatten(2).norm(dim=2)
            limit = self.max_norm[:, None]
            scale = torch.where((limit > 0) & (norm > limit), limit / norm, 1.0)
            w.mul_(scale.view(*scale.shape, *(1,) * (w.dim() - 2)))

    # Measuring

    @torch.no_grad()
    def evaluate(self, split: Split) -> Tensor:
        """Logits (runs, n, classes) of all examples of a split."""
        self.template.eval()
        logits = []
        for part in slices(len(split), EVALUATION_BATCH):
            inputs = self.data.inputs(split.images[part].to(self.device))
            logits.append(self._forward(self.parameters, self.buffers, inputs, of_each_run=False))
        return torch.cat(logits, dim=1)

    @torch.no_grad()
    def measured(self, split: str, logits_RNK: Tensor, targets: Tensor) -> list[dict[str, float]]:
        """For each run what runner.training.metrics says of its logits.

        Args:
            split: train, val or test.
            logits_RNK: (runs, n, classes).
            targets: (runs, n), or (n,) where all runs have the same.
        """
        targets = targets.to(self.device)
        dims = (0, 0 if targets.dim() == 2 else None)
        loss = vmap(self.loss, in_dims=dims, chunk_size=METRIC_CHUNK)
        losses = loss(logits_RNK.float(), targets).tolist()
        right_R = (logits_RNK.argmax(2) == targets).sum(1)
        shares = (right_R.float() / logits_RNK.shape[1]).tolist()
        return [named(split, *pair) for pair in zip(losses, shares, strict=True)]

    # Stacking

    def _stacked_parameter(self, name: str, rows: list[dict[str, Tensor]]) -> Tensor:
        """The parameters of that name, as stored; those of the runs become views of it."""
        stacked = stored([row[name].detach() for row in rows])
        for row, mine in zip(rows, logical(stacked), strict=True):
            row[name].data = mine
        return stacked

    def _stacked_buffer(self, name: str, rows: list[dict[str, Tensor]]) -> Tensor:
        """Likewise for buffers; a run without a dropout layer gets one that drops nothing."""
        path, _, last = name.rpartition(".")
        nothing = getattr(Dropout(0.0), last, None)
        found = [row.get(name, nothing) for row in rows]
        stacked = torch.stack([tensor.to(self.device) for tensor in found if tensor is not None])
        for module, row, mine in zip(self.modules, rows, stacked, strict=True):
            if name in row:
                setattr(module.network.get_submodule(path), last, mine)
        return stacked

    def _groups(self) -> "Iterator[Group]":
        start = 0
        for _, members in groupby(self.modules, key=update_settings):
            modules = list(members)
            rows = slice(start, start + len(modules))
            yield Group(modules, rows, [p[rows] for p in self.parameters])
            start = rows.stop

    def _settings(self, values: list[float]) -> Tensor | None:
        """A setting of each run, shape (runs,); None where it is 0 in all of them."""
        return torch.tensor(values, device=self.device) if any(values) else None


class Group:
    """Neighbouring runs that have the same update rule, settings and number of steps behind them.

    The update rules are elementwise, so that the runs' tensors can be updated as one.

    Args:
        modules: The runs.
        rows: Where they lie in the stack.
        parameters: Those rows of the stack's parameters, as stored.
    """

    def __init__(self, modules: list[RunModule], rows: slice, parameters: list[Tensor]) -> None:
        self.modules = modules
        self.rows = rows
        self.parameters = parameters
        self.optimizer = modules[0].update_rule.build(parameters)
        self.settings = self.optimizer.param_groups[0]
        own = [list(module.network.parameters()) for module in modules]
        for i, parameter in enumerate(parameters):
            states = [m.optimizer.state.get(p[i], {}) for m, p in zip(modules, own, strict=True)]
            if states[0]:
                self.optimizer.state[parameter] = {
                    key: self._joined([state[key] for state in states]) for key in states[0]
                }

    def take(self, gradients: Sequence[Tensor], number: int) -> None:
        """Its gradients and its η, before the update; `number` counts the steps of the epoch."""
        module = self.modules[0]
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient[self.rows]
        self.settings["lr"] = module.lr(module.epoch * module.steps_per_epoch + number)

    def lend(self, states: Mapping[Tensor, dict[str, Any]]) -> None:
        """Gives each run's own optimizer its state."""
        for row, module in enumerate(self.modules):
            own = module.network.parameters()
            for parameter, mine in zip(self.parameters, own, strict=True):
                if state := states.get(parameter):
                    rows = {key: self._row(value, row) for key, value in state.items()}
                    module.optimizer.state[mine] = rows
            module.optimizer.param_groups[0]["lr"] = self.settings["lr"]

    def _joined(self, values: list[Any]) -> Any:
        """A state of all runs: tensors stacked; what is no tensor or counts steps is the same."""
        if isinstance(values[0], Tensor) and values[0].dim():
            return stored(values)
        return values[0].clone() if isinstance(values[0], Tensor) else values[0]

    def _row(self, value: Any, row: int) -> Any:
        if isinstance(value, Tensor) and value.dim():
            return logical(value)[row].contiguous()
        return value.clone() if isinstance(value, Tensor) else value


def joined(optimizers: Sequence[torch.optim.Optimizer]) -> torch.optim.Optimizer:
    """One optimizer with the parameters, settings and states of all: it costs one call a step."""
    first, *others = optimizers
    for other in others:
        first.add_param_group(other.param_groups[0])
        first.state.update(other.state)
    return first


def update_settings(module: RunModule) -> str:
    """Equal for runs whose parameters are updated in the same way."""
    return f"{module.update_rule!r} {module.schedule!r} {module.epochs} {module.epoch}"


def tensors(network: nn.Module) -> dict[str, Tensor]:
    """A network's parameters and buffers by name."""
    return dict(network.named_parameters()) | dict(network.named_buffers())


def stored(rows: Sequence[Tensor]) -> Tensor:
    """Tensors stacked along a first axis as the stack stores them: matrices transposed.

    Backward computes the gradient of a matrix (out, in) as (in, out). Stored that way, it needs no
    copy before the fused update, which takes contiguous tensors; copying was nearly half of Adam's step.
    """
    stacked = torch.stack(list(rows))
    return stacked.transpose(1, 2).contiguous() if stacked.dim() == 3 else stacked


def logical(stacked: Tensor) -> Tensor:
    """A view of a stored tensor in the shape that the network knows, after the first axis."""
    return stacked.transpose(1, 2) if stacked.dim() == 3 else stacked


def along_runs(setting_R: Tensor, stacked: Tensor) -> Tensor:
    """A setting of each run in a shape that broadcasts against (runs, ...)."""
    return setting_R.view(-1, *(1,) * (stacked.dim() - 1))
