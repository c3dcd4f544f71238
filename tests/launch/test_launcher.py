"""Launchers: found by themselves, chosen and set as options, told the same things."""

from pathlib import Path

import pytest
from conftest import Command
from pydantic import ValidationError

from runner import launch
from runner.launch.basic import Basic
from runner.launch.launcher import launchers
from runner.launch.stacked import Stacked
from runner.runs.folder import RunFolder
from runner.training import train
from runner.training.plan import MAX_WIDTH

TINY = ["data.train_size=64", "epochs=1", "trainer.progress=false", "trainer.threads=1"]


def test_every_file_of_the_folder_is_a_launcher() -> None:
    files = {path.stem for path in Path(launch.__file__).parent.glob("*.py")}
    assert set(launchers()) == files - {"__init__", "launcher"}
    for name, kind in launchers().items():
        assert kind().name == name  # every setting has a default


def test_stacked_has_the_defaults_of_training() -> None:
    assert (Stacked().width, Stacked().max_width) == (None, MAX_WIDTH)
    for settings in ({"width": 0}, {"width": 2.0}, {"max_width": None}, {"widht": 3}):
        with pytest.raises(ValidationError):
            Stacked.model_validate(settings)


@pytest.mark.parametrize(
    ("launcher", "widths", "tells"), [(Basic(), (1, None), 0), (Stacked(width=4), (4, 256), 1)]
)
def test_a_launcher_hands_the_runs_on(
    monkeypatch: pytest.MonkeyPatch,
    launcher: Basic | Stacked,
    widths: tuple[int, int | None],
    tells: int,
) -> None:
    told: list[str] = []
    ended: list[int] = []

    def train_all(runs, tell, finished, refused, width=None, max_width=None):  # type: ignore[no-untyped-def]
        tell("how")
        finished(len(runs), "how")
        assert (width, max_width) == widths

    monkeypatch.setattr(train, "train_all", train_all)
    launcher.train([], told.append, lambda number, how: ended.append(number), lambda *_: None)
    assert (len(told), ended) == (tells, [0])


def test_the_launcher_is_chosen_on_the_command_line(command: Command) -> None:
    sweep = ["-m", "seed=0,1", *TINY]
    assert "2 runs, all as one (width=2)" in command(*sweep, "hydra.launcher.width=2").out
    basic = command(*sweep, "seed=2,3", "hydra/launcher=basic")
    assert basic.code == 0 and "(width=" not in basic.out
    assert "unknown hydra/launcher 'stakced'; did you mean 'stacked'?" in (
        command("hydra/launcher=stakced").err
    )


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
