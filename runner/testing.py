"""What every option promises, as a test: the runner's own options are tested by it too.

from runner.testing import check_option

def test_lion():
    check_option(Lion, lr=0.01)
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import torch
import yaml
from pydantic import ValidationError
from torch import Tensor, nn

from runner.command.compose import composing
from runner.config.defaults import option_defaults
from runner.config.schema import Config
from runner.data import examples
from runner.errors import summary
from runner.options.architectures import Architecture
from runner.options.data import Data
from runner.options.inits import Init
from runner.options.layers import layers, weights
from runner.options.losses import Loss
from runner.options.optimizers import UpdateRule
from runner.options.option import Option
from runner.options.registry import OPTIONS, is_own, names_of
from runner.options.regularizers import Regularizer
from runner.options.schedules import Schedule
from runner.options.task import Task
from runner.runs.folder import RunFolder
from runner.training.build import initialize
from runner.training.facts import facts_of
from runner.training.networks import Networks
from runner.training.run import tensors_of
from runner.training.train import train_all
from runner.training.updates import joined

TINY = (
    *("data.train_size=64", "batch_size.size=16", "epochs=2", "optimizer.lr=0.01"),
    *("trainer.accelerator=cpu", "trainer.threads=1", "trainer.progress=false"),
)
CLASSES = 10


def check_option(kind: type[Option], **settings: Any) -> None:
    """Checks that an option keeps what its group promises, and trains with it for a moment.

    Args:
        kind: A class that is registered by `@runner.option`.
        settings: Where they are to differ from its defaults, or it has none: small ones are faster.

    Raises:
        AssertionError: It does not; the message says what.
    """
    groups = [group for group, options in OPTIONS.items() if kind in options.values()]
    assert groups, f"{kind.__name__} is no option: @runner.option(group) is missing"
    (group,) = groups
    option = _made(group, kind, settings)
    _check_settings(option)
    if group in CHECKS:
        CHECKS[group](option)
    if group != "data":
        _check_training(group, option)


def _made(group: str, kind: type[Option], settings: dict[str, Any]) -> Option:
    try:
        return kind.model_validate(option_defaults(group, names_of(kind)[0]) | settings)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        key = ".".join(map(str, mistake["loc"]))
        raise AssertionError(f"{key}: {mistake['msg']}: check_option(..., {key}=...)") from None


def _check_settings(option: Option) -> None:
    kind, values = type(option), option.model_dump(mode="json")
    again = kind.model_validate(yaml.safe_load(yaml.safe_dump(values)))
    assert again == option, f"another option comes back from YAML: {again!r}"
    try:
        assert hash(again) == hash(option), "equal options have different hashes"
    except TypeError:
        raise AssertionError(
            "a setting cannot be hashed: a tuple such as Counts, no list"
        ) from None
    try:
        kind.model_validate(values | {"no_such_setting": 1})
    except ValidationError:
        pass
    else:
        raise AssertionError("an unknown setting is accepted")
    assert kind.model_json_schema()["properties"].keys() == values.keys()


# Optimizers


def _check_update_rule(rule: UpdateRule) -> None:
    random = torch.Generator().manual_seed(0)
    start = torch.randn(2, 5, 3, generator=random)  # of two runs
    curvature = 0.5 + 1.5 * torch.rand(start.shape, generator=random)
    curvature[1] *= 1e-3  # the second run's gradients are much smaller

    def slope(w: Tensor, part: Any = ...) -> Tensor:
        """∂/∂w of ½Σcw²."""
        return curvature[part] * w

    descended = _steps(rule, start[0], lambda w: slope(w, 0), 200)
    before, after = ((curvature[0] * w**2).sum() for w in (start[0], descended[-1]))
    assert descended[-1].isfinite().all(), "the parameters are not finite after 200 steps"
    assert after < before, f"200 steps raise a quadratic cost from {before:g} to {after:g}"
    for shape in ((4,), (4, 3), (4, 3, 2, 2)):
        assert _steps(rule, torch.ones(shape), torch.ones_like, 2)[-1].shape == shape
    _check_rate(rule, start[0], lambda w: slope(w, 0))
    _check_resumption(rule, start[0], lambda w: slope(w, 0))
    if rule.elementwise:
        _check_joined(rule, start[0], lambda w: slope(w, 0))
        alone = [_steps(rule, start[row], lambda w, row=row: slope(w, row), 20) for row in (0, 1)]  # type: ignore[misc]
        stacked = _steps(rule, start, slope, 20)
        transposed = _steps(rule, start.mT.contiguous(), lambda w: slope(w.mT).mT.contiguous(), 20)
        for found in (stacked, [w.mT for w in transposed]):
            for w, *own in zip(found, *alone, strict=True):
                same = torch.allclose(w, torch.stack(own), rtol=1e-5, atol=1e-7)
                assert same, "it says elementwise, but runs in a stack are not updated as alone"


def _check_rate(rule: UpdateRule, start: Tensor, slope: Callable[[Tensor], Tensor]) -> None:
    half = rule.lr / 2
    expected = _steps(rule.model_copy(update={"lr": half}), start, slope, 5)[-1]
    for rate in (half, torch.tensor(half, dtype=torch.float64)):
        found = _steps(rule, start, slope, 5, rate)[-1]
        same = torch.allclose(found, expected, rtol=1e-5, atol=1e-7)
        assert same, f'η is not read from group["lr"] at every step, as a {type(rate).__name__}'


def _check_resumption(rule: UpdateRule, start: Tensor, slope: Callable[[Tensor], Tensor]) -> None:
    expected = _steps(rule, start, slope, 10)[-1]
    first, optimizer = _built(rule, start)
    for _ in range(5):
        _step(first, optimizer, slope)
    state = optimizer.state[first]
    for key, value in state.items():
        fits = not isinstance(value, Tensor) or value.shape in (first.shape, ())
        assert fits, f"its state '{key}' has neither the parameter's shape nor none"
    second, optimizer = _built(rule, first.detach())
    copied = {k: v.clone() if isinstance(v, Tensor) else v for k, v in state.items()}
    if copied:
        optimizer.state[second] = copied
    for _ in range(5):
        _step(second, optimizer, slope)
    same = torch.equal(second, expected)
    assert same, "resumed from `state`, it goes on differently: something is kept elsewhere"


def _check_joined(rule: UpdateRule, start: Tensor, slope: Callable[[Tensor], Tensor]) -> None:
    """Runs with other settings have the same optimizer in a stack, and a group of their own."""
    for key, value in rule:
        try:
            other = type(rule).model_validate(dict(rule) | {key: value * 0.9})
        except (ValidationError, TypeError):  # no number, or none that may be smaller
            continue
        (first, optimizer), (second, further) = _built(rule, start), _built(other, start)
        both = joined([optimizer, further])
        for _ in range(5):
            first.grad, second.grad = slope(first.detach()), slope(second.detach())
            both.step()
        same = torch.allclose(second, _steps(other, start, slope, 5)[-1], rtol=1e-6, atol=1e-8)
        assert same, f"'{key}' is not read from the parameter group at every step"


def _steps(
    rule: UpdateRule,
    start: Tensor,
    slope: Callable[[Tensor], Tensor],
    count: int,
    rate: float | Tensor | None = None,
) -> list[Tensor]:
    """A parameter after each of so many steps."""
    parameter, optimizer = _built(rule, start)
    if rate is not None:
        optimizer.param_groups[0]["lr"] = rate
    found = []
    for _ in range(count):
        _step(parameter, optimizer, slope)
        found.append(parameter.detach().clone())
    return found


def _built(rule: UpdateRule, start: Tensor) -> tuple[Tensor, torch.optim.Optimizer]:
    parameter = nn.Parameter(start.clone())
    optimizer = rule.build([parameter])
    assert isinstance(optimizer, torch.optim.Optimizer), "build must return a torch.optim.Optimizer"
    assert len(optimizer.param_groups) == 1, "build must make one parameter group"
    return parameter, optimizer


def _step(
    parameter: Tensor, optimizer: torch.optim.Optimizer, slope: Callable[[Tensor], Tensor]
) -> None:
    parameter.grad = slope(parameter.detach())
    optimizer.step()


# Architectures, initialisations


def _check_architecture(architecture: Architecture) -> None:
    none = Regularizer()
    every = Regularizer(dropout=0.5, dropout_input=0.2, batch_norm=True)
    accepted = [r for r in (none, every) if not list(architecture.problems(r))]
    for regularizer in accepted or [Regularizer(dropout=0.5)]:
        for shape in ((1, 8, 8), (3, 16, 16)):
            network = architecture.build(shape, CLASSES, regularizer)
            x = torch.rand(4, *shape)
            logits = network(x).shape
            assert logits == (4, CLASSES), f"the logits of 4 images are {tuple(logits)}"
            found = len(list(layers(network)))
            assert found == architecture.num_layers, (
                f"num_layers={architecture.num_layers}, but {found}"
            )
        own = {id(w) for w in weights(network)}
        outside = [n for n, p in network.named_parameters() if p.dim() > 1 and id(p) not in own]
        assert not outside, (
            f"weights outside of a Layer are neither initialised nor penalised: {outside}"
        )
        _check_seed_and_stack(architecture, regularizer)


def _check_seed_and_stack(architecture: Architecture, regularizer: Regularizer) -> None:
    shape = (1, 8, 8)
    x = torch.rand(2, 4, *shape, generator=torch.Generator().manual_seed(0))
    init = next(iter(OPTIONS["init"].values()))
    config: Any = SimpleNamespace(
        init=init.model_validate(option_defaults("init", names_of(init)[0]))
    )

    def drawn(seed: int) -> nn.Module:
        network = architecture.build(shape, CLASSES, regularizer)
        config.seed = seed
        initialize(network, config)
        return network

    for one, again in zip(drawn(0).parameters(), drawn(0).parameters(), strict=True):
        assert torch.equal(one, again), "the same seed gives other initial parameters"
    for training in (True, False):
        networks = [drawn(seed).train(training) for seed in (0, 1)]
        template = drawn(2).train(training)
        stack = Networks(template, [tensors_of(n) for n in networks], torch.device("cpu"))
        leaves = stack.leaves(stack.parameters)
        try:
            stacked = stack.forward(leaves, stack.buffers, x, of_each_run=True)
        except Exception as error:
            raise AssertionError(f"in a stack it fails: {summary(error)}") from error
        for row, network in enumerate(networks):
            same = torch.allclose(stacked[row], network(x[row]), rtol=1e-4, atol=1e-5)
            assert same, f"in a stack it computes other logits than alone (training={training})"


def _check_init(init: Init) -> None:
    state = torch.get_rng_state()
    for shape in ((6, 4), (6, 4, 3, 3)):
        first, again, other = (torch.full(shape, math.nan) for _ in range(3))
        for weight, seed in ((first, 0), (again, 0), (other, 1)):
            init.draw(weight, torch.Generator().manual_seed(seed))
        assert first.isfinite().all(), f"not all of a weight {shape} is drawn"
        assert torch.equal(first, again), "the same generator gives other weights"
        assert not torch.equal(first, other), "another seed gives the same weights"
    assert torch.equal(torch.get_rng_state(), state), "it draws from torch's global generator"


# Schedules, regularizers, losses, data


def _check_schedule(schedule: Schedule) -> None:
    for epochs in (1, 10):
        times = [epochs * part / 20 for part in range(20)]
        factors = [schedule.decay(time, epochs) for time in times]
        assert all(isinstance(f, float) and 0 <= f < math.inf for f in factors), (
            f"factors on η that are none: {factors}"
        )
        assert factors[::-1] == [schedule.decay(time, epochs) for time in times[::-1]], (
            "a factor depends on what was asked before"
        )


def _check_regularizer(regularizer: Regularizer) -> None:
    random = torch.Generator().manual_seed(0)
    shapes = (3, 2), (2, 2, 3, 3)
    weights = [torch.randn(s, generator=random, dtype=torch.float64) for s in shapes]
    penalty: Any = regularizer.penalty
    value = penalty(weights)
    if value is not None:
        assert value.shape == (), f"a penalty is a number, not of shape {tuple(value.shape)}"
        leaves = [w.requires_grad_() for w in weights]
        right = torch.autograd.gradcheck(lambda *w: penalty(w), leaves, raise_exception=False)
        assert right, "the gradient of its penalty is not that of finite differences"


def _check_loss(loss: Loss) -> None:
    random = torch.Generator().manual_seed(0)
    z = torch.randn(6, 4, generator=random, dtype=torch.float64, requires_grad=True)
    if "class" in loss.targets:
        _check_cost(loss, z, torch.randint(4, (6,), generator=random))
        a = loss.probabilities(z.detach())
        assert a.shape == z.shape, f"probabilities are of shape {tuple(a.shape)}"
        assert ((a >= 0) & (a <= 1)).all(), "there are probabilities outside of [0, 1]"
        assert torch.allclose(a.sum(1), torch.ones_like(a[:, 0])), "probabilities do not sum to 1"
    if {"fraction", "value"} & set(loss.targets):
        _check_cost(loss, z, torch.rand(6, 4, generator=random, dtype=torch.float64))
    assert loss.activation(z.detach()).shape == z.shape, "an output without its answer"


def _check_cost(loss: Loss, z: Tensor, targets: Tensor) -> None:
    value = loss(z, targets)
    assert value.shape == (), f"the loss of a batch is a number, not of shape {tuple(value.shape)}"
    right = torch.autograd.gradcheck(lambda z: loss(z, targets), (z,), raise_exception=False)
    assert right, "its gradient is not that of finite differences"
    single = torch.stack([loss(z[i : i + 1], targets[i : i + 1]) for i in range(6)])
    assert torch.allclose(value, single.mean()), "the loss of a batch is not its examples' mean"


def _check_data(data: Data) -> None:
    loaded = examples.load(data)
    for split in (loaded.train, loaded.val, loaded.test):
        assert len(split.images) == len(split.targets) > 0, "a split is empty"
        assert split.images.shape[1:] == loaded.shape, "splits have images of different shapes"
        if loaded.class_names is not None:
            assert split.targets.min() >= 0, "a class number is negative"
            assert split.targets.max() < loaded.classes, "a class number is too large"


CHECKS: dict[str, Callable[[Any], None]] = {
    "optimizer": _check_update_rule,
    "architecture": _check_architecture,
    "init": _check_init,
    "schedule": _check_schedule,
    "regularizer": _check_regularizer,
    "loss": _check_loss,
    "data": _check_data,
}

# Training


def _check_training(group: str, option: Option) -> None:
    """Two runs with the option, alone and as a stack, end alike."""
    with TemporaryDirectory() as folder:
        configs = [_config(group, option, seed, Path(folder)) for seed in (0, 1)]
        alone, stacked = _losses(configs, 1), _losses(configs, 2)
    for a, b in zip(alone, stacked, strict=True):
        assert math.isclose(a, b, rel_tol=1e-4), f"alone it ends at a loss of {a}, in a stack {b}"


def _config(group: str, option: Option, seed: int, folder: Path) -> Config:
    words: list[str] = []
    if isinstance(option, Loss) and "class" not in option.targets:
        words = ["task=reconstruction"]
    elif isinstance(option, Task) and is_own(type(option)):
        words = [f"task={option.name}"]  # chooses a loss that fits
    base = _base(*words)
    if isinstance(option, Task) and [*option.misfits(facts_of(base.data), base.loss)]:
        table = folder / "values.csv"
        rows = [f"{n % 7},{n % 11},{n % 7 - n % 11 / 2}" for n in range(120)]
        table.write_text("a,b,value\n" + "\n".join(rows), encoding="utf-8")
        own = ["data=csv", f"data.path={table}", "data.target=value", "data.target_kind=values"]
        base = _base(*words, *own)
    values = base.model_dump(mode="json") | {"seed": seed, group: option.model_dump(mode="json")}
    try:
        return Config.model_validate(values)
    except ValidationError:  # an architecture that cannot do without dropout
        values["regularizer"] = values["regularizer"] | {"dropout": 0.5}
        return Config.model_validate(values)


@cache
def _base(*words: str) -> Config:
    with composing() as composer:
        config = composer.config([*TINY, *words])
    assert config
    return config


def _losses(configs: Sequence[Config], width: int) -> list[float]:
    """Train's and validation's loss after the last epoch of each run."""
    with TemporaryDirectory() as folder:
        runs = [(config, Path(folder, str(number))) for number, config in enumerate(configs)]
        train_all(runs, lambda told: None, width=width)
        ends = [RunFolder(path) for _, path in runs]
        for run in ends:
            assert run.status == "complete", f"a run with it is {run.status}: {run.reason}"
        return [run.metrics()[-1][f"{split}/loss"] for run in ends for split in ("train", "val")]
