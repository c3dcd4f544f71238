"""The code of training on a device that is not the CPU: everything lies on it that has to, alone and stacked.

The device is made of Python (pretend_device.py), in a process of its own.
"""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = {
    "mlp": [
        "optimizer=adam",
        "regularizer=dropout_l2",
        "schedule=cosine",
        "select=best",
        "evaluate_every=1",
    ],
    "norms": ["optimizer=adagrad", "regularizer.l1=1e-4", "regularizer.max_norm=1.0"],
    "convnet": [
        "optimizer=momentum",
        "architecture=convnet",
        "architecture.channels=[4,8]",
        "regularizer=batch_norm_dropout",
        "data.augment=crop_flip",
        "diagnostics=layers",
    ],
}


def on_pretend_device(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    small = ["epochs=2", "data.train_size=64", "architecture.hidden=[20]"]
    line = [sys.executable, str(HERE / "on_pretend_device.py"), str(folder), *small, *words]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("how", ["plain", "captured"])
@pytest.mark.parametrize("case", CASES)
def test_runs_there_are_the_runs_on_the_cpu(tmp_path: Path, case: str, how: str) -> None:
    flags = ["--captured"] if how == "captured" else []
    done = on_pretend_device(tmp_path, *CASES[case], *flags)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "the same" and len(lines) == 9


def test_and_a_tensor_left_behind_is_noticed(tmp_path: Path) -> None:
    done = on_pretend_device(tmp_path, *CASES["norms"], "--mistake")
    assert done.returncode == 1
    assert "tensors on ['pretend:0" in done.stderr
