"""What the networks of R runs get, and what their outputs are held to: batches in training, the same examples in measuring.

Shape suffixes: R runs, B examples of a batch, N examples of a split or an epoch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from runner.data.examples import Dataset, Split, batch, epoch_crops, epoch_order
from runner.options.task import Facts, Task
from runner.training.noise import Noise
from runner.training.run import Run


class Feed:
    """The examples of a data set as a task has them.

    Args:
        runs: Each has its own order of the examples, its own crops and its own noise.
        task: What is learnt.
        data: Where they come from.
        facts: What the task knows of them.
        count: Examples in an epoch.

    Attributes:
        order_RN: The order of the examples in this epoch.
        crops_RN: How they are cropped, (runs, n, 3); None where they are not.
        noise: None unless the task draws it.
    """

    def __init__(
        self, runs: Sequence[Run], task: Task, data: Dataset, facts: Facts, count: int
    ) -> None:
        self.task = task
        self.data = data
        self.facts = facts
        self.runs = len(runs)
        self.at = data.scale.device
        seeds = [run.seed for run in runs]
        self.noise = Noise(seeds, data.shape, self.at) if task.draws else None
        # They stay where they are: CUDA graphs read them.
        where = data.train.targets.device
        self.order_RN = torch.zeros(self.runs, count, dtype=torch.long, device=where)
        self.crops_RN = (
            torch.zeros(self.runs, count, 3, dtype=torch.long, device=where)
            if data.augment
            else None
        )

    def start_epoch(self, runs: Sequence[Run]) -> None:
        """Every run's own order of the examples in its own next epoch."""
        count = self.order_RN.shape[1]
        for row, run in enumerate(runs):
            self.order_RN[row] = epoch_order(self.data, run.seed, run.epoch)[:count]
            if self.crops_RN is not None:
                self.crops_RN[row] = epoch_crops(self.data, run.seed, run.epoch)[:count]
        if self.noise:
            self.noise.start_epoch([run.epoch for run in runs])

    def batch(self, places: slice | Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets (runs, batch, ...) of these places in the epoch's order.

        Args:
            places: A slice, or their numbers on the device, which then says nothing to the host.
        """
        examples_RB = _at(self.order_RN, places)
        crops_RB = None if self.crops_RN is None else _at(self.crops_RN, places)
        inputs, targets = batch(self.data, examples_RB, crops_RB)
        noise = self.noise.of(examples_RB) if self.noise else None
        return self.task.examples(inputs, targets, noise, self.facts)

    def fixed(self, split: Split, part: slice) -> tuple[Tensor, Tensor]:
        """A part of a split as it is measured: inputs and targets.

        They have a first axis of runs where the task draws noise; else all runs have the same.
        """
        inputs = self.data.inputs(split.images[part].to(self.at))
        targets = split.targets[part].to(self.at)
        if not self.noise:
            return self.task.examples(inputs, targets, None, self.facts)
        numbers = torch.arange(part.start, part.start + len(targets), device=self.at)
        return self.task.examples(
            inputs.expand(self.runs, *inputs.shape),
            targets.expand(self.runs, *targets.shape),
            self.noise.of(numbers.expand(self.runs, -1), fixed=True),
            self.facts,
        )

    def first(self, split: Split, count: int, row: int = 0) -> tuple[Tensor, Tensor]:
        """Inputs (n, channels, height, width) and targets of a split's first examples for one run."""
        inputs, targets = self.fixed(split, slice(0, count))
        return (inputs[row], targets[row]) if self.noise else (inputs, targets)


def _at(values_RN: Tensor, places: slice | Tensor) -> Tensor:
    return values_RN[:, places] if isinstance(places, slice) else values_RN.index_select(1, places)
