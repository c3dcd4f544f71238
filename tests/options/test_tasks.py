"""Every task keeps its contract; what it refuses; and what it leaves of the test split."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from runner.config.defaults import option_defaults
from runner.options import registry
from runner.options.architectures import MLP, NIN
from runner.options.losses import CrossEntropy, Loss, MeanSquaredError, SigmoidCrossEntropy
from runner.options.pictures import are_pictures
from runner.options.task import Evaluated, Facts, Task, all_metrics
from runner.options.tasks import Reconstruction

FILES = sorted((Path(__file__).parents[2] / "conf" / "task").glob("*.yaml"))
OPTIONS = registry.OPTIONS["task"]
SHAPE, N = (3, 4, 5), 40
MLP_, NIN_ = MLP.model_construct(name="mlp"), NIN.model_construct(name="nin")
CROSS_ENTROPY = CrossEntropy(name="cross_entropy")
MSE, SIGMOID = MeanSquaredError(name="mean_squared_error"), SigmoidCrossEntropy(
    name="sigmoid_cross_entropy"
)  # fmt: skip
CASES: dict[str, tuple[Loss, tuple[str, ...] | None]] = {
    "classification": (CROSS_ENTROPY, ("cat", "dog", "a bird")),
    "regression": (MSE, None),
    "reconstruction": (SIGMOID, None),
}


def task_of(name: str) -> Task:
    task = OPTIONS[name].model_validate(option_defaults("task", name))
    assert isinstance(task, Task)
    return task


def facts_of(names: tuple[str, ...] | None, **others: Any) -> Facts:
    return Facts(**{"data": "mine", "shape": SHAPE, "class_names": names, "low": 0.0, "high": 1.0,
                    "mean": 50.0, "spread": 4.0} | others)  # fmt: skip


def noisy(noise: str, level: float) -> Reconstruction:
    return Reconstruction(name="reconstruction", noise=noise, level=level)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files(file: Path) -> None:
    assert task_of(file.stem).name == file.stem
    assert {file.stem for file in FILES} == OPTIONS.keys() == CASES.keys()


@pytest.mark.parametrize("name", OPTIONS)
def test_contract(name: str) -> None:
    """From two runs' outputs to metrics and files; and of each run what it has alone."""
    task, (loss, names) = task_of(name), CASES[name]
    facts, random = facts_of(names), torch.Generator().manual_seed(0)
    assert not [*task.problems(MLP_, loss), *task.misfits(facts, loss)]
    images = torch.rand(N, *SHAPE, generator=random)
    targets = torch.randint(3, (N,), generator=random) if names else 50 + 4 * images[:, 0, 0, 0]
    outputs = torch.randn(2, N, task.num_outputs(facts), generator=random)
    inputs, learnt = task.examples(images, targets, None, facts)
    assert inputs is images and torch.isfinite(loss(outputs[0], learnt))
    kept = task.kept(loss, outputs, learnt)
    assert kept.shape == (2, N, task.num_kept(facts))
    measured = task.measure(loss, kept, targets, facts)
    assert measured.shape == (len(task.metrics), 2) and measured.isfinite().all()
    assert measured[0].tolist() == pytest.approx([loss(z, learnt).item() for z in outputs])
    alone = task.measure(loss, kept[1:], targets[None], facts)
    torch.testing.assert_close(alone[:, 0], measured[:, 1])
    answers = task.answers(loss, outputs[0], facts)
    assert len(answers) == N
    found = task.findings(Evaluated(answers, targets, images, inputs[:12], images[:12], facts))
    assert all(picture.mode == "RGB" for picture in found.pictures.values())
    own = next(iter(found.arrays.values()))
    np.testing.assert_allclose(own, answers, atol=1e-3)


@pytest.mark.parametrize("name", OPTIONS)
def test_what_it_says_of_its_metrics(name: str) -> None:
    kind = OPTIONS[name]
    assert kind.metrics[0].name == "loss"
    assert kind.metric(kind.criterion) in kind.metrics
    assert kind.metric(f"val/{kind.criterion}") is kind.metric(kind.criterion)
    assert {metric.name for metric in (*kind.metrics, *kind.tested)} <= all_metrics().keys()
    for metric in (*kind.metrics, *kind.tested):  # a name means the same everywhere
        assert all_metrics()[metric.name] == metric


