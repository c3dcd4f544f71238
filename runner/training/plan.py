"""How many runs to train as one: as many as memory holds and as a short measurement finds fastest."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from runner.config.schema import Config
from runner.errors import summary
from runner.training.module import EVALUATION_BATCH
from runner.training.workers import Machine, most_workers

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
        width: Runs at a time; 1 trains them one by one, as without stacking.
        workers: The stacks, each in a thread of its own, that they are dealt out to.
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
        f"{'alone' if w == 1 else f'{w} on {n}'} {1e3 * plans[w, n]:.2g}" for w, n in sorted(plans)
    )
    return Plan(*chosen, f"ms a step and run: {shown}")


def measure(plans: dict[tuple[int, int], float], configs: Sequence[Config], max_width: int) -> None:
    """Adds seconds a step and run for widths and workers, as many as there is time for."""
    with Machine(configs[:1]) as machine:
        module = machine.built(configs[0])
        limit = min(len(configs), max_width, widest(machine))
        alone = plans[1, 1] = ALONE * seconds_a_step(configs[:1], machine)
        workers = most_workers(configs[0], machine.device)
    work = alone * len(configs) * module.epochs * module.steps_per_epoch
    end = time.perf_counter() + MEASURING * work
    for wide in dict.fromkeys(min(w, limit) for w in WIDTHS):
        for count in dict.fromkeys((min(workers, wide), 1)):
            if len(plans) > 2 and time.perf_counter() > end:
                return
            try:
                with Machine(configs[:wide], count) as machine:
                    plans[wide, count] = seconds_a_step(configs[:wide], machine)
            except torch.OutOfMemoryError:
                break


def seconds_a_step(configs: Sequence[Config], machine: Machine) -> float:
    """The time of a step of all runs divided by their number: the best of three samples."""
    modules = [machine.built(config) for config in configs]
    if len(modules) == 1:
        (module,) = modules
        module.on_train_epoch_start()

        def step(number: int) -> None:
            with machine.precision():
                module.step(*module.batches.batch(number), number)

        return best_of_three(lambda count: repeat(step, count, module.steps_per_epoch), machine)
    stacks = machine.stacks(modules)
    for stack in stacks:
        stack.start_epoch()

    def steps(count: int) -> None:
        machine.each(lambda stack: repeat(stack.step, count, stack.steps_per_epoch), stacks)

    return best_of_three(steps, machine) / len(configs)


def repeat(step: Callable[[int], None], count: int, steps_per_epoch: int) -> None:
    for number in range(count):
        step(number % steps_per_epoch)


def best_of_three(steps: Callable[[int], None], machine: Machine) -> float:
    """Seconds a step, the first ones left out."""

    def sample(count: int) -> float:
        start = time.perf_counter()
        steps(count)
        machine.wait()
        return (time.perf_counter() - start) / count

    sample(2)
    count = max(2, min(100, int(SAMPLE / 3 / sample(2))))
    return min(sample(count) for _ in range(3))


def widest(machine: Machine) -> int:
    """How many runs fit into half of the free memory, by an estimate from above."""
    module = machine.built(machine.configs[0]).eval()
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
