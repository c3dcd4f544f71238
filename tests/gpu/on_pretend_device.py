"""Trains the same runs on the CPU and on the pretended device, alone and stacked, and compares them.

    python tests/gpu/on_pretend_device.py FOLDER OVERRIDE ...

A first override of "--captured" takes the steps as a CUDA graph takes them, one by one; "--mistake" leaves
some settings on the CPU. Prints a line for each pair of runs; the last one is "the same". What is computed is what `train_all` does
anywhere; only Lightning is told of a device that it does not know.
"""

import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pretend_device import DEVICE
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy

from runner.command.compose import composing
from runner.runs.folder import RunFolder
from runner.training.cuda_graph import CapturedSteps
from runner.training.module import RunsModule
from runner.training.train import train_all

Trainer = pl.Trainer


class Pretending(CPUAccelerator):
    def setup_device(self, device: torch.device) -> None:
        assert device == DEVICE


def pretending(**settings: Any) -> pl.Trainer:
    settings |= {"accelerator": "auto", "devices": "auto"}
    strategy = SingleDeviceStrategy(DEVICE, accelerator=Pretending())
    return Trainer(**settings, strategy=strategy)


def main(folder: Path, words: list[str]) -> int:
    torch.set_num_threads(1)
    if "--captured" in words:
        CapturedSteps.fits = lambda module: True  # type: ignore[assignment, method-assign]
    if "--mistake" in words:
        RunsModule._settings = lambda module, values: torch.tensor(values)  # type: ignore[method-assign]
    words = [word for word in words if not word.startswith("--")]
    with composing() as composer:
        own = ["trainer.accelerator=cpu", "trainer.progress=false", "trainer.threads=1"]
        jobs = composer.jobs([*words, *own, "seed=0,1", "optimizer.lr=0.01,0.02"], multirun=True)
    configs = [job.config for job in jobs]
    worst = 0.0
    for width in (1, len(configs)):
        paths: dict[str, list[Path]] = {}
        for device in ("cpu", "pretend"):
            pl.Trainer = Trainer if device == "cpu" else pretending  # type: ignore[misc, assignment]
            paths[device] = [folder / f"{device}{width}-{n}" for n in range(len(configs))]
            told: list[str] = []
            train_all(list(zip(configs, paths[device], strict=True)), told.append, width=width)
            assert len(told) == 1, told  # nothing was halved
        for here, there in zip(paths["cpu"], paths["pretend"], strict=True):
            assert RunFolder(there).status == "complete", (there / "error.txt").read_text()
            assert (RunFolder(there).result or {})["device"] == "pretend"
            worst = max(worst, difference(RunFolder(here), RunFolder(there)))
            print(there.name, worst)
    print("the same" if worst <= 1e-6 else "not the same")
    return 0


def difference(here: RunFolder, there: RunFolder) -> float:
    """The largest relative difference of a tensor in the last checkpoints of two runs, or of a loss."""
    one, other = here.load_checkpoint("last"), there.load_checkpoint("last")
    assert one and other
    pairs = [(one["state_dict"][k], other["state_dict"][k]) for k in one["state_dict"]]
    for i, state in one["optimizer_states"][0]["state"].items():
        others = other["optimizer_states"][0]["state"][i]
        pairs += [(v, others[k]) for k, v in state.items() if isinstance(v, torch.Tensor)]
    assert pairs and all(b.device.type == "cpu" for _, b in pairs)
    pairs += [
        (torch.tensor(a["val/loss"]), torch.tensor(b["val/loss"]))
        for a, b in zip(here.curve(), there.curve(), strict=True)
    ]
    distances = [
        float((a.double() - b.double()).norm() / a.double().norm().clamp(min=1e-9))
        for a, b in pairs
    ]
    return max(distances)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
