"""The operations of a forward pass, on which the number of threads depends."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from runner.options.architectures import MLP
from runner.options.layers import is_dense
from runner.options.regularizers import Regularizer
from runner.training.threads import forward_flops

SHAPE = (1, 8, 8)
NONE = {"l1": 0.0, "l2": 0.0, "dropout": 0.0, "dropout_input": 0.0, "max_norm": None}


@pytest.mark.parametrize("hidden", [(), (30,), (40, 20)])
@pytest.mark.parametrize("more", [{}, {"dropout": 0.5, "dropout_input": 0.2, "batch_norm": True}])
def test_those_of_a_dense_network_are_what_torch_counts(
    hidden: tuple[int, ...], more: dict[str, object]
) -> None:
    regularizer = Regularizer.model_validate({**NONE, "batch_norm": False, **more})
    architecture = MLP(name="mlp", hidden=hidden, activation="relu")
    network = architecture.build(SHAPE, 10, regularizer).eval()
    assert is_dense(network)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *SHAPE))
    counted = forward_flops(architecture, SHAPE, 10, regularizer)
    assert counted == counter.get_total_flops() > 0
