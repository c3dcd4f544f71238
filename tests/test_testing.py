"""The contract of an option: kept by all of the runner's own, and noticed where it is broken."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

import runner
from runner.options import registry
from runner.options.architectures import MLP
from runner.options.inits import HeNormal
from runner.options.losses import CrossEntropy
from runner.options.optimizers import SGD, UpdateRule
from runner.options.option import Option
from runner.options.schedules import Constant
from runner.testing import check_option

SMALL: dict[str, dict[str, Any]] = {
    "convnet": {"channels": [4], "hidden": [5]},
    "nin": {"width": 0.02},
}
OWN = [
    (group, name)
    for group, options in registry.OPTIONS.items()
    for name in options
    if group != "data" or name == "digits"  # the others need a download
]


@pytest.mark.parametrize(("group", "name"), OWN, ids=str)
def test_the_runners_own_options_keep_it(group: str, name: str) -> None:
    check_option(registry.OPTIONS[group][name], **SMALL.get(name, {}))


class Rule(torch.optim.Optimizer):
    """w ← w + η·move(g, what state there is)."""

    def __init__(self, params: Any, lr: float, move: Callable[[Tensor, dict], Tensor]) -> None:
        super().__init__(params, {"lr": lr})
        self.move = move

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p += group["lr"] * self.move(p.grad, self.state[p])


class Normed(UpdateRule):
    """w ← w − ηg/‖g‖: not elementwise, though it says so."""

    elementwise = True
    name: Literal["normed"] = "normed"
    lr: float = 0.01

    def build(self, params: Any) -> Rule:
        return Rule(params, self.lr, lambda g, _: -g / g.norm())


class Honest(Normed):
    elementwise = False
    name: Literal["honest"] = "honest"


class Forgetful(UpdateRule):
    """Heavy ball, but its velocity is kept where no checkpoint finds it."""

    name: Literal["forgetful"] = "forgetful"
    lr: float = 0.01

    def build(self, params: Any) -> Rule:
        velocities: dict[Any, Tensor] = {}

        def move(g: Tensor, _: dict) -> Tensor:
            velocities[g.shape] = 0.5 * velocities.get(g.shape, torch.zeros_like(g)) - g
            return velocities[g.shape]

        return Rule(params, self.lr, move)


class Uphill(SGD):
    name: Literal["uphill"] = "uphill"  # type: ignore[assignment]

    def build(self, params: Any) -> Rule:
        return Rule(params, self.lr, lambda g, _: g)


class Closed(UpdateRule):
    """A setting that a stack does not find in the group."""

    elementwise = True
    name: Literal["closed"] = "closed"
    lr: float = 0.01
    power: float = 0.5

    def build(self, params: Any) -> Rule:
        return Rule(params, self.lr, lambda g, _: -g.sign() * g.abs() ** self.power)


class Fixed(SGD):
    """η as it was at the start."""

    name: Literal["fixed"] = "fixed"  # type: ignore[assignment]

    def build(self, params: Any) -> Rule:
        return Rule(params, 1.0, lambda g, _: -self.lr * g)


class Summed(CrossEntropy):
    name: Literal["summed"] = "summed"  # type: ignore[assignment]

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        return super().__call__(logits, targets) * len(logits)


class Detached(CrossEntropy):
    name: Literal["detached"] = "detached"  # type: ignore[assignment]

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        return super().__call__(logits.detach() * 0.5 + logits * 0.5, targets)


class Global(HeNormal):
    name: Literal["global"] = "global"  # type: ignore[assignment]

    def draw(self, weight: Tensor, generator: torch.Generator) -> None:
        weight.normal_()


class Half(HeNormal):
    name: Literal["half"] = "half"  # type: ignore[assignment]

    def draw(self, weight: Tensor, generator: torch.Generator) -> None:
        super().draw(weight[:3], generator)


class Miscounted(MLP):
    name: Literal["miscounted"] = "miscounted"  # type: ignore[assignment]
    num_layers: ClassVar[int] = 7  # type: ignore[misc]


class Outside(MLP):
    """A weight that is in no Layer."""

    name: Literal["outside"] = "outside"  # type: ignore[assignment]

    def build(self, shape: Any, classes: int, regularizer: Any) -> nn.Module:
        return nn.Sequential(
            super().build(shape, classes, regularizer), nn.Linear(classes, classes)
        )


class TwoLogits(MLP):
    name: Literal["two_logits"] = "two_logits"  # type: ignore[assignment]

    def build(self, shape: Any, classes: int, regularizer: Any) -> nn.Module:
        return super().build(shape, 2, regularizer)


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand(())  # not by the seed


class Drawing(MLP):
    name: Literal["drawing"] = "drawing"  # type: ignore[assignment]

    def build(self, shape: Any, classes: int, regularizer: Any) -> nn.Module:
        return nn.Sequential(super().build(shape, classes, regularizer), Noise())


class Negative(Constant):
    name: Literal["negative"] = "negative"  # type: ignore[assignment]

    def decay(self, epoch: float, epochs: int) -> float:
        return 0.5 - epoch


class Counting(Constant):
    name: Literal["counting"] = "counting"  # type: ignore[assignment]

    def decay(self, epoch: float, epochs: int) -> float:
        CALLS.append(epoch)
        return 1 / len(CALLS)


CALLS: list[float] = []
SETTINGS: dict[type[Option], dict[str, Any]] = {
    SGD: {"lr": 0.05},
    HeNormal: {"bias": "zeros"},
    MLP: {"hidden": [5], "activation": "relu"},
    Constant: {"warmup_epochs": 0.0},
}
BROKEN = [
    ("optimizer", Normed, "runs in a stack are not updated as alone"),
    ("optimizer", Forgetful, "something is kept elsewhere"),
    ("optimizer", Closed, "'power' is not read from the parameter group"),
    ("optimizer", Uphill, "200 steps raise a quadratic cost"),
    ("optimizer", Fixed, 'η is not read from group\\["lr"\\]'),
    ("loss", Summed, "is not its examples' mean"),
    ("loss", Detached, "its gradient is not that of finite differences"),
    ("init", Global, "the same generator gives other weights"),
    ("init", Half, "not all of a weight"),
    ("architecture", Miscounted, "num_layers=7, but 2"),
    ("architecture", Outside, "neither initialised nor penalised"),
    ("architecture", TwoLogits, "the logits of 4 images are"),
    ("architecture", Drawing, "in a stack it fails: RuntimeError: vmap: called random"),
    ("schedule", Negative, "factors on η that are none"),
    ("schedule", Counting, "depends on what was asked before"),
]


@pytest.fixture
def registered() -> Iterator[None]:
    with registry.restored():
        yield


@pytest.mark.parametrize(("group", "kind", "said"), BROKEN, ids=[k.__name__ for _, k, _ in BROKEN])
@pytest.mark.usefixtures("registered")
def test_a_broken_promise_is_noticed(group: str, kind: type[Option], said: str) -> None:
    runner.option(group)(kind)
    settings = next((s for base, s in SETTINGS.items() if issubclass(kind, base)), {})
    with pytest.raises(AssertionError, match=said):
        check_option(kind, **settings)


@pytest.mark.usefixtures("registered")
def test_a_rule_that_says_that_it_is_not_elementwise_keeps_its_promise() -> None:
    check_option(runner.option("optimizer")(Honest))


@pytest.mark.usefixtures("registered")
def test_what_is_missing_is_told() -> None:
    with pytest.raises(AssertionError, match="Normed is no option: @runner"):
        check_option(Normed)
    with pytest.raises(AssertionError, match=r"hidden: .*check_option\(..., hidden=...\)"):
        check_option(runner.option("architecture")(TwoLogits))
