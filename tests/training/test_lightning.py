"""What the start leaves out is really left out, and works as ever for whoever uses it afterwards."""

import subprocess
import sys
from pathlib import Path

import pytest

LEFT_OUT = {
    "torch._dynamo",
    "torch._inductor",
    "torch.onnx",
    "torch.distributed.fsdp",
    "torch.distributed.tensor",
    "torch.utils.tensorboard",
    "torch.fx.experimental.symbolic_shapes",
    "sympy",
    "scipy.signal",
    "matplotlib",
    "torchmetrics.utilities.plot",
}
LIGHT = "from runner.training.lightning import pl\n"


def python(code: str, folder: Path) -> str:
    """What code prints in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_imports_none_of_it(tmp_path: Path) -> None:
    code = """
import sys
from runner.__main__ import main
from runner.training.stand_ins import in_use
sys.argv[1:] = ["epochs=1", "data.train_size=64", "optimizer=adam", "diagnostics=layers"]
assert main() == 0
print("names", *(name for name in sys.modules if in_use(name)))
"""
    names = python(code, tmp_path).splitlines()[-1].split()
    assert "pytorch_lightning" in names
    assert LEFT_OUT.intersection(names) == set()


USES = {
    "scipy": """
import scipy.signal
import scipy.stats
assert len(scipy.signal.find_peaks([0, 1, 0])[0]) == 1
assert scipy.signal.__file__ and "find_peaks" in dir(scipy.signal)
""",
    "scipy's module by its package": """
import scipy
assert len(scipy.signal.find_peaks([0, 1, 0])[0]) == 1
""",
    "a plot of torchmetrics": """
import matplotlib
matplotlib.use("agg")
import torch, torchmetrics
accuracy = torchmetrics.Accuracy("multiclass", num_classes=3)
accuracy.update(torch.tensor([0, 1]), torch.tensor([0, 2]))
figure, axes = accuracy.plot()
from matplotlib.axes import Axes
assert isinstance(axes, Axes)
class Own(torchmetrics.Metric):
    pass
""",
    "torchmetrics' module of plots": """
import torchmetrics
assert not hasattr(torchmetrics.utilities.plot, "no_such_name")
assert torchmetrics.utilities.plot.trim_axs
from torchmetrics.utilities.plot import plot_confusion_matrix
assert plot_confusion_matrix.__module__ == "torchmetrics.utilities.plot"
""",
    "audio": """
import torch
from torchmetrics.audio import SignalNoiseRatio
SignalNoiseRatio()(torch.rand(9), torch.rand(9))
""",
    "what compiled code is kept out of": """
import torch
@torch.compiler.disable
def inside(x):
    seen.append(torch.compiler.is_compiling())
    return x + 1
seen = []
assert inside(torch.zeros(1)) == 1
weight = torch.ones(2, requires_grad=True)
optimizer = torch.optim.SGD([weight], lr=1.0)
optimizer.step()
graphs = []
def backend(module, inputs):
    graphs.append(module)
    return module.forward
compiled = torch.compile(lambda x: inside(x * 2) * 3, backend=backend)
assert compiled(torch.ones(1)) == 9
assert seen == [False, False] and len(graphs) == 2
optimizer.zero_grad()
optimizer.add_param_group({"params": [torch.ones(1, requires_grad=True)]})
""",
    "a compiled module in Lightning": """
import torch
compiled = torch.compile(pl.LightningModule())
from lightning_fabric.wrappers import is_wrapped, _unwrap_compiled
assert not is_wrapped(compiled)
module, settings = _unwrap_compiled(compiled)
assert isinstance(module, pl.LightningModule) and settings is not None
""",
    "torch._dynamo by name": """
import sys
import torch._dynamo.config
from torch._dynamo import OptimizedModule, graph_break
from torch._dynamo import disable
assert issubclass(OptimizedModule, torch.nn.Module)
assert disable.__module__ == graph_break.__module__ == "torch._dynamo.decorators"
assert torch._dynamo is sys.modules["torch._dynamo"] and torch._dynamo.__file__
torch._dynamo.reset()
""",
    "a submodule": """
from torch._dynamo import debug_utils
assert debug_utils.__name__ == "torch._dynamo.debug_utils"
import torch
try:
    torch._dynamo.no_such_name
except AttributeError:
    pass
else:
    raise AssertionError
""",
    "torch._dynamo looked for": """
import inspect, torch
from importlib.util import find_spec
assert find_spec("torch._dynamo").name == "torch._dynamo"
assert inspect.getmodule(inspect.getmodule) is inspect
from runner.training.stand_ins import in_use
assert not in_use("torch._dynamo")
assert "reset" in dir(torch._dynamo)
assert in_use("torch._dynamo")
""",
    "a symbolic condition": """
import torch
from torch.fx.experimental.proxy_tensor import make_fx
def checked(x):
    torch._check(x.shape[0] > 1)
    return x.sin()
assert make_fx(checked, tracing_mode="symbolic")(torch.ones(2, 3)).graph
from torch.fx.experimental.symbolic_shapes import ShapeEnv, expect_true
assert expect_true.__module__ == "torch.fx.experimental.symbolic_shapes" and expect_true(True)
""",
    "make_fx": """
import torch
from torch.fx.experimental.proxy_tensor import make_fx
assert make_fx(torch.sin, tracing_mode="fake")(torch.ones(2)).graph
""",
}


@pytest.mark.parametrize("use", USES)
def test_all_of_it_can_be_used_afterwards(use: str, tmp_path: Path) -> None:
    python(LIGHT + USES[use], tmp_path)


def test_names_of_other_versions_are_no_error(tmp_path: Path) -> None:
    code = """
import sys, types
from runner.training.stand_ins import in_use, left_out, stand_in
stand_in("a_module_that_is_not_there", {})
assert "a_module_that_is_not_there" not in sys.modules
with left_out({"json.tool": {}, "nowhere.at_all": {}}):
    from json.tool import main
    import json.tool
    assert in_use("json.tool") and json.tool.main is main
    try:
        from nowhere.at_all import anything
    except ModuleNotFoundError:
        print("not found")
assert not [name for name in sys.modules if "nowhere" in name]
"""
    assert python(code, tmp_path) == "not found\n"
