"""Where the runs of a stack are computed, with which precision, and on how many threads."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import pairwise
from threading import Event
from typing import Any, TypeVar

import torch
from torch import nn

from runner.config.schema import Config
from runner.training.build import build, flops_of, lightning_trainer, on_device
from runner.training.module import RunModule
from runner.training.stack import Stack, update_settings
from runner.training.threads import ALL_THREADS, set_threads

Result = TypeVar("Result")


class Machine:
    """Device and precision as Lightning makes them for a run alone; workers that train side by side.

    Several stacks, each in a thread of its own that computes on one core, need no barrier after
    every operation, as the threads inside an operation do. Where the cores have other work, one late
    thread there holds up all: beside two busy processes on two cores, one call of fused Adam for four
    MLPs took 31 ms on two threads and 0.2 ms on one.

    Args:
        configs: The runs.
        workers: How many stacks train side by side.
    """

    def __init__(self, configs: Sequence[Config], workers: int = 1) -> None:
        config = configs[0]
        self.trainer = lightning_trainer(config, config.epochs)
        self.device = self.trainer.strategy.root_device
        self.configs = configs
        self.workers = workers
        module = build(config, self.device)
        flops = len(configs) * module.batch_size * flops_of(config, module.data)
        set_threads(1 if workers > 1 else config.trainer.threads, flops)
        # torch's number of threads is a thread's own.
        self.pool = ThreadPoolExecutor(
            workers, initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)
        )
        self.stopped = Event()

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.pool.shutdown()

    def each(
        self, work: Callable[..., Result], items: Iterable[Any], *arguments: Any
    ) -> list[Result]:
        """The results of `work(item, *arguments)`, computed for as many at a time as there are workers."""
        if self.workers == 1:
            # Here: OpenMP keeps a team of threads for each thread that calls it. With more of them than
            # cores it waits by sleeping, and a small step takes two to three times as long.
            return [work(item, *arguments) for item in items]
        waiting = [self.pool.submit(work, item, *arguments) for item in items]
        return [future.result() for future in waiting]

    def stacks(self, modules: Sequence[RunModule]) -> list[Stack]:
        """The modules in a stack for each worker. Runs that are updated alike stay together."""
        ordered = sorted(modules, key=update_settings)
        count = min(self.workers, len(ordered))
        bounds = [len(ordered) * i // count for i in range(count + 1)]
        parts = [ordered[a:b] for a, b in pairwise(bounds)]
        return [Stack(self.template(), part, self.precision) for part in parts]

    def precision(self) -> AbstractContextManager[Any]:
        """The context of forward and backward."""
        return self.trainer.precision_plugin.forward_context()

    def built(self, config: Config) -> RunModule:
        """A run's module with its initial weights and its optimizer."""
        module = build(config, self.device).to(self.device)
        module.configure_optimizers()
        return module

    def template(self) -> nn.Module:
        """A network with every layer that one of the runs has: dropout, wherever one run has it."""
        config = self.configs[0]
        rates = {
            key: max(getattr(c.regularizer, key) for c in self.configs)
            for key in ("dropout", "dropout_input")
        }
        regularizer = config.regularizer.model_copy(update=rates)
        data = on_device(config.data, self.device)
        return config.architecture.build(data.shape, data.classes, regularizer).to(self.device)

    def described(self, module: RunModule) -> tuple[int, int, torch.device]:
        """Parameters, batch size and device, for the record."""
        parameters = sum(p.numel() for p in module.parameters())
        return parameters, module.batch_size, self.device

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def most_workers(config: Config, device: torch.device) -> int:
    """One for each core; a GPU has its own."""
    return 1 if device.type == "cuda" else config.trainer.threads or ALL_THREADS
