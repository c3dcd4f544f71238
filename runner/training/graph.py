"""A function of tensors as a list of the tensor operations that it consists of."""

from collections.abc import Callable
from threading import Lock
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

aten = torch.ops.aten
TRACING = Lock()  # make_fx keeps its state in global variables
VIEWS = (
    aten.view.default,
    aten._unsafe_view.default,
    aten.expand.default,
    aten.detach.default,
    aten.alias.default,  # what torch 2.14 makes of detach
)


def traced(function: Callable[..., Any], *examples: Any) -> GraphModule:
    """Does what the function does to tensors of these shapes, without its Python; computes nothing yet.

    What the function writes into its arguments is written at each call. Its Python runs once, here:
    what it decides there stays as it is.
    """
    with TRACING:
        # A lambda, because make_fx counts the `self` of a method as an argument.
        return simplified(make_fx(lambda *given: function(*given), tracing_mode="fake")(*examples))


def simplified(module: GraphModule) -> GraphModule:
    """Without views that change nothing, and transpositions that undo one another."""
    for node in list(module.graph.nodes):
        source: Any = node.args[0] if node.args else None
        if node.target in VIEWS and layout(node) == layout(source):
            same = source
        elif node.target is aten.transpose.int and undoes(node, source):
            same = source.args[0]
        else:
            continue
        node.replace_all_uses_with(same)
        module.graph.erase_node(node)
    module.recompile()
    return module


def layout(node: Node) -> tuple[torch.Size, tuple[int, ...]]:
    """Shape and strides of a node's tensor."""
    tensor = node.meta["val"]
    return tensor.shape, tensor.stride()


def undoes(node: Node, source: Node) -> bool:
    """Whether a node repeats the transposition that its source is."""
    return source.target is node.target and source.args[1:] == node.args[1:]
