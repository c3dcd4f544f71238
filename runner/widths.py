"""How many runs to train as one: as many as memory holds and as a short measurement finds fastest."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from runner.module import EVALUATION_BATCH, RunModule
from runner.schema import Config
from runner.stack import Stack
from runner.threads import set_threads
from runner.train import build, flops_of, lightning_trainer

WIDTHS = (1, 16, 64, 4, 256)  # tried in this order
MAX_WIDTH = 256
MEASURING = 0.05  # of the time that the runs take one by one may go into finding the width
WIDER = 0.95  # a wider stack shall take at most this share of the time of a narrower one


class Machine:
    """Where and with which precision the runs of a stack are computed: what Lightning makes of it.

    Args:
        config: One of the runs.
        width: How many there are.
    """

    def __init__(self, config: Config, width: int) -> None:
        self.trainer = lightning_trainer(config, config.epochs)
        self.device = self.trainer.strategy.root_device
        module = build(config, self.device)
        flops = width * module.batch_size * flops_of(config, module.data)
        set_threads(config.trainer.threads, flops)

    def precision(self) -> AbstractContextManager[Any]:
        """The context of forward and backward."""
        return self.trainer.precision_plugin.forward_context()

    def built(self, config: Config) -> RunModule:
        """A run's module with its initial weights and its optimizer."""
        module = build(config, self.device).to(self.device)
        module.configure_optimizers()
        return module

    def described(self, module: RunModule) -> tuple[int, int, torch.device]:
        """Parameters, batch size and device, for the record."""
        parameters = sum(p.numel() for p in module.parameters())
        return parameters, module.batch_size, self.device

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def template(configs: Sequence[Config], module: RunModule) -> nn.Module:
    """A network with every layer that one of the runs has: dropout, wherever one run has it."""
    rates = {
        key: max(getattr(config.regularizer, key) for config in configs)
        for key in ("dropout", "dropout_input")
    }
    regularizer = configs[0].regularizer.model_copy(update=rates)
    data = module.data
    return configs[0].architecture.build(data.shape, data.classes, regularizer).to(module.device)


def fastest_width(configs: Sequence[Config], width: int | None, max_width: int) -> tuple[int, str]:
    """The number of runs per stack, and why.

    A measurement of a few steps decides, for every kind of network: convolutions become grouped
    convolutions in a stack, which win or lose by their size, so that no rule of thumb holds.
    """
    if len(configs) == 1:
        return 1, "nothing to stack it with"
    if width:
        return width, f"width {width} as set"
    limit = min(len(configs), max_width, widest(configs[0]))
    times: dict[int, float] = {}
    budget = 0.0
    begun = time.perf_counter()
    for candidate in dict.fromkeys(min(width, limit) for width in WIDTHS):
        if len(times) < 2 or time.perf_counter() - begun < budget:
            try:
                times[candidate] = seconds_per_step(configs[:candidate])
            except torch.OutOfMemoryError:
                continue
            budget = budget or MEASURING * len(configs) * steps(configs[0]) * times[candidate]
    best = 1
    for candidate in sorted(times):
        if times[candidate] < WIDER * times[best]:
            best = candidate
    shown = ", ".join(f"{1e3 * times[w]:.2g} at {w}" for w in sorted(times))
    return best, f"ms a step and run by width: {shown}"


def steps(config: Config) -> int:
    """The steps of a run."""
    module = build(config, torch.device("cpu"))
    return module.epochs * module.steps_per_epoch


def seconds_per_step(configs: Sequence[Config]) -> float:
    """The shortest of some steps of a stack of these runs, divided by their number."""
    machine = Machine(configs[0], len(configs))
    modules = [machine.built(config) for config in configs]
    step = alone(modules[0], machine)
    if len(modules) > 1:
        stack = Stack(template(configs, modules[0]), modules, machine.precision)
        stack.start_epoch()
        step = stack.step
    times: list[float] = []
    while len(times) < 5 or (sum(times) < 0.1 and len(times) < 50):
        start = time.perf_counter()
        step(len(times) % modules[0].steps_per_epoch)
        machine.wait()
        times.append(time.perf_counter() - start)
    return min(times[2:]) / len(configs)


def alone(module: RunModule, machine: Machine) -> Callable[[int], None]:
    """The step of a run by itself."""
    module.on_train_epoch_start()

    def step(number: int) -> None:
        with machine.precision():
            module.step(*module.batches.batch(number), number)

    return step


def widest(config: Config) -> int:
    """How many runs fit into half of the free memory, by an estimate from above."""
    machine = Machine(config, 1)
    module = machine.built(config).eval()
    outputs: list[int] = []
    for layer in module.network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda _, __, y: outputs.append(y.numel()))
    with torch.no_grad():
        module(module.batch_of(module.data.train, slice(0, 1))[0])
    parameters, batch_size, device = machine.described(module)
    activations = sum(outputs) * max(EVALUATION_BATCH, 3 * batch_size)
    logits = (len(module.data.train) + len(module.data.val)) * module.data.classes
    # Weights, gradients and two moments; the record's copies of the last and the best state; an
    # epoch's logits, joined and in the loss.
    numbers = 8 * parameters + activations + 3 * logits
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, free // 2 // (4 * numbers))
