"""Which folder is a run's: the one that holds it, whatever its name says."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Command
from processes import TINY, at_step, run

from runner.runs.folder import RunFolder
from runner.runs.job import LONGEST_NAME, shortened

SHORT = ["epochs=1", *TINY]


def folders(root: Path, name: str = "runs") -> list[Path]:
    return sorted((root / "outputs" / name).glob("*-*"))


def as_in_version_0_1(path: Path, length: int = 8) -> Path:
    """Eight digits in the folder's name and in result.json, no sums in status.json, no fingerprint.

    Version 0.2 had sixteen digits.
    """
    config = RunFolder(path).config()
    assert config
    former = config.former_digest
    assert former
    digits = former[:length]
    old = path.rename(path.with_name(f"{path.name.rpartition('-')[0]}-{digits}"))
    for name in ("status.json", "result.json"):
        if (old / name).exists():
            values = json.loads((old / name).read_text())
            values.pop("sha256", None)
            if name == "result.json":
                values["config_hash"] = digits
                del values["data"]
            (old / name).write_text(json.dumps(values))
    for name in (".owner", ".lock"):
        (old / name).unlink()
    return old


def test_sixteen_digits_in_name_and_result(command: Command, tmp_path: Path) -> None:
    command(*SHORT)
    (path,) = folders(tmp_path)
    digits = path.name.rpartition("-")[2]
    result = RunFolder(path).result
    assert result and result["config_hash"] == digits
    assert len(digits) == 16 and set(digits) <= set("0123456789abcdef")


@pytest.mark.parametrize("digits", [8, 16])
def test_a_folder_of_an_earlier_version_is_found(
    command: Command, tmp_path: Path, digits: int
) -> None:
    command(*SHORT)
    (path,) = folders(tmp_path)
    old = as_in_version_0_1(path, digits)
    before = {p: p.read_bytes() for p in old.rglob("*") if p.is_file()}
    for words in ([], ["name=runs"], ["-m"], ["seed=0"]):
        code, out, err = command(*words, *SHORT)
        assert (code, err) == (0, "") and "finished before" in out.lower()
    assert folders(tmp_path) == [old]
    assert {p: p.read_bytes() for p in old.rglob("*") if p.is_file()} == before


def test_an_interrupted_one_goes_on(tmp_path: Path) -> None:
    from functools import partial

    words = ["epochs=4", "trainer.checkpoint_seconds=0", *TINY]
    assert run(tmp_path / "whole", *words).code == 0
    assert run(tmp_path, *words, fault=partial(at_step, 6)).code == -9
    (path,) = folders(tmp_path)
    old = as_in_version_0_1(path)
    ended = run(tmp_path, *words)
    assert (ended.code, ended.err) == (0, "")
    assert folders(tmp_path) == [old]
    (whole,) = folders(tmp_path / "whole")
    one, other = RunFolder(old).metrics(), RunFolder(whole).metrics()
    assert [line | {"seconds": 0} for line in one] == [line | {"seconds": 0} for line in other]


def test_a_collision_of_eight_digits_is_another_run(command: Command, tmp_path: Path) -> None:
    """Both are 65e30ec1 to version 0.1."""
    words = ["data.train_size=64", "epochs=1", "trainer.progress=false"]
    command("seed=2890", *words)
    (path,) = folders(tmp_path)
    old = as_in_version_0_1(path)
    first = RunFolder(old).result
    code, out, _ = command("seed=60234", *words)
    assert code == 0 and "finished before" not in out.lower()
    assert len(folders(tmp_path)) == 2
    (new,) = set(folders(tmp_path)) - {old}
    config = RunFolder(new).config()
    assert config
    assert (config.former_digest or "")[:8] == old.name.rpartition("-")[2]
    second = RunFolder(new).result
    assert first and second and first["val/loss"] != second["val/loss"]
    assert (first["seed"], second["seed"]) == (2890, 60234)
    for seed in (2890, 60234):
        assert "finished before" in command(f"seed={seed}", *words).out.lower()
    assert len(folders(tmp_path)) == 2


def test_another_config_in_the_folder_is_not_this_run(command: Command, tmp_path: Path) -> None:
    command(*SHORT)
    (path,) = folders(tmp_path)
    values = yaml.safe_load((path / "config.yaml").read_text())
    (path / "config.yaml").write_text(yaml.safe_dump(values | {"seed": 7}))
    code, out, err = command(*SHORT)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "config.yaml: other settings than the folder's name stands for" in err
    (path / "config.yaml").write_text(yaml.safe_dump(values | {"name": "moved"}))
    assert command(*SHORT).code == 0  # the name is not what a run is


LONG = "architecture.hidden=[" + ",".join(["30"] * 20) + "]"
NAMES: dict[str, tuple[list[str], str]] = {
    "nothing": ([], "default"),
    "in the order given": (["seed=3", "optimizer.lr=0.5"], "seed=3,optimizer.lr=0.5"),
    "the last word counts": (["seed=3", "epochs=2", "seed=4"], "epochs=2,seed=4"),
    "options": (["optimizer=adam", "trainer=cpu", "name=runs"], "optimizer=adam"),
    "a long value": ([LONG, "seed=3"], "architecture.hidden=_30,30,30,~30,30,30,30,30,30,30_,seed=3"),
    "a saved run": (["SAVED", "seed=3"], "optimizer=adam,epochs=2,regularizer.l2=0.1,seed=3"),
    "a saved run, back to a default": (["SAVED", "epochs=30"], "optimizer=adam,regularizer.l2=0.1,epochs=30"),
    "a saved run by another name": (["SAVED", "name=x"], "optimizer=adam,epochs=2,regularizer.l2=0.1"),
}  # fmt: skip


def job(words: list[str]) -> Any:
    from runner.command.compose import composing

    with composing() as composer:
        (found,) = composer.jobs(words, multirun=False)
    return found


@pytest.mark.parametrize("case", NAMES)
def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    from runner.command.overrides import expanded

    monkeypatch.chdir(tmp_path)
    saved = job(["epochs=2", "optimizer=adam", "regularizer.l2=0.1"])
    RunFolder(tmp_path).write_config(saved.config.model_dump(mode="json"))
    given, expected = NAMES[case]
    words = [x for w in given for x in expanded("config.yaml" if w == "SAVED" else w)]
    readable, _, digits = job(words).folder.name.rpartition("-")
    assert (readable, len(digits)) == (expected, 16)


def test_a_name_has_an_end_and_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = [f"data.classes=[{','.join('0123456789')}]", LONG, "regularizer.dropout_input=0.123456"]
    words += ["regularizer.dropout=0.5", "schedule.warmup_epochs=3", "batch_size.size=64"]
    readable = job([*words, "optimizer.lr=0.0125"]).folder.name.rpartition("-")[0]
    assert len(readable) == LONGEST_NAME
    assert readable.startswith("data.classes=") and readable.endswith(",optimizer.lr=0.0125")


def test_shortened() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcdefghij", 7) == "ab~ghij"
