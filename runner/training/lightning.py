"""Lightning, imported without what a run does not need: in 1.3 times `import torch` instead of 3.1.

Everything here imports `pl` from this module. Lightning's own import brings along scipy.signal and
matplotlib (torchmetrics' audio and plots) and torch._dynamo, with sympy, FSDP and ONNX (for a single
`isinstance`). torch's optimizers import torch._dynamo too, at every step, for what only matters to code
that is compiled; and what it computes in Python, a loss under vmap, imports sympy to check a condition
that is no formula. All of these work as ever once somebody uses them.
"""

from functools import cache, wraps
from types import FunctionType
from typing import Any

import torch  # noqa: F401  # stand-ins are for what it does not import itself

from runner.training.stand_ins import imported, in_use, left_out, stand_in

LIGHTNING = ("pytorch_lightning", "lightning_fabric")
METRICS = ("torchmetrics",)
SYMBOLIC = "torch.fx.experimental.symbolic_shapes"
PLOT = (
    "_AX_TYPE",
    "_CMAP_TYPE",
    "_PLOT_OUT_TYPE",
    "plot_confusion_matrix",
    "plot_curve",
    "plot_single_or_multi_val",
)


def disable(function: Any, *args: Any, **kwargs: Any) -> Any:
    """torch._dynamo.disable, called as soon as torch._dynamo is there to be kept out of the function."""
    if not isinstance(function, FunctionType):
        return imported("torch._dynamo").disable(function, *args, **kwargs)
    kept_out = cache(lambda: imported("torch._dynamo").disable(function, *args, **kwargs))

    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        return (kept_out() if in_use("torch._dynamo") else function)(*given, **named)

    call._torchdynamo_disable = True  # type: ignore[attr-defined]  # what torch._dynamo looks for
    return call


def expect_true(condition: Any, *args: Any, **kwargs: Any) -> Any:
    """The function of that name in torch's symbolic_shapes, which is needed for conditions that are symbolic."""
    if isinstance(condition, bool):
        return condition
    return imported(SYMBOLIC).expect_true(condition, *args, **kwargs)


stand_in(SYMBOLIC, {"expect_true": (("torch",), expect_true)})
stand_in(
    "torch._dynamo",
    {
        "OptimizedModule": (LIGHTNING, None),
        "disable": (("torch._compile", "torch.compiler"), disable),
        "graph_break": (("torch.optim",), lambda: None),
    },
)
with left_out(
    {
        # Whether it has this name, as old versions had.
        "scipy.signal": {"hamming": (METRICS, None)},
        # torchmetrics.utilities imports it: found once that is.
        "torchmetrics.utilities.plot": dict.fromkeys(PLOT, (METRICS, None)),
    }
):
    import pytorch_lightning as pl
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.utilities import registry

# Each Trainer looks for callbacks through all that is installed: 3.8 ms, of which 3.4 are for this.
registry.entry_points = cache(registry.entry_points)  # type: ignore[attr-defined,assignment]

__all__ = ["LightningEnvironment", "pl"]
