import torch
from torch import Tensor

from runner.training.graph import traced


def test_a_trace_does_what_the_function_does_to_other_tensors() -> None:
    def function(x: Tensor, count: Tensor) -> tuple[Tensor]:
        count += 1
        same = x.view(x.shape).detach().transpose(0, 1).transpose(0, 1).expand(3, 4)
        return ((same * 1).t() * count + torch.ones(4, 1),)

    count = torch.tensor(0)
    trace = traced(function, torch.zeros(3, 4), count)
    assert count == 0  # nothing is computed
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
