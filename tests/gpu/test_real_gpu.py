"""What only a real GPU can show. Nothing may fall back in silence: every test asserts how runs were trained."""

import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "training"))

from by_hand import OPTIMIZERS, REGULARIZERS, distance, three_runs
from test_train import same_files

from runner.config.schema import Config
from runner.runs.folder import RunFolder
from runner.training.build import build_module, build_run, lightning_trainer
from runner.training.cuda_graph import CapturedSteps
from runner.training.train import train_all

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
CUDA = torch.device("cuda", 0)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("architecture", ["mlp", "convnet"])
@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_a_stack_is_the_runs_alone(
    tmp_path: Path, regularizer: str, architecture: str, precision: str
) -> None:
    configs = [on_gpu(c, precision) for c in three_runs("adam", regularizer, architecture)]
    for width in (1, 3):
        told: list[str] = []
        jobs = [(config, tmp_path / f"{width}of{i}") for i, config in enumerate(configs)]
        train_all(jobs, told.append, width=width)
        assert len(told) == 1, told  # nothing was halved
    for i in range(3):
        alone, stacked = (RunFolder(tmp_path / f"{width}of{i}") for width in (1, 3))
        assert "cpu" not in str((stacked.result or {})["device"])
        if precision == "32-true":
            same_files(stacked, alone)


def on_gpu(config: Config, precision: str = "32-true") -> Config:
    trainer = {"accelerator": "gpu", "precision": precision}
    return config.model_copy(update={"trainer": config.trainer.model_copy(update=trainer)})


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_captured_steps_are_the_steps(optimizer: str) -> None:
    outcomes = []
    for capture in (False, True):
        configs = three_runs(optimizer, "dropout", "mlp")
        runs = [build_run(config) for config in configs]
        module = build_module(configs, runs, CUDA, nullcontext)
        assert CapturedSteps.fits(module)
        module.captured = CapturedSteps(module, capture)
        for _ in range(5):
            module.on_train_epoch_start()
            for block in module.train_dataloader():
                module.training_step(block, 0)
            for run in module.runs:
                run.epoch += 1
        assert len(module.captured.graphs) == 2 * capture  # blocks of 7 steps and of 1
        outcomes.append(module.networks.on_cpu([list(run.tensors) for run in module.runs]))
    for one, other in zip(*outcomes, strict=True):
        assert distance(one, other) == 0


def test_tf32_is_off_unless_it_is_asked_for() -> None:
    (config, *_) = three_runs("sgd", "plain", "convnet")
    lightning_trainer(on_gpu(config), 1)
    assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"
