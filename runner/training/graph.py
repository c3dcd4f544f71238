"""A function of tensors as a list of the tensor operations that it consists of."""

from collections.abc import Callable
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

aten = torch.ops.aten
TRANSPOSITIONS = (aten.t.default, aten.transpose.int)
PRODUCTS = (aten.mul.Tensor, aten.mul.Scalar)
TRACING = Lock()  # make_fx keeps its state in global variables
VIEWS = (
    aten.view.default,
    aten._unsafe_view.default,
    aten.expand.default,
    aten.detach.default,
    aten.alias.default,  # what torch 2.14 makes of detach
)


def traced(function: Callable[..., Any], *examples: Tensor) -> GraphModule:
    """Does what the function does to tensors of these shapes, without its Python; computes nothing yet.

    What the function writes into its arguments is written at each call. Its Python runs once, here:
    what it decides there stays as it is.

    Args:
        function: Takes tensors and returns a tuple of tensors.
        examples: Its arguments.
    """
    with TRACING:
        # A lambda, because make_fx counts the `self` of a method as an argument.
        return simplified(make_fx(lambda *given: function(*given), tracing_mode="fake")(*examples))


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


def layout(node: Node) -> tuple[torch.dtype, torch.Size, tuple[int, ...]]:
    """Type, shape and strides of a node's tensor."""
    tensor = node.meta["val"]
    return tensor.dtype, tensor.shape, tensor.stride()
