"""Options of the user's own in every group, trained together, alone and stacked."""

from pathlib import Path

import pytest
from conftest import Command

from runner.runs.folder import RunFolder

OPTIONS = """
from typing import Literal

import runner
from runner.options.architectures import Activation, Architecture
from runner.options.data import Data, Raw
from runner.options.diagnostics import Diagnostics
from runner.options.inits import Init
from runner.options.losses import Loss
from runner.options.optimizers import UpdateRule
from runner.options.option import Count, Counts, Positive
from runner.options.regularizers import Regularizer
from runner.options.schedules import Schedule
from runner.options.tasks import Classification


@runner.option("data")
class Blobs(Data):
    name: Literal["blobs"] = "blobs"
    classes_count: Count = 3
    spread: Positive = 0.5

    def read(self):
        import numpy as np

        random = np.random.default_rng(0)
        targets = random.integers(self.classes_count, size=200)
        centres = random.normal(size=(self.classes_count, 4, 1, 1))
        images = centres[targets] + self.spread * random.normal(size=(200, 4, 1, 1))
        images = images.astype(np.float32)
        names = tuple("abc"[: self.classes_count])
        parts = images[:150], targets[:150], images[150:], targets[150:]
        return Raw(*parts, maximum=1, class_names=names)


@runner.option("task")
class Named(Classification):
    name: Literal["named"] = "named"


@runner.option("architecture")
class Wide(Architecture):
    name: Literal["wide"] = "wide"
    hidden: Counts = ()
    activation: Activation = "relu"
    units: Count = 20

    @property
    def num_layers(self):
        return 2

    def build(self, shape, classes, regularizer):
        from torch import nn
        from runner.options.layers import Builder

        build = Builder(regularizer, self.activation)
        inputs = shape[0] * shape[1] * shape[2]
        hidden = build.fully_connected(inputs, [self.units])
        return nn.Sequential(nn.Flatten(), *hidden, build.output(self.units, classes))


@runner.option("init")
class Tiny(Init):
    name: Literal["tiny"] = "tiny"
    bias: Literal["zeros", "normal"] = "zeros"

    def draw(self, weight, generator):
        weight.normal_(0, 0.05, generator=generator)


@runner.option("optimizer")
class Plain(UpdateRule):
    elementwise = True
    name: Literal["plain"] = "plain"
    lr: Positive = 0.1

    def build(self, params):
        from torch import optim

        return optim.SGD(params, lr=self.lr)


@runner.option("schedule")
class Hyperbolic(Schedule):
    name: Literal["hyperbolic"] = "hyperbolic"
    warmup_epochs: float = 0.0

    def decay(self, epoch, epochs):
        return 1 / (1 + epoch)


@runner.option("regularizer")
class Ridge(Regularizer):
    name: Literal["ridge"] = "ridge"
    strength: Positive = 0.1

    def penalty(self, weights):
        return self.strength / 2 * sum(w.square().sum() for w in weights)


@runner.option("loss")
class Softmax(Loss):
    name: Literal["softmax"] = "softmax"

    def __call__(self, logits, targets):
        picked = logits.log_softmax(1).gather(1, targets[:, None])
        return -picked.mean()

    def activation(self, logits):
        return logits.softmax(-1)

    def probabilities(self, logits):
        return logits.softmax(1)


@runner.option("diagnostics")
class Dead(Diagnostics):
    name: Literal["dead"] = "dead"
    layers: bool = True

    def of_layer(self, weight, y, a, gradient):
        return {"dead": (a.flatten(1) <= 0).all(0).float().mean()}
"""
MINE = (
    *("data=blobs", "task=named"),
    *("architecture=wide", "init=tiny", "optimizer=plain", "schedule=hyperbolic"),
    *("regularizer=ridge", "loss=softmax", "diagnostics=dead"),
)
TINY = ("data.train_size=64", "batch_size.size=16", "epochs=2", "trainer.progress=false")


@pytest.fixture
def plugin(command: Command, tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "mine.py").write_text(OPTIONS)
    return "--plugin", "mine"


def ends(folder: Path) -> list[dict[str, float]]:
    paths = sorted(folder.glob("*/status.json"))
    return [RunFolder(path.parent).metrics()[-1] for path in paths]


def test_of_every_group_alone_and_stacked(
    command: Command, tmp_path: Path, plugin: tuple[str, str]
) -> None:
    for name, how in (("alone", "hydra/launcher=basic"), ("stack", "hydra.launcher.width=2")):
        code, out, err = command(*plugin, "-m", *MINE, *TINY, "seed=0,1", f"name={name}", how)
        assert (code, err) == (0, ""), out
    alone, stacked = ends(tmp_path / "outputs/alone"), ends(tmp_path / "outputs/stack")
    assert len(alone) == 2 and alone[0]["val/loss"] != alone[1]["val/loss"]
    assert alone[0]["val/accuracy"] > 0.5  # of three classes far apart
    for one, other in zip(alone, stacked, strict=True):
        assert 0 <= one["dead/1"] <= 1 and one.keys() == other.keys()
        for key in ("train/loss", "val/loss", "dead/1", "gradient_std/1"):
            assert other[key] == pytest.approx(one[key], rel=1e-4), key


@pytest.mark.parametrize("seeds", ["0", "0,1"], ids=["alone", "stacked"])
def test_a_penalty_of_ones_own_is_a_term_of_the_cost(
    command: Command, tmp_path: Path, plugin: tuple[str, str], seeds: str
) -> None:
    """½λΣw² written out as a penalty is regularizer.l2."""
    words = ("-m", *TINY, f"seed={seeds}", "architecture.hidden=[10]", "hydra.launcher.width=2")
    assert command(*plugin, *words, "regularizer=ridge", "name=mine").code == 0
    assert command(*words, "regularizer=l2", "regularizer.l2=0.1", "name=own").code == 0
    assert command(*words, "name=none").code == 0
    mine, own, none = (ends(tmp_path / "outputs" / name) for name in ("mine", "own", "none"))
    assert [m["val/loss"] for m in mine] == pytest.approx([m["val/loss"] for m in own], rel=1e-5)
    assert mine[0]["val/loss"] != pytest.approx(none[0]["val/loss"], rel=1e-3)
