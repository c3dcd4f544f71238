"""What a command leaves in a run folder: .hydra/ and run.log, the same alone and in a sweep."""

import ast
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Command
from omegaconf import OmegaConf

from runner.command.run_files import RunLogs, as_yaml, logging_to
from runner.runs.folder import RunFolder

RUNNER = Path(__file__).parents[2] / "runner"
TINY = ["data.train_size=64", "epochs=1", "trainer.progress=false", "trainer.threads=1"]


def read(folder: Path, name: str) -> Any:
    return yaml.safe_load((folder / ".hydra" / f"{name}.yaml").read_text())


def test_the_same_files_alone_and_in_a_sweep(command: Command, tmp_path: Path) -> None:
    kinds = {
        "alone": ["seed=1"],
        "basic": ["-m", "seed=1,2", "hydra/launcher=basic"],
        "stacked": ["-m", "seed=1,2", "hydra.launcher.width=2"],
        "mode": ["hydra.mode=MULTIRUN", "seed=1,2"],
    }
    found = {}
    for kind, words in kinds.items():
        assert command(*words, "optimizer=adam", f"name={kind}", *TINY).code == 0
        (folder,) = (tmp_path / "outputs" / kind).glob("*seed=1*")
        found[kind] = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        found[kind] = [name for name in found[kind] if "tfevents" not in name]
        config, hydra, overrides = (read(folder, n) for n in ("config", "hydra", "overrides"))
        assert (
            config["seed"] == 1 and config["optimizer"]["name"] == "adam" and "hydra" not in config
        )
        assert {"seed=1", "optimizer=adam", f"name={kind}", *TINY} == set(overrides)
        hydra = hydra["hydra"]
        assert hydra["overrides"]["task"] == overrides
        assert hydra["mode"] == ("RUN" if kind == "alone" else "MULTIRUN")
        assert hydra["runtime"]["output_dir"] == str(folder)
        assert hydra["runtime"]["choices"]["optimizer"] == "adam"
        log = (folder / "run.log").read_text()
        assert re.search(r"^\S+ \S+ INFO runner: (1 run|2 runs)", log, re.MULTILINE), log
    assert len(set(map(tuple, found.values()))) == 1


def test_texts_stay_texts_for_omegaconf() -> None:
    texts = [
        "1e3",
        "1_0",
        "nan",
        "0x10",
        "y",
        "n",
        "yes",
        "Off",
        "true",
        "null",
        "~",
        "",
        " a",
        "é\nb",
    ]
    values = {"texts": texts, "numbers": [1, 1e-3, None, True], "nested": {"on": "${seed}"}}
    text = as_yaml(values)
    assert OmegaConf.to_container(OmegaConf.create(text)) == values
    assert text.splitlines() == OmegaConf.to_yaml(OmegaConf.create(values)).splitlines()


def test_logs_go_to_the_runs_that_are_being_trained(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder, status in zip(folders, ("running", "running", "complete"), strict=True):
        folder.mkdir()
        RunFolder(folder).write_status(status)
    logger, quiet = logging.getLogger("some.library"), logging.getLogger("other.library")
    level = logging.getLogger().level
    logs = RunLogs(folders)
    with logging_to(logs, verbose=["some.library"]):
        logger.debug("in full")
        quiet.debug("not wanted")
        logs.ended(folders[0], "alone")
        quiet.warning("%d of them", 3)
    logger.error("after it")
    texts = [(folder / "run.log").read_text() for folder in folders[:2]]
    assert [re.sub(r"(?m)^\S+ \S+ ", "", text) for text in texts] == [
        "DEBUG some.library: in full\nINFO runner: alone\n",
        "DEBUG some.library: in full\nWARNING other.library: 3 of them\n",
    ]
    assert not (folders[2] / "run.log").exists()
    assert (logging.getLogger().level, logger.level) == (level, logging.NOTSET)


@pytest.mark.parametrize("fails", ["tell_finished", "tell"])
def test_what_goes_wrong_when_the_end_of_a_run_is_told_does_not_vanish(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"runner.command.terminal.{fails}", no_room)
    code, _, err = command("-m", "seed=0,1", "hydra.launcher.width=2", *TINY)
    assert code == 1 and "No space left on device" in err
    if fails == "tell_finished":  # the runs themselves went on
        statuses = [RunFolder(p.parent).status for p in tmp_path.glob("outputs/runs/*/status.json")]
        assert statuses == ["complete", "complete"]


def test_internal_names_of_hydra_stand_in_one_file() -> None:
    """And sys.argv is read in one place only."""
    internal, argv = set(), set()
    for path in RUNNER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [
                getattr(node, "module", None) or "",
                *(a.name for a in getattr(node, "names", []) if not isinstance(a, str)),
            ]
            if any(name.startswith(("hydra._internal", "hydra.main")) for name in names):
                internal.add(path.name)
            if isinstance(node, ast.Attribute) and node.attr == "argv":
                argv.add(path.name)
    assert internal == {"hydra_internals.py"}
    assert argv == {"__main__.py"}
