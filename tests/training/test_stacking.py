"""Runs trained as one are the runs that they are alone.

Tolerances. Alone and stacked, sums over a batch or a layer's inputs are taken in another order, so that
numbers differ in the last of float32's 24 bits (6e-8). After the five epochs of 8 steps below, the largest
relative difference over all cases was 1.1e-6 in a tensor of a run and 3.3e-7 in its metrics; allowed is ten
times that. The mistakes planted below move the weights by 4e-3 and more. Activations are tanh: where a
unit of a ReLU network sits at its kink, a last bit decides whether it learns from an example at all.
"""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch.func import functional_call, vmap

from runner.command.compose import composing
from runner.config.schema import Config
from runner.options.data import Data
from runner.options.layers import Dropout
from runner.training import build as train
from runner.training.module import RunModule
from runner.training.stack import Stack
from runner.training.workers import Machine

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
    common += REGULARIZERS[regularizer] + ARCHITECTURES[architecture]
    return configs_of(*own, common=common)


History = list[dict[str, float]]


def alone(config: Config) -> tuple[RunModule, History]:
    """A run trained by RunModule's own steps."""
    module = train.build(config, CPU)
    module.configure_optimizers()
    history = []
    for _ in range(config.epochs):
        module.on_train_epoch_start()
        for number in range(module.steps_per_epoch):
            step = module.epoch * module.steps_per_epoch + number
            module.step(*module.batches.batch(number), step)
        module.eval()
        with torch.no_grad():
            for part in module.val_dataloader():
                module.outputs["val"].append(module.evaluate(module.data.val, part))
        module.on_validation_epoch_end()
        module.train()
        module.on_train_epoch_end()
        history.append(module.metrics)
    return module, history


def stacked(
    configs: Sequence[Config], change: Callable[[Stack], object] = lambda stack: None
) -> tuple[list[RunModule], list[History], list[int | None]]:
    """Runs trained as one: modules, metrics and the first step that was not finite."""
    with Machine(configs) as machine:
        modules = [machine.built(config) for config in configs]
        (stack,) = machine.stacks(modules)
    change(stack)
    histories: list[History] = [[] for _ in modules]
    broken: dict[RunModule, int | None] = {}
    for _ in range(EPOCHS):
        stack.start_epoch()
        for number in range(stack.steps_per_epoch):
            stack.step(number)
        for module, step in zip(stack.modules, stack.end_epoch(), strict=True):
            broken[module] = broken.get(module) or step
        for module, history in zip(modules, histories, strict=True):
            history.append(module.metrics)
    return modules, histories, [broken[module] for module in modules]


def distance(one: RunModule, other: RunModule) -> float:
    """The largest relative difference of a tensor of two networks."""
    states = one.network.state_dict(), other.network.state_dict()
    assert list(states[0]) == list(states[1])
    distances = [
        (a.double() - b.double()).norm() / a.double().norm().clamp(min=1e-9)
        for a, b in zip(states[0].values(), states[1].values(), strict=True)
    ]
    return float(max(distances))


def assert_close(one: History, other: History) -> None:
    for a, b in zip(one, other, strict=True):
        assert list(a) == list(b)
        assert a == pytest.approx(b, rel=LOSSES, abs=LOSSES)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_stacked_run_is_the_run_alone(
    optimizer: str, regularizer: str, architecture: str
) -> None:
    configs = three_runs(optimizer, regularizer, architecture)
    modules, histories, broken = stacked(configs)
    assert not any(broken)
    for config, module, history in zip(configs, modules, histories, strict=True):
        single, single_history = alone(config)
        assert distance(single, module) < WEIGHTS
        assert_close(single_history, history)


def test_initial_weights_and_batches_are_the_same_bits() -> None:
    configs = three_runs("adam", "dropout", "convnet")
    configs = [c.model_copy(update={"data": augmented(c)}) for c in configs]
    with Machine(configs) as machine:
        modules = [machine.built(config) for config in configs]
        (stack,) = machine.stacks(modules)
    stack.start_epoch()
    inputs, targets = stack.batch(3)
    for config, module in zip(configs, modules, strict=True):
        single = train.build(config, CPU)
        assert distance(single, module) == 0
        single.on_train_epoch_start()
        own_inputs, own_targets = single.batches.batch(3)
        row = stack.modules.index(module)
        assert torch.equal(inputs[row], own_inputs)
        assert torch.equal(targets[row], own_targets)


def augmented(config: Config) -> Data:
    return config.data.model_copy(update={"augment": "crop_flip"})


def test_masks_are_the_same_bits() -> None:
    rates, keys = [0.0, 0.5, 0.3], [3, 4, 5]
    alone_, x = [], torch.ones(3, 8, 5)
    for row, (rate, key) in enumerate(zip(rates, keys, strict=True)):
        layer = Dropout(rate)
        layer.key.fill_(key)
        alone_.append((layer, torch.stack([layer(x[row]) for _ in range(2)])))
    together = {
        n: torch.stack([dict(layer.named_buffers())[n] for layer, _ in alone_]) for n in BUFFERS
    }
    together["count"].zero_()
    forward = vmap(lambda buffers, x: functional_call(Dropout(0.9), buffers, (x,)))
    masks = torch.stack([forward(together, x) for _ in range(2)], dim=1)
    assert torch.equal(masks, torch.stack([mask for _, mask in alone_]))
    assert (masks[0] == 1).all()
    assert together["count"].tolist() == [2, 2, 2]


def swap_rates(stack: Stack) -> None:
    first, second = stack.groups[0].modules[0], stack.groups[-1].modules[0]
    first.update_rule, second.update_rule = second.update_rule, first.update_rule


def share_masks(stack: Stack) -> None:
    for name, buffer in stack.buffers.items():
        if name.endswith("key"):
            buffer[:] = buffer[0].clone()


def double_rate(stack: Stack) -> None:
    module = stack.groups[0].modules[0]
    module.update_rule = module.update_rule.model_copy(update={"lr": 1.01 * module.update_rule.lr})


def other_rule(stack: Stack) -> None:
    stack.groups[0].optimizer.param_groups[0]["betas"] = (0.9, 0.99)


def no_l2(stack: Stack) -> None:
    stack.l2 = None


def swap_norms(stack: Stack) -> None:
    assert stack.l2 is not None
    stack.l2 = stack.l2.flip(0)


@pytest.mark.parametrize(
    ("change", "regularizer"),
    [
        (swap_rates, "plain"),
        (double_rate, "plain"),
        (other_rule, "plain"),
        (share_masks, "dropout"),
        (no_l2, "norms"),
        (swap_norms, "norms"),
    ],
)
def test_the_tolerance_notices_a_mistake(
    change: Callable[[Stack], object], regularizer: str
) -> None:
    configs = three_runs("adam", regularizer, "mlp")
    modules, _, _ = stacked(configs, change)
    singles = [alone(config)[0] for config in configs]
    worst = max(distance(a, b) for a, b in zip(singles, modules, strict=True))
    assert worst > 100 * WEIGHTS


def test_a_diverging_run_changes_no_bit_of_the_others() -> None:
    good = three_runs("sgd", "dropout", "mlp")
    steep = good[0].optimizer.model_copy(update={"lr": 3e38})
    bad = good[0].model_copy(update={"optimizer": steep, "seed": 7})
    without, _, _ = stacked(good)
    modules, _, broken = stacked([good[0], bad, *good[1:]])
    assert [step is not None for step in broken] == [False, True, False, False]
    for one, other in zip(without, [modules[0], *modules[2:]], strict=True):
        assert distance(one, other) == 0
