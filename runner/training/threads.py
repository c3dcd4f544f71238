"""How many CPU threads a network is trained with."""

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from runner.config.schema import Config
from runner.data import examples
from runner.options.architectures import Architecture, Shape
from runner.options.layers import is_dense, weights
from runner.options.regularizers import Regularizer
from runner.training.facts import facts_of

# Below this number of floating-point operations in a step's forward pass a second thread gains a fifth at
# most, and beside other work on the machine it costs a multiple: 784-100-10 with batch 128 lies just below.
SMALL_STEP = 2.5e7
ALL_THREADS = torch.get_num_threads()


def set_threads(wanted: int | None, flops: float) -> None:
    """Sets torch's threads: `wanted`, or by the operations of a step's forward pass.

    The choice depends on the configuration alone, so that a run repeats itself bit by bit.
    """
    torch.set_num_threads(wanted or (1 if flops < SMALL_STEP else ALL_THREADS))


def step_flops(config: Config) -> int:
    """Floating-point operations of the forward pass of a step."""
    data = examples.load(config.data)
    size = len(data.train) if config.batch_size.size == "full" else config.batch_size.size
    outputs = config.task.num_outputs(facts_of(config.data))
    return size * forward_flops(config.architecture, data.shape, outputs, config.regularizer)


@cache
def forward_flops(
    architecture: Architecture, shape: Shape, outputs: int, regularizer: Regularizer
) -> int:
    """Floating-point operations of a network's forward pass for one example."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = architecture.build(shape, outputs, regularizer).eval()
        if is_dense(network):
            return sum(2 * weight.numel() for weight in weights(network))
        network(torch.empty(1, *shape))
    return int(counter.get_total_flops())
