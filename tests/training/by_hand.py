"""Runs trained by a plain loop of PyTorch, and as a module trains them; how far apart they are."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from runner.command.compose import composing
from runner.config.schema import Config
from runner.data import examples
from runner.data.examples import epoch_order
from runner.options.data import Data
from runner.options.layers import weights
from runner.options.schedules import factor
from runner.training.build import batch_size_of, build_module, build_run, initialize
from runner.training.module import RunsModule
from runner.training.run import Run, tensors_of

WEIGHTS, LOSSES = 1e-5, 3e-6
EPOCHS = 5
TINY = ("data.train_size=256", f"epochs={EPOCHS}", "trainer.progress=false", "trainer.threads=1")
RATES = {"sgd": 0.1, "momentum": 0.02, "nesterov": 0.02, "adagrad": 0.02, "rmsprop": 2e-3}
OPTIMIZERS = [*RATES, "adam", "adam_uncorrected", "adamw"]
REGULARIZERS = {
    "plain": ["regularizer=none"],
    "dropout": ["regularizer=dropout", "regularizer.dropout_input=0.2"],
    "batch_norm": ["regularizer=batch_norm"],
    "norms": ["regularizer.l1=1e-4", "regularizer.l2=1e-3", "regularizer.max_norm=2.0"],
}
ARCHITECTURES = {
    "mlp": ["architecture.hidden=[30,20]", "architecture.activation=tanh"],
    "convnet": [
        "architecture=convnet",
        "architecture.channels=[4,8]",
        "architecture.hidden=[16]",
        "architecture.activation=tanh",
    ],
}
BUFFERS = ("key", "count", "threshold", "scale")
CPU = torch.device("cpu")


def configs_of(*each: Sequence[str], common: Sequence[str] = ()) -> list[Config]:
    with composing() as composer:
        return [composer.jobs([*TINY, *common, *own], False)[0].config for own in each]


def three_runs(optimizer: str, regularizer: str, architecture: str) -> list[Config]:
    """Runs that differ in seed, η, schedule and the strength of what regularises them."""
    rate = RATES.get(optimizer, 1e-3)
    own = [
        [f"seed={seed}", f"optimizer.lr={rate * factor}", f"schedule.gamma={gamma}"]
        for seed, factor, gamma in ((0, 1.0, 0.9), (1, 0.5, 0.8), (2, 1.0, 0.9))
    ]
    if regularizer == "dropout":
        own[1].append("regularizer.dropout=0.3")
    if regularizer == "norms":
        own[1] += ["regularizer.l2=0.01", "regularizer.max_norm=null"]
    common = [f"optimizer={optimizer}", "schedule=exponential"]
    if optimizer not in ("sgd", "momentum", "nesterov"):
        # Divided by its own size, the rounding of a gradient that is 0 would be a step of size η.
        common.append("optimizer.eps=1e-3")
    common += REGULARIZERS[regularizer] + ARCHITECTURES[architecture]
    return configs_of(*own, common=common)


History = list[dict[str, float]]


def by_hand(config: Config) -> tuple[dict[str, Tensor], History]:
    """A run as one writes it without a framework: its tensors, and its metrics wherever it is measured."""
    data = examples.load(config.data)
    network = config.architecture.build(data.shape, data.classes, config.regularizer)
    initialize(network, config)
    optimizer = config.optimizer.build(network.parameters())
    size, l1, l2 = batch_size_of(config, data), config.regularizer.l1, config.regularizer.l2
    steps = len(data.train) // size
    every = config.evaluate_every
    history = []
    for epoch in range(config.epochs):
        order, seen = epoch_order(data, config.seed, epoch), []
        network.train()
        for number in range(steps):
            numbers = order[number * size : (number + 1) * size]
            logits = network(data.inputs(data.train.images[numbers]))
            penalty = sum(l1 * w.abs().sum() + l2 / 2 * (w * w).sum() for w in weights(network))
            optimizer.zero_grad()
            (config.loss(logits, data.train.targets[numbers]) + penalty).backward()
            share = factor(config.schedule, epoch * steps + number, steps, config.epochs)
            optimizer.param_groups[0]["lr"] = config.optimizer.lr * share
            optimizer.step()
            limit(network, config.regularizer.max_norm)
            seen.append((logits.detach(), data.train.targets[numbers]))
            if number < steps - 1 and not (every and (epoch * steps + number + 1) % every == 0):
                continue
            network.eval()
            with torch.no_grad():
                val = network(data.inputs(data.val.images))
            network.train()
            train = tuple(map(torch.cat, zip(*seen, strict=True)))
            history.append(
                measured("val", config, val, data.val.targets)
                | measured("train", config, *train)
                | {"lr": optimizer.param_groups[0]["lr"]}
            )
    return tensors_of(network), history


@torch.no_grad()
def limit(network: nn.Module, max_norm: float | None) -> None:
    for w in weights(network) if max_norm else ():
        for unit in w:
            unit *= min(1.0, max_norm / unit.norm().item())


def measured(split: str, config: Config, logits: Tensor, labels: Tensor) -> dict[str, float]:
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    return {f"{split}/loss": config.loss(logits, labels).item(), f"{split}/accuracy": accuracy}


def module_of(configs: Sequence[Config]) -> tuple[RunsModule, list[Run]]:
    """A module of these runs, and the runs in their order."""
    runs = [build_run(config) for config in configs]
    return build_module(configs, runs, CPU, nullcontext), runs


Outcome = tuple[dict[str, Tensor], History]


def trained(
    configs: Sequence[Config],
    change: Callable[[RunsModule], object] = lambda module: None,
    epochs: int = EPOCHS,
) -> tuple[list[Outcome], list[int | None]]:
    """Runs trained by a module: tensors and metrics of each, and the first step that was not finite."""
    module, runs = module_of(configs)
    change(module)
    histories: list[History] = [[] for _ in runs]
    broken: dict[Run, int | None] = {}
    for _ in range(epochs):
        module.on_train_epoch_start()
        for block in module.train_dataloader():
            module.training_step(block, 0)
            for run, _, _, metrics in module.between:
                histories[runs.index(run)].append(metrics)
            module.between.clear()
        for part in module.val_dataloader():
            module.validation_step(part, 0)
        module.on_train_epoch_end()
        for run, history in zip(runs, histories, strict=True):
            history.append(run.metrics)
            broken[run] = broken.get(run) or run.broken_at
    tensors = dict(
        zip(
            module.runs, module.networks.on_cpu([list(r.tensors) for r in module.runs]), strict=True
        )
    )
    outcomes = [(tensors[run], history) for run, history in zip(runs, histories, strict=True)]
    return outcomes, [broken[run] for run in runs]


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest relative difference of a tensor of two networks."""
    assert list(one) == list(other)
    distances = [
        (a.double() - b.double()).norm() / a.double().norm().clamp(min=1e-9)
        for a, b in zip(one.values(), other.values(), strict=True)
    ]
    return float(max(distances))


def assert_close(one: History, other: History) -> None:
    for a, b in zip(one, other, strict=True):
        assert list(a) == list(b)
        assert a == pytest.approx(b, rel=LOSSES, abs=LOSSES)


def augmented(config: Config) -> Data:
    return config.data.model_copy(update={"augment": "crop_flip"})
