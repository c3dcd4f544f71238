"""The parts of the cost, run by run, against their formulas."""

import numpy as np
import pytest
import torch

from runner.options.losses import CrossEntropy, Quadratic, SigmoidCrossEntropy
from runner.options.task import Facts
from runner.options.tasks import Classification
from runner.training.metrics import named
from runner.training.objective import add_penalty, limit_norms, summed_loss

SHAPES = [(3, 4, 3), (3, 2, 3, 2, 2)]  # of three runs


@pytest.mark.parametrize("l1", [None, (0.3, 0.0, 1.5)])
@pytest.mark.parametrize("l2", [None, (0.7, 0.1, 0.0)])
def test_the_gradient_of_the_penalty(
    l1: tuple[float, ...] | None, l2: tuple[float, ...] | None
) -> None:
    random = np.random.default_rng(0)
    arrays = [random.normal(size=shape) for shape in SHAPES]
    gradients = [torch.ones(shape, dtype=torch.float64) for shape in SHAPES]
    settings = [None if v is None else torch.tensor(v, dtype=torch.float64) for v in (l1, l2)]
    add_penalty(gradients, [torch.tensor(array) for array in arrays], *settings)
    for gradient, array in zip(gradients, arrays, strict=True):
        for run in range(3):
            w = array[run]
            expected = 1 + (l1[run] if l1 else 0) * np.sign(w) + (l2[run] if l2 else 0) * w
            np.testing.assert_allclose(gradient[run], expected, rtol=1e-12)


def test_max_norm() -> None:
    linear = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]]).repeat(3, 1, 1)
    conv = torch.ones(3, 2, 3, 2, 2)
    conv[:, 1] = -0.01
    before = [linear.clone(), conv.clone()]
    limit_norms([linear, conv], torch.tensor([2.0, 0.0, 100.0]))
    torch.testing.assert_close(linear[0], torch.tensor([[1.2, 1.6], [0.3, 0.4], [0.0, 0.0]]))
    torch.testing.assert_close(conv[0, 0], torch.full((3, 2, 2), 2 / 12**0.5))
    torch.testing.assert_close(conv[0, 1], torch.full((3, 2, 2), -0.01))
    for now, then in zip((linear, conv), before, strict=True):
        assert torch.equal(now[1:], then[1:])  # no limit, and one that is far
    limit_norms([linear], None)
    assert torch.equal(linear[1], before[0][1])


TASK = Classification(name="classification")
FACTS = Facts("digits", (1, 8, 8), ("a", "b", "c", "d"), 0.0, 1.0)
LOSSES = [
    CrossEntropy(name="cross_entropy"),
    SigmoidCrossEntropy(name="sigmoid_cross_entropy"),
    Quadratic(name="quadratic"),
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_each_run_has_the_gradient_of_its_own_loss(loss: CrossEntropy) -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 6, 4, generator=random, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(4, (3, 6), generator=random)
    (together,) = torch.autograd.grad(summed_loss(loss, logits, targets), logits)
    for run in range(3):
        own = logits[run].detach().requires_grad_()
        (alone,) = torch.autograd.grad(loss(own, targets[run]), own)
        torch.testing.assert_close(together[run], alone)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_loss_and_accuracy_of_each_run(loss: CrossEntropy) -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 50, 4, generator=random)
    targets = torch.randint(4, (20, 50), generator=random)
    for of_runs in (targets, targets[0]):
        losses, accuracies = TASK.measure(loss, logits, of_runs, FACTS)
        for run in range(20):
            own = of_runs[run] if of_runs.dim() == 2 else of_runs
            assert losses[run].item() == pytest.approx(loss(logits[run], own).item(), rel=1e-6)
            right = sum(
                int(row.argmax()) == int(y) for row, y in zip(logits[run], own, strict=True)
            )
            assert accuracies[run].item() == pytest.approx(right / 50)


def test_names() -> None:
    assert named("val", TASK, [0.5, 0.98000002]) == {"val/loss": 0.5, "val/accuracy": 0.98}
    tested = {"test/loss": 0.5, "test/accuracy": 0.75, "test/error": 0.25}
    assert named("test", TASK, [0.5, 0.75]) == tested
