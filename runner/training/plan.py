"""How many runs to train as one: as many as memory holds and as a short measurement finds fastest."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event

import psutil
import torch

from runner.config.schema import Config
from runner.errors import summary
from runner.training.build import build_module, build_run, lightning_trainer
from runner.training.groups import evenly
from runner.training.module import EVALUATION_BATCH, RunsModule
from runner.training.threads import ALL_THREADS, set_threads, step_flops
from runner.training.workers import carried_out

MAX_WIDTH = 256
WIDTHS = (16, 64, 4, 256)  # tried in this order, until the time for it is spent
MEASURING = 0.05  # of the time that the runs take one by one may go into finding the width
# A run alone also pays for Lightning: its loop, and the start of every fit and test.
ALONE = 1.2
SAMPLE = 0.1  # seconds that a measurement lasts


@dataclass(frozen=True)
class Plan:
    """How to train a group of runs.

    Attributes:
        width: Runs per stack; 1 trains them one by one.
        workers: How many stacks are trained side by side, each in a thread of its own.
        why: In a few words.
    """

    width: int
    workers: int
    why: str


def fastest_plan(configs: Sequence[Config], width: int | None, max_width: int) -> Plan:
    """Measures a few steps of some widths and takes the fastest.

    That is the rule for every kind of network. Small ones gain most: their time goes into calls.
    Convolutions become grouped convolutions in a stack, which win where they are small and lose
    where they are not. Milliseconds a step and run on one core (AMD EPYC, torch 2.13, batch 32):

        convnet                  alone    2       4       8       16
        8, 16; 32 on digits      0.88     1.00    0.71    0.52    0.39
        32, 64; 128 on digits    1.71     2.12    1.79    1.50    1.34
        32, 64; 128 on MNIST     11.6     12.5    12.3

    Args:
        configs: Runs that can be stacked.
        width: The width, if it is not to be measured.
        max_width: The largest to try.
    """
    if len(configs) == 1:
        return Plan(1, 1, "nothing to stack it with")
    if width:
        return Plan(width, 1, f"width={width}")
    plans: dict[tuple[int, int], float] = {}
    try:
        measure(plans, configs, max_width)
    except Exception as error:  # in training the run at fault fails, and no other
        if len(plans) < 2:
            return Plan(1, 1, f"the measurement failed: {summary(error)}")
    chosen = min(plans, key=lambda plan: plans[plan])
    shown = ", ".join(
        f"{'alone' if w == n == 1 else w if n == 1 else f'{n}×{w}'} {1e3 * plans[w, n]:.2g}"
        for w, n in sorted(plans)
    )
    return Plan(*chosen, f"ms a step and run: {shown}")


def widest_plan(configs: Sequence[Config], width: int | None, max_width: int) -> Plan:
    """As many as fit into half of the memory that there is, used or not: the same plan every time.

    Args:
        configs, width, max_width: As for `fastest_plan`.
    """
    if len(configs) == 1:
        return Plan(1, 1, "nothing to stack it with")
    if width:
        return Plan(width, 1, f"width={width}")
    try:
        module = built(configs[:1])
        return Plan(min(max_width, widest(module, memory(module.at))), 1, "as many as fit")
    except Exception as error:  # in training the run at fault fails, and no other
        return Plan(1, 1, f"the first cannot be built: {summary(error)}")


def measure(plans: dict[tuple[int, int], float], configs: Sequence[Config], max_width: int) -> None:
    """Adds seconds a step and run for widths and workers, as many as there is time for."""
    module = built(configs[:1])
    limit = min(len(configs), max_width, widest(module, free_memory(module.at)))
    most_workers = 1 if module.at.type == "cuda" else configs[0].trainer.threads or ALL_THREADS
    alone = plans[1, 1] = ALONE * seconds_a_step([module], configs)
    work = alone * len(configs) * configs[0].epochs * module.steps_per_epoch
    end = time.perf_counter() + MEASURING * work
    for runs in dict.fromkeys(min(w, limit) for w in WIDTHS):
        for workers in dict.fromkeys((min(most_workers, runs), 1)):
            if len(plans) > 2 and time.perf_counter() > end:
                return
            stacks = list(evenly(configs[:runs], -(-runs // workers)))
            try:
                modules = [built(stack) for stack in stacks]
                plans[len(stacks[0]), len(stacks)] = seconds_a_step(modules, configs) / runs
            except torch.OutOfMemoryError:
                break


def built(configs: Sequence[Config]) -> RunsModule:
    """The module of these runs, at the start of an epoch."""
    trainer = lightning_trainer(configs[0], 1)
    device, precision = trainer.strategy.root_device, trainer.precision_plugin.forward_context
    module = build_module(configs, [build_run(config) for config in configs], device, precision)
    module.on_train_epoch_start()
    return module


def seconds_a_step(modules: Sequence[RunsModule], configs: Sequence[Config]) -> float:
    """The time of a step of all modules side by side: the best of three samples."""
    set_threads(configs[0].trainer.threads, len(modules[0].runs) * step_flops(configs[0]))

    def sample(count: int) -> float:
        def steps(module: RunsModule) -> Iterator[None]:
            for number in range(count):
                module.step(number % module.steps_per_epoch)
            module.wait()
            yield

        start = time.perf_counter()
        for _, outcome in carried_out(steps, deque(modules), len(modules), Event()):
            if isinstance(outcome, BaseException):
                raise outcome
        return (time.perf_counter() - start) / count

    sample(2)
    count = max(2, min(100, int(SAMPLE / 3 / sample(2))))
    return min(sample(count) for _ in range(3))


def widest(module: RunsModule, available: int) -> int:
    """How many runs fit into half of the available bytes, by an estimate from above."""
    outputs: list[int] = []
    network = module.networks.network(0).eval()
    for layer in network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda _, __, y: outputs.append(y.numel()))
    with torch.no_grad():
        network(module.feed.first(module.data.train, 1)[0])
    activations = sum(outputs) * max(EVALUATION_BATCH, 3 * module.batch_size)
    examples = len(module.data.train) + len(module.data.val)
    kept = examples * module.task.num_kept(module.facts)
    # Weights, gradients and two moments; the record's copies of the last and the best state; what is kept
    # of an epoch, joined and in the loss; the answers on the test split, which are pictures for some tasks.
    answers = len(module.data.test) * module.task.num_outputs(module.facts)
    numbers = 8 * module.networks.num_parameters + activations + 3 * kept + answers
    return max(1, available // 2 // (4 * numbers))


def memory(device: torch.device) -> int:
    """Bytes, used or not."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return int(psutil.virtual_memory().total)


def free_memory(device: torch.device) -> int:
    """Bytes."""
    if device.type == "cuda":
        torch.cuda.empty_cache()  # else blocks that torch only keeps count as used
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)
