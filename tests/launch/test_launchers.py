"""Every launcher trains what it is given: found by its file, chosen by its name."""

from pathlib import Path

import pytest
from conftest import Command

from runner.launch.launcher import launchers
from runner.runs.folder import RunFolder

TINY = ("data.train_size=64", "epochs=1", "trainer.progress=false")


@pytest.mark.parametrize("name", launchers())
def test_trains_every_run_and_tells_each_end(command: Command, tmp_path: Path, name: str) -> None:
    words = ("-m", f"hydra/launcher={name}", "seed=0,1,2", "optimizer.lr=0.1,1e30", *TINY)
    code, out, err = command(*words)
    assert (code, err) == (0, "")
    folders = [RunFolder(path.parent) for path in tmp_path.glob("outputs/runs/*/status.json")]
    statuses = sorted(str(folder.status) for folder in folders)
    assert statuses == ["complete"] * 3 + ["diverged"] * 3
    assert all(f"[{place}/6]" in out for place in range(1, 7))
    assert all((folder.path / "run.log").read_text() for folder in folders)
    again = command(*words)
    assert again.code == 0 and "6 of 6 runs were finished before" in again.out


@pytest.mark.parametrize("name", launchers())
def test_has_a_default_for_every_setting(name: str) -> None:
    assert launchers()[name]().name == name
