"""The updates of stacked parameters, each run's by its own rule, η and schedule."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from runner.training.networks import logical, stored
from runner.training.run import Run


class Updates:
    """One torch optimizer for the parameters of all runs.

    An update rule that is elementwise updates the tensors of several runs as it updates one: runs with
    equal settings lie side by side and are one parameter group. A rule that is not gets the tensors
    of its only run in the shape that the network knows.

    Args:
        runs: Sorted by `update_settings`.
        parameters: Of all runs, as stored (runner.training.networks).
        steps_per_epoch: Updates in an epoch.
    """

    def __init__(
        self, runs: Sequence[Run], parameters: Sequence[Tensor], steps_per_epoch: int
    ) -> None:
        assert len(runs) == 1 or runs[0].update_rule.elementwise
        self.runs = runs
        self.steps_per_epoch = steps_per_epoch
        self.elementwise = runs[0].update_rule.elementwise
        self.rows: list[slice] = []  # of each group
        groups = [list(members) for _, members in groupby(runs, key=lambda r: r.update_settings)]
        optimizers = [self._group(members, parameters) for members in groups]
        self.optimizer = joined(optimizers)
        self.groups = self.optimizer.param_groups
        self.first_runs = [members[0] for members in groups]
        self.rates: list[list[float]] = []  # η by group and step of the epoch
        self.rates_SG: Tensor | None = None  # the same where `look_up_on_device` reads them

    def start_epoch(self) -> None:
        """Looks up η of every step of the runs' next epoch."""
        steps = range(self.steps_per_epoch)
        self.rates = [
            [run.lr(run.epoch * self.steps_per_epoch + n, self.steps_per_epoch) for n in steps]
            for run in self.first_runs
        ]
        if self.rates_SG is not None:
            self.rates_SG.copy_(torch.tensor(self.rates, dtype=self.rates_SG.dtype).T)

    def rates_in(self, number: int) -> list[float]:
        """η of each run in a step of the epoch."""
        of_groups = zip(self.rows, self.rates, strict=True)
        return [rates[number] for rows, rates in of_groups for _ in range(rows.start, rows.stop)]

    def look_up(self, number: int) -> None:
        """Sets every group's η for a step of the epoch."""
        for group, rates in zip(self.groups, self.rates, strict=True):
            group["lr"] = rates[number]

    def keep_on_device(self, device: torch.device) -> None:
        """From now on every group's η is a tensor on the device, and so is what counts its steps."""
        # torch's fused kernels read η as float32 on a GPU; on a CPU float64 keeps the bits of a number.
        dtype = torch.float32 if device.type == "cuda" else torch.float64
        shape = self.steps_per_epoch, len(self.groups)
        self.rates_SG = torch.zeros(shape, dtype=dtype, device=device)
        self.rates_G = torch.zeros_like(self.rates_SG[0])
        for group, rate in zip(self.groups, self.rates_G, strict=True):
            group["lr"] = rate
            if device.type == "cuda" and "capturable" in group:
                group["capturable"] = True
        for state in self.optimizer.state.values():
            if "step" in state:  # a resumed rule may have it on the host
                state["step"] = state["step"].to(device)

    def look_up_on_device(self, number: Tensor) -> None:
        """As `look_up`, by a number (1,) on the device."""
        assert self.rates_SG is not None
        self.rates_G.copy_(self.rates_SG.index_select(0, number)[0])

    def apply(self, gradients: Sequence[Tensor]) -> None:
        """One update with the η that the groups have."""
        for group, rows in zip(self.groups, self.rows, strict=True):
            for parameter, gradient in zip(group["params"], gradients, strict=True):
                parameter.grad = self._part(gradient, rows)
        self.optimizer.step()

    def states(self) -> list[dict[int, dict[str, Any]]]:
        """Copies of each run's state on the CPU, by number of the parameter; one transfer for each tensor."""
        found: list[dict[int, dict[str, Any]]] = [{} for _ in self.runs]
        for group, rows in zip(self.groups, self.rows, strict=True):
            for i, parameter in enumerate(group["params"]):
                state = self.optimizer.state.get(parameter, {})
                state = {k: v.cpu() if isinstance(v, Tensor) else v for k, v in state.items()}
                for row in range(rows.start, rows.stop):
                    if state:
                        found[row][i] = {
                            key: self._row(value, row - rows.start) for key, value in state.items()
                        }
        return found

    def _group(self, members: list[Run], parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
        start = self.rows[-1].stop if self.rows else 0
        self.rows.append(slice(start, start + len(members)))
        own = [self._part(parameter, self.rows[-1]) for parameter in parameters]
        optimizer = members[0].update_rule.build(own)
        for i, parameter in enumerate(own):
            if saved := [run.optimizer_state[i] for run in members if run.optimizer_state]:
                optimizer.state[parameter] = {
                    key: self._joined([state[key] for state in saved], parameter.device)
                    for key in saved[0]
                }
        return optimizer

    def _part(self, stacked: Tensor, rows: slice) -> Tensor:
        """A group's part of a stacked tensor, as its rule sees it."""
        return stacked[rows] if self.elementwise else logical(stacked)[0]

    def _joined(self, values: list[Any], device: torch.device) -> Any:
        """A state of all runs of a group; what counts steps is the same for all."""
        if not isinstance(values[0], Tensor):
            return values[0]
        if not values[0].dim():
            return values[0].clone()
        return (stored(values) if self.elementwise else values[0]).to(device, copy=True)

    def _row(self, value: Any, row: int) -> Any:
        if not isinstance(value, Tensor):
            return value
        if not value.dim() or not self.elementwise:
            return value.clone()
        return logical(value)[row].clone(memory_format=torch.contiguous_format)


def joined(optimizers: Sequence[torch.optim.Optimizer]) -> torch.optim.Optimizer:
    """One optimizer with the parameters, settings and states of all: it costs one call a step."""
    first, *others = optimizers
    for other in others:
        first.add_param_group(other.param_groups[0])
        first.state.update(other.state)
    return first
