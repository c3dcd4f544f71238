"""Every option of these groups in a stack of two runs, held to the same runs alone."""

from pathlib import Path

import pytest
from conftest import Command

from runner.runs.folder import RunFolder

CONF = Path(__file__).parents[2] / "conf"
GROUPS = ("architecture", "loss", "optimizer", "task")
OPTIONS = [
    (group, path.stem)
    for group in GROUPS
    for path in sorted((CONF / group).glob("*.yaml"))
    if path.stem != "regression"  # not of digits: see tests/training/test_trained_tasks.py
]
TINY = ("data.train_size=64", "batch_size.size=16", "epochs=2", "trainer.progress=false")
ALSO = {
    "convnet": ["architecture.channels=[4]"],
    "nin": ["architecture.width=0.02"],
    "mean_squared_error": ["task=reconstruction"],
    "reconstruction": ["task.noise=gaussian", "task.level=0.3"],
}


def losses(root: Path, name: str) -> list[float]:
    paths = sorted(root.glob(f"outputs/{name}/*/status.json"))
    return [RunFolder(path.parent).metrics()[-1]["val/loss"] for path in paths]


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=str)
def test_in_a_stack(command: Command, tmp_path: Path, group: str, option: str) -> None:
    words = [f"{group}={option}", "optimizer.lr=0.01", *ALSO.get(option, []), *TINY]
    for name, how in (("one", "hydra/launcher=basic"), ("two", "hydra.launcher.width=2")):
        code, _, err = command("-m", "seed=0,1", *words, f"name={name}", how)
        assert (code, err) == (0, "")
    alone, stacked = losses(tmp_path, "one"), losses(tmp_path, "two")
    assert len(alone) == 2 and alone[0] != alone[1]
    assert stacked == pytest.approx(alone, rel=1e-4)
