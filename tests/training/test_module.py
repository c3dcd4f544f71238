"""Runs trained as one, and a run alone, are the run that a plain loop of PyTorch trains.

Tolerances. Alone, stacked and by hand, sums over a batch or a layer's inputs are taken in another order, so
that numbers differ in the last of float32's 24 bits (6e-8). After the five epochs of 8 steps below, the
largest relative difference over all cases was 1.1e-6 in a tensor of a run and 3.3e-7 in its metrics; allowed
is ten times that. The mistakes planted below move the weights by 4e-3 and more. Activations are tanh: where a
unit of a ReLU network sits at its kink, a last bit decides whether it learns from an example at all.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext

import pytest
import torch
from by_hand import (
    ARCHITECTURES,
    BUFFERS,
    CPU,
    EPOCHS,
    OPTIMIZERS,
    REGULARIZERS,
    WEIGHTS,
    assert_close,
    augmented,
    by_hand,
    configs_of,
    distance,
    module_of,
    three_runs,
    trained,
)
from torch import Tensor, nn
from torch.func import functional_call, vmap

from runner.data import examples
from runner.data.examples import crop_flip, epoch_crops, epoch_order
from runner.options.layers import Dropout
from runner.options.optimizers import Momentum
from runner.training.build import build_module, initialize
from runner.training.cuda_graph import CapturedSteps
from runner.training.groups import grouped
from runner.training.module import RunsModule
from runner.training.run import tensors_of


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two that wait for one another are slow beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_run_is_the_one_by_hand(
    monkeypatch: pytest.MonkeyPatch, optimizer: str, regularizer: str, architecture: str
) -> None:
    # Which of two nearly equal values is the maximum is decided by the last bit.
    monkeypatch.setattr(nn, "MaxPool2d", nn.AvgPool2d)
    configs = three_runs(optimizer, regularizer, architecture)
    stacked, broken = trained(configs)
    (alone,), _ = trained(configs[:1])
    assert not any(broken)
    expected = [by_hand(config) for config in configs]
    pairs = [*zip(expected, stacked, strict=True), (expected[0], alone)]
    for (tensors, history), (others, other_history) in pairs:
        assert distance(tensors, others) < WEIGHTS
        assert_close(history, other_history)


@pytest.mark.parametrize("regularizer", ["dropout", "batch_norm"])
def test_inside_an_epoch_every_run_is_the_one_by_hand(regularizer: str) -> None:
    configs = three_runs("adam", regularizer, "mlp")
    every = [config.model_copy(update={"evaluate_every": 3}) for config in configs]
    stacked, _ = trained(every)
    (alone,), _ = trained(every[:1])
    captured, _ = trained(every, lambda m: setattr(m, "captured", CapturedSteps(m, capture=False)))
    expected = [by_hand(config) for config in every]
    # 40 steps, 8 in an epoch: 3, 6, 8, 9, 12, ...
    assert all(len(history) == 40 // 3 + EPOCHS - 1 for _, history in expected)
    for outcomes in (stacked, captured, [alone]):
        for (tensors, history), (others, other_history) in zip(expected, outcomes, strict=False):
            assert distance(tensors, others) < WEIGHTS
            assert len(history) == len(other_history)
            assert_close(history, other_history)
    # Looking changes nothing.
    for (tensors, history), (others, epochs) in zip(stacked, trained(configs)[0], strict=True):
        assert distance(tensors, others) == 0
        assert [line for line in history if line in epochs] == epochs


def test_runs_at_different_epochs_are_measured_at_steps_of_their_own() -> None:
    configs = [
        config.model_copy(update={"evaluate_every": 3})
        for config in three_runs("sgd", "plain", "mlp")
    ]
    module, runs = module_of(configs)
    runs[1].epoch = 1
    assert [runs.index(run) for run in module.due(1)] == [1]  # its step 9
    assert sorted(runs.index(run) for run in module.due(3)) == [0, 2]
    assert [part[-1] + 1 for part in module.parts(list(range(7)))] == [1, 3, 4, 6, 7]
    assert module.due(8) == []  # the epoch's end


def test_maximum_pooling_of_each_run() -> None:
    configs = [c.model_copy(update={"epochs": 1}) for c in three_runs("sgd", "plain", "convnet")]
    outcomes, _ = trained(configs, epochs=1)
    for config, (tensors, _) in zip(configs, outcomes, strict=True):
        assert distance(by_hand(config)[0], tensors) < WEIGHTS


def test_initial_weights_and_batches_are_those_of_the_run() -> None:
    configs = three_runs("adam", "dropout", "convnet")
    configs = [c.model_copy(update={"data": augmented(c)}) for c in configs]
    module, runs = module_of(configs)
    seen = []
    module.__dict__["passes"] = lambda x, y: seen.append((x, y)) or stop()
    module.on_train_epoch_start()
    with pytest.raises(StopIteration):
        module.step(3)
    ((inputs, targets),) = seen
    rows = module.networks.on_cpu([list(run.tensors) for run in module.runs])
    for config, run in zip(configs, runs, strict=True):
        data = examples.load(config.data)
        row = module.runs.index(run)
        network = config.architecture.build(data.shape, data.classes, config.regularizer)
        initialize(network, config)
        assert distance(tensors_of(network), rows[row]) == 0
        places = slice(3 * 32, 4 * 32)
        numbers = epoch_order(data, config.seed, 0)[places]
        images = crop_flip(data.train.images[numbers], epoch_crops(data, config.seed, 0)[places])
        assert torch.equal(inputs[row], data.inputs(images))
        assert torch.equal(targets[row], data.train.targets[numbers])


def stop() -> None:
    raise StopIteration


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


def swap_rates(module: RunsModule) -> None:
    first, second = module.runs[0], module.runs[-1]
    first.update_rule, second.update_rule = second.update_rule, first.update_rule


def share_masks(module: RunsModule) -> None:
    for name, buffer in module.networks.buffers.items():
        if name.endswith("key"):
            buffer[:] = buffer[0].clone()


def double_rate(module: RunsModule) -> None:
    run = module.runs[0]
    run.update_rule = run.update_rule.model_copy(update={"lr": 1.01 * run.update_rule.lr})


def other_rule(module: RunsModule) -> None:
    module.updates.groups[0]["betas"] = (0.9, 0.99)


def no_l2(module: RunsModule) -> None:
    module.l2_R = None


def swap_norms(module: RunsModule) -> None:
    assert module.l2_R is not None
    module.l2_R = module.l2_R.flip(0)


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
    change: Callable[[RunsModule], object], regularizer: str
) -> None:
    configs = three_runs("adam", regularizer, "mlp")
    outcomes, _ = trained(configs, change)
    expected = [by_hand(config) for config in configs]
    worst = max(distance(a, b) for (a, _), (b, _) in zip(expected, outcomes, strict=True))
    assert worst > 100 * WEIGHTS


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_steps_as_a_cuda_graph_takes_them_are_the_same_bits(optimizer: str) -> None:
    """Here one by one: their number, order, crops and η come from tensors instead of the host."""
    configs = three_runs(optimizer, "dropout", "mlp")
    configs = [c.model_copy(update={"data": augmented(c)}) for c in configs]

    def capture(module: RunsModule) -> None:
        module.captured = CapturedSteps(module, capture=False)

    plain, _ = trained(configs)
    captured, _ = trained(configs, capture)
    for (one, history), (other, other_history) in zip(plain, captured, strict=True):
        assert distance(one, other) == 0
        assert history == other_history


def test_a_diverging_run_changes_no_bit_of_the_others() -> None:
    good = three_runs("sgd", "dropout", "mlp")
    steep = good[0].optimizer.model_copy(update={"lr": 3e38})
    bad = good[0].model_copy(update={"optimizer": steep, "seed": 7})
    without, _ = trained(good)
    outcomes, broken = trained([good[0], bad, *good[1:]])
    assert [step is not None for step in broken] == [False, True, False, False]
    for (one, _), (other, _) in zip(without, [outcomes[0], *outcomes[2:]], strict=True):
        assert distance(one, other) == 0


def test_a_stack_of_runs_goes_on_from_their_states() -> None:
    """What `states` gives is all that the rest of a run depends on, whatever runs are beside it."""
    for optimizer in ("momentum", "rmsprop", "adam_uncorrected"):
        configs = three_runs(optimizer, "dropout", "mlp")
        whole, _ = trained(configs)
        module, runs = module_of(configs)
        for epoch in range(EPOCHS):
            module.on_train_epoch_start()
            for number in range(module.steps_per_epoch):
                module.step(number)
            for part in module.val_dataloader():
                module.validation_step(part, 0)
            module.on_train_epoch_end()
            for run, state in zip(module.runs, module.states(), strict=True):
                run.resume(state)
            if epoch == 1:
                runs, configs, whole = runs[1:], configs[1:], whole[1:]
            module = build_module(configs, runs, CPU, nullcontext)
        for run, (tensors, _) in zip(runs, whole, strict=True):
            assert distance(tensors, run.tensors) < 1e-6


class Whitened(Momentum):
    """A rule that is not elementwise: each gradient is divided by its largest singular value."""

    elementwise = False

    def build(self, params: Iterable[Tensor]) -> torch.optim.Optimizer:
        return SpectralDescent(params, self.lr)


class SpectralDescent(torch.optim.SGD):
    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        super().__init__(params, lr=lr)

    @torch.no_grad()
    def step(self, closure: object = None) -> None:
        for w in self.param_groups[0]["params"]:
            assert w.dim() < 3, "the axis of runs"
            largest = torch.linalg.matrix_norm(w.grad, 2) if w.dim() == 2 else w.grad.norm()
            w.sub_(w.grad / largest, alpha=self.param_groups[0]["lr"])


def test_a_rule_that_is_not_elementwise_sees_the_tensors_of_its_run() -> None:
    (config,) = configs_of([], common=["optimizer=momentum", *ARCHITECTURES["mlp"]])
    rule = Whitened(name="momentum", lr=0.05, momentum=0.5)
    config = config.model_copy(update={"optimizer": rule})
    ((tensors, history),), _ = trained([config])
    expected, expected_history = by_hand(config)
    assert distance(expected, tensors) < WEIGHTS
    assert_close(expected_history, history)
    assert len(grouped([config, config.model_copy(update={"seed": 1})])) == 2
