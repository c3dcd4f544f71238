import pytest
import torch
from torch import Tensor
from torch.func import vmap

from runner.training.graph import traced


def test_a_trace_does_what_the_function_does_to_other_tensors() -> None:
    def function(x: Tensor, count: Tensor) -> tuple[Tensor]:
        count += 1
        same = x.view(x.shape).detach().transpose(0, 1).transpose(0, 1).expand(3, 4)
        return ((same * 1).t() * count + torch.ones(4, 1),)

    count = torch.tensor(0)
    trace = traced(function, torch.zeros(3, 4), count)
    assert count == 0  # the example keeps its value
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(trace(x, count)[0], x.t() + 1)
    assert torch.equal(trace(x, count)[0], x.t() * 2 + 1)
    assert count == 2
    names = [str(node.target) for node in trace.graph.nodes]
    for gone in ("aten.view.default", "aten.detach.default", "aten.expand.default"):
        assert gone not in names
    assert "aten.transpose.int" not in names  # the second undid the first, which nothing uses
    assert names.count("aten.mul.Tensor") == 1


def test_a_product_that_changes_the_type_is_kept() -> None:
    (doubled,) = traced(lambda x: (x * 1.0,), torch.zeros(3, dtype=torch.long))(torch.arange(3))
    assert doubled.dtype == torch.float32


def test_arguments_and_results_are_lists_and_dictionaries_of_tensors() -> None:
    factor = torch.tensor([2.0, 3.0])

    def function(weights: list[Tensor], others: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        leaves = [w.detach().requires_grad_() for w in weights]
        low, _ = torch.sort(leaves[1] * factor)  # of two results one is used
        cost = vmap(lambda x: (leaves[0] * x).tanh() * low)(others["x"]).sum()
        others["sum"] += cost.detach()
        return cost.detach(), list(torch.autograd.grad(cost, leaves))

    trace = traced(function, [torch.zeros(2)] * 2, {"x": torch.zeros(5, 2), "sum": torch.zeros(())})
    random = torch.Generator().manual_seed(0)
    weights = [torch.randn(2, generator=random) for _ in range(2)]
    x = torch.randn(5, 2, generator=random)
    others, expected = ({"x": x, "sum": torch.zeros(())} for _ in range(2))
    for _ in range(2):
        cost, gradients = trace(weights, others)
        expected_cost, expected_gradients = function(weights, expected)
        assert torch.equal(cost, expected_cost)
        assert all(map(torch.equal, gradients, expected_gradients))
    assert torch.equal(others["sum"], expected["sum"])


@pytest.mark.parametrize("read", [lambda x: x.sum().item(), lambda x: x[x > 0], torch.nonzero])
def test_a_function_that_asks_for_values_is_not_traced(read: object) -> None:
    with pytest.raises(ValueError, match="asks for a value in a tensor"):
        traced(read, torch.ones(3))  # type: ignore[arg-type]
