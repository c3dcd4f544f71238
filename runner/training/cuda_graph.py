"""Steps of a module on a GPU without the host: a CUDA graph for each length of a block of steps.

A small network's step is 20 to 100 kernels of a few microseconds, and the host needs longer to launch
them than the GPU to compute them. Captured, a whole block of steps is one launch.
https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from runner.training.module import RunsModule

# Blocks computed one by one first: the libraries set themselves up, and the optimizer its state.
WARM_UP = 2


class CapturedSteps:
    """Trains a module from tensors that stay where they are.

    A step needs nothing from the host: its number is a tensor that it counts up itself, and the epoch's
    order, crops and learning rates lie on the device.

    Args:
        module: Its images must lie on its device.
        capture: False computes the same steps one by one, on any device.
    """

    def __init__(self, module: "RunsModule", capture: bool) -> None:
        self.module = module
        self.capture = capture
        self.blocks = 0  # computed so far
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}  # by steps in a block
        self.number = torch.zeros(1, dtype=torch.long, device=module.at)  # of the epoch's next step
        self.offsets = torch.arange(module.batch_size, device=module.at)
        module.updates.keep_on_device(module.at)

    @staticmethod
    def fits(module: "RunsModule") -> bool:
        """Whether a module's steps can be captured."""
        return module.at.type == "cuda" and module.data.train.images.is_cuda

    def start_epoch(self) -> None:
        """The next step is the first of an epoch, whose order lies in the module's tensors."""
        self.number.zero_()

    def steps(self, count: int) -> None:
        """So many updates of every run, from the step after the last one on."""
        if graph := self.graphs.get(count):
            graph.replay()
        elif self.capture and self.blocks >= WARM_UP:
            self.graphs[count] = graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._block(count)
            graph.replay()  # capturing has computed nothing
        else:
            self._block(count)
        self.blocks += 1

    @torch.no_grad()
    def _block(self, count: int) -> None:
        module = self.module
        for _ in range(count):
            places = self.number * module.batch_size + self.offsets
            module.updates.look_up_on_device(self.number)
            module.kept_RNM.index_copy_(1, places, module.update(places))
            self.number += 1
