"""A function of tensors as a list of the tensor operations that it consists of."""

from collections.abc import Callable, Mapping, Sequence
from operator import getitem
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakTensorKeyDictionary

aten = torch.ops.aten
TRACING = Lock()  # vmap keeps its state in global variables
VIEWS = (
    aten.view.default,
    aten._unsafe_view.default,
    aten.expand.default,
    aten.detach.default,
    aten.alias.default,  # what torch 2.14 makes of detach
)
TRANSPOSITIONS = (aten.t.default, aten.transpose.int)
PRODUCTS = (aten.mul.Tensor, aten.mul.Scalar)
READS = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)


def traced(function: Callable[..., Any], *examples: Any) -> GraphModule:
    """Does what the function does to tensors of these shapes, without its Python.

    The function runs once, here, on zeros: the examples keep their values, and what its Python decides
    stays as it is. What the function writes into its arguments is written at each call.

    Raises:
        ValueError: The function asks for a value in a tensor, which may be another one at each call.
    """
    # torch's make_fx does this too, but imports torch._dynamo and sympy: 0.9 times `import torch`.
    with TRACING:
        recording = Recording()
        inputs = [recording.input(example) for example in examples]
        with recording:
            result = function(*inputs)
        return simplified(recording.module(result))


class Recording(TorchDispatchMode):
    """Writes down every operation on tensors while it is entered; forward, backward and vmap's."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph = Graph()
        self.constants = nn.Module()
        self.nodes = WeakTensorKeyDictionary()  # weak: what the function lets go of is freed

    def input(self, example: Any) -> Any:
        """The next argument of the function: an example, or a list or dict of them, as zeros."""
        zeros = tree_map(lambda x: torch.zeros_like(x) if isinstance(x, Tensor) else x, example)
        self.remember(zeros, self.graph.placeholder(f"argument_{len(self.graph.nodes)}"))
        return zeros

    def module(self, result: Any) -> GraphModule:
        """What has been written down, up to this result of the function."""
        self.graph.output(tree_map(self.node, result))
        self.graph.eliminate_dead_code()
        return GraphModule(self.constants, self.graph)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if any(tag in func.tags for tag in READS):
            raise ValueError(f"{func} asks for a value in a tensor, in a function to be traced")
        result = func(*args, **kwargs)
        inputs = tree_map(self.node, (tuple(args), dict(kwargs)))
        self.remember(result, self.graph.call_function(func, *inputs))
        return result

    def remember(self, value: Any, node: Node) -> None:
        """The node computes this value: a tensor, or a list or dict of tensors."""
        if isinstance(value, Tensor):
            node.meta["layout"] = value.dtype, value.shape, value.stride()
            self.nodes[value] = node
        elif isinstance(value, (Sequence, Mapping)) and not isinstance(value, str):
            parts = value.items() if isinstance(value, Mapping) else enumerate(value)
            for key, part in parts:
                self.remember(part, self.graph.call_function(getitem, (node, key)))

    def node(self, value: Any) -> Any:
        """The node that computes a tensor; a constant where none does. Other values are themselves."""
        if not isinstance(value, Tensor):
            return value
        if value not in self.nodes:
            name = f"constant_{len(list(self.constants.buffers()))}"
            self.constants.register_buffer(name, value)
            self.remember(value, self.graph.get_attr(name))
        return self.nodes[value]


def simplified(module: GraphModule) -> GraphModule:
    """Without what computes nothing: views of the same layout or without a use, repeated transpositions, · 1."""
    for node in list(module.graph.nodes):
        if (same := equal_to(node)) is not None:
            node.replace_all_uses_with(same)
            module.graph.erase_node(node)
    for node in reversed(module.graph.nodes):
        if node.target in (*VIEWS, *TRANSPOSITIONS) and not node.users:
            module.graph.erase_node(node)
    module.recompile()
    return module


def equal_to(node: Node) -> Node | None:
    """The node that has the same elements in the same places, if one is found."""
    source: Any = node.args[0] if node.args else None
    if node.target in VIEWS and layout(node) == layout(source):
        return source  # type: ignore[no-any-return]
    if node.target in TRANSPOSITIONS and source.target is node.target:
        return source.args[0] if source.args[1:] == node.args[1:] else None
    if node.target in PRODUCTS and node.args[1] == 1 and layout(node) == layout(source):
        return source  # type: ignore[no-any-return]
    return None


def layout(node: Node) -> object:
    """Type, shape and strides of a node's tensor."""
    return node.meta["layout"]
