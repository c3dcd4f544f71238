"""Several networks of one shape as one: their parameters and buffers lie stacked along a first axis.

Shape suffixes: R runs, N examples, K outputs.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from runner.options.layers import Dropout, weights


class Networks:
    """The networks of R runs.

    Args:
        template: A network that has every layer of every run (dropout, if only some runs have it).
        tensors: Of each run, by name; a run without a dropout layer gets one that drops nothing.
        device: Where they are computed.

    Attributes:
        parameters: As stored (see `stored`), in the template's order.
        buffers: By name, (runs, ...).
        weights: Those of the parameters that are weights: no biases, no batch-norm γ and β.
        logical_weights: Views of them in the shape that the networks know, (runs, units, ...).
    """

    def __init__(
        self, template: nn.Module, tensors: Sequence[Mapping[str, Tensor]], device: torch.device
    ) -> None:
        self.template = template
        self.count = len(tensors)
        self.names = [name for name, _ in template.named_parameters()]
        self.parameters = [
            stored([own[name] for own in tensors]).to(device, copy=True) for name in self.names
        ]
        self.buffers = {
            name: torch.stack([own_or_nothing(own, name) for own in tensors]).to(device)
            for name, _ in template.named_buffers()
        }
        own = {id(w) for w in weights(template)}
        self.are_weights = [id(p) in own for p in template.parameters()]
        self.weights = self.weights_of(self.parameters)
        self.logical_weights = [logical(w) for w in self.weights]

    def forward(
        self,
        parameters: Sequence[Tensor],
        buffers: dict[str, Tensor],
        inputs: Tensor,
        of_each_run: bool,
    ) -> Tensor:
        """Outputs (runs, n, outputs): one pass by `vmap`, or without it where there is one run.

        Args:
            parameters: As `leaves` gives them.
            buffers: (runs, ...).
            inputs: (runs, n, channels, height, width), or without the runs: all take the same.
            of_each_run: Which of the two it is.
        """

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
            state = (parameters, buffers)
            outputs: Tensor = functional_call(self.template, state, (x,), tie_weights=False)
            return outputs

        if self.count == 1:
            first = {name: tensor[0] for name, tensor in buffers.items()}
            matrices = [p.t() if p.dim() == 2 else p for p in parameters]
            named = dict(zip(self.names, matrices, strict=True))
            return one(named, first, inputs[0] if of_each_run else inputs)[None]
        named = {n: logical(p) for n, p in zip(self.names, parameters, strict=True)}
        outputs_RNK: Tensor = vmap(one, in_dims=(0, 0, 0 if of_each_run else None))(
            named, buffers, inputs
        )
        return outputs_RNK

    def leaves(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        """What `forward` takes for these stored parameters: a single network's without the first axis."""
        return [p[0] for p in parameters] if self.count == 1 else list(parameters)

    def on_cpu(self, wanted: Sequence[Sequence[str]]) -> list[dict[str, Tensor]]:
        """Copies of each run's tensors of these names, on the CPU; one transfer for each name."""
        stacked = {n: logical(p) for n, p in zip(self.names, self.parameters, strict=True)}
        stacked = {name: tensor.cpu() for name, tensor in (stacked | self.buffers).items()}
        return [
            {
                name: stacked[name][row].clone(memory_format=torch.contiguous_format)
                for name in names
            }
            for row, names in enumerate(wanted)
        ]

    def network(self, row: int) -> nn.Module:
        """The network of one run, sharing its tensors."""
        network = deepcopy(self.template)
        stacked = {n: logical(p) for n, p in zip(self.names, self.parameters, strict=True)}
        stacked |= self.buffers
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            tensor.data = stacked[name][row]
        return network

    @property
    def num_parameters(self) -> int:
        """Of one network."""
        return sum(p.numel() for p in self.parameters) // self.count

    def weights_of(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Those of the values, one for each parameter, that belong to weights."""
        return [value for value, wanted in zip(values, self.are_weights, strict=True) if wanted]

    def weights_from(self, leaves: Sequence[Tensor]) -> list[Tensor]:
        """The weights among `leaves` in the shape that the networks know, (runs, units, ...)."""
        stacked = [p[None] for p in leaves] if self.count == 1 else leaves
        return [logical(w) for w in self.weights_of(stacked)]

    @property
    def state(self) -> list[Tensor]:
        """All parameters, then all buffers."""
        return [*self.parameters, *self.buffers.values()]

    def split(self, state: Sequence[Tensor]) -> tuple[Sequence[Tensor], dict[str, Tensor]]:
        """`state` as parameters and buffers."""
        count = len(self.parameters)
        return state[:count], dict(zip(self.buffers, state[count:], strict=True))

    def finite(self) -> Tensor:
        """Whether all parameters of a run are finite numbers: (runs,)."""
        return torch.stack([p.isfinite().flatten(1).all(1) for p in self.parameters]).all(0)


def own_or_nothing(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """A run's buffer; where it has no such dropout layer, that of one with rate 0."""
    if name in tensors:
        return tensors[name]
    nothing: Tensor = getattr(Dropout(0.0), name.rpartition(".")[2])
    return nothing


def stored(rows: Sequence[Tensor]) -> Tensor:
    """Tensors stacked along a first axis as they are stored: matrices transposed.

    Backward computes the gradient of a matrix (out, in) as (in, out). Stored that way, it needs no
    copy before the fused update, which takes contiguous tensors; copying was nearly half of Adam's step.
    """
    stacked = torch.stack(list(rows))
    return stacked.transpose(1, 2).contiguous() if stacked.dim() == 3 else stacked


def logical(stacked: Tensor) -> Tensor:
    """A view of a stored tensor in the shape that the network knows, after the first axis."""
    return stacked.transpose(1, 2) if stacked.dim() == 3 else stacked