def test_what_does_not_fit_is_told_with_a_remedy() -> None:
    classification, regression = task_of("classification"), task_of("regression")
    clean = task_of("reconstruction")
    far, classes = facts_of(None, low=-2.0), facts_of(("a", "b"))
    cases = [
        (classification.problems(MLP_, MSE), ["task=classification; loss=cross_entropy or"]),
        (regression.problems(MLP_, SIGMOID), ["task=regression; loss=mean_squared_error"]),
        (clean.problems(MLP_, CROSS_ENTROPY), ["loss=sigmoid_cross_entropy or quadratic or mean"]),
        (clean.problems(NIN_, MSE), ["architecture=nin", "architecture=mlp or convnet"]),
        (regression.problems(NIN_, MSE), ["architecture=nin"]),
        (noisy("none", 0.1).problems(MLP_, MSE), ["task.level=0.1", "task.noise=none"]),
        (noisy("masking", 0.0).problems(MLP_, MSE), ["task.noise=masking", "above 0"]),
        (noisy("salt_and_pepper", 1.5).problems(MLP_, MSE), ["task.level=1.5", "at most 1"]),
        (classification.misfits(far, MSE), ["data=mine", "task=regression"]),
        (regression.misfits(classes, MSE), ["2 classes", "task=classification"]),
        (clean.misfits(far, SIGMOID), ["-2 and 1", "loss=mean_squared_error"]),
    ]
    for problems, words in cases:
        (problem,) = problems
        assert all(word in problem for word in words), problem
    for fits in (noisy("gaussian", 3.0), noisy("masking", 1.0)):
        assert not [*fits.problems(MLP_, MSE), *fits.misfits(far, MSE)]


def corrupted(noise: str, level: float) -> tuple[Tensor, Tensor]:
    """2⁲⁰ clean values between 0.25 and 0.75, and what becomes of them; inputs lie between −1 and 2."""
    values = torch.linspace(0.25, 0.75, 2**20).view(-1, 1, 2, 2)
    uniform = torch.linspace(-1, 1, 2**20 + 1)[:-1] + 2**-21
    shuffled = uniform[torch.randperm(2**20, generator=torch.Generator().manual_seed(0))]
    facts = facts_of(None, shape=(1, 2, 2), low=-1.0, high=2.0)
    inputs, targets = noisy(noise, level).examples(
        values, torch.zeros(len(values)), shuffled.view(values.shape), facts
    )
    assert torch.equal(targets, values.flatten(1))  # the target stays clean
    return inputs.flatten(), values.flatten()


def test_gaussian_noise() -> None:
    inputs, values = corrupted("gaussian", 0.3)
    noise = inputs - values
    assert abs(noise.mean()) < 1e-4 and noise.std() == pytest.approx(0.3, rel=1e-3)
    within = (noise.abs() < 0.3).float().mean()
    assert within == pytest.approx(0.6827, abs=1e-3)
    assert noise.isfinite().all() and 1.3 < noise.abs().max() < 1.6  # 4.9 standard deviations


def test_masking_noise() -> None:
    inputs, values = corrupted("masking", 0.2)
    masked = inputs != values
    assert masked.float().mean() == pytest.approx(0.2, abs=1e-5)
    assert (inputs[masked] == 0).all()


def test_salt_and_pepper_noise() -> None:
    inputs, values = corrupted("salt_and_pepper", 0.2)
    changed = inputs != values
    assert changed.float().mean() == pytest.approx(0.2, abs=1e-5)
    assert (inputs == -1).float().mean() == pytest.approx(0.1, abs=1e-5)
    assert (inputs == 2).float().mean() == pytest.approx(0.1, abs=1e-5)


def test_the_most_confident_mistakes_are_shown() -> None:
    """Pictures of what the network was wrong about, whatever the classes are called."""
    names = ("\x1b[31mred", "b" * 200)
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [1.0, 0.0]])
    images = torch.rand(4, *SHAPE)
    labels = torch.tensor([1, 1, 0, 0])
    evaluated = Evaluated(probabilities, labels, images, images, images, facts_of(names))
    found = task_of("classification").findings(evaluated)
    assert set(found.pictures) == {"confusion_matrix", "mistakes"}
    assert max(found.pictures["mistakes"].size) < 400
    assert found.scores["confusion_matrix"] == [[1, 1], [1, 1]]
    assert [row["name"] for row in found.scores["per_class"]] == [*names]
    right = Evaluated(
        probabilities, probabilities.argmax(1), images, images, images, facts_of(names)
    )
    assert set(task_of("classification").findings(right).pictures) == {"confusion_matrix"}


def test_what_is_no_picture_is_not_shown() -> None:
    assert are_pictures((1, 2, 2)) and are_pictures((3, 32, 32))
    assert not are_pictures((1, 1, 13)) and not are_pictures((13, 1, 1))
    assert not are_pictures((2, 8, 8))
