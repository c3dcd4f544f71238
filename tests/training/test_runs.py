"""Whole runs on digits through the command line: files, numbers, sweeps, resumption."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import Command

from runner.config.schema import Config
from runner.data.origins import ORIGINS
from runner.interrupts import Interrupted
from runner.runs.folder import RunFolder
from runner.training import train
from runner.training.module import RunsModule
from runner.training.run import Run

CONF = Path(__file__).parents[2] / "conf"
TINY = ["data.train_size=64", "trainer.progress=false"]
GROUPS = sorted(
    p.name for p in CONF.iterdir() if p.is_dir() and p.name not in ("hydra", "experiment")
)
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
RESULT_KEYS = [
    "name",
    "run",
    "status",
    "seed",
    "epochs",
    "steps",
    "best_epoch",
    "parameters",
    "device",
    "precision",
    "threads",
    "train_seconds",
    "samples_per_second",
    "updates_per_second",
    "config_hash",
    "git_commit",
    "versions",
    "train/loss",
    "train/accuracy",
    "val/loss",
    "val/accuracy",
    "test/loss",
    "test/accuracy",
    "test/error",
    "lr",
]


def only_run(root: Path) -> RunFolder:
    (path,) = (p.parent for p in root.glob("outputs/*/*/status.json"))
    return RunFolder(path)


def numbers(folder: RunFolder) -> dict[str, Any]:
    """The result without what differs from one training to the next."""
    timing = ("train_seconds", "samples_per_second", "updates_per_second")
    return {k: v for k, v in (folder.result or {}).items() if k not in timing}


def weights_hash(folder: RunFolder) -> str:
    checkpoint = folder.load_checkpoint("last")
    assert checkpoint
    digest = hashlib.sha256()
    states = [checkpoint["state_dict"], *checkpoint["optimizer_states"][0]["state"].values()]
    for state in states:
        for tensor in state.values():
            digest.update(torch.as_tensor(tensor).numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=str)
def test_every_option_composes(command: Command, group: str, option: str) -> None:
    code, out, err = command(f"{group}={option}", *needed(group, option), "--cfg", "job")
    assert (code, err) == (0, "")
    values = yaml.safe_load(out)
    assert values[group].get("name", option) == option


@pytest.mark.parametrize("group", GROUPS)
def test_options_of_a_group_say_what_they_are_and_share_their_core_keys(group: str) -> None:
    texts = [path.read_text() for path in (CONF / group).glob("*.yaml")]
    core = {"optimizer": {"lr"}, "architecture": {"hidden", "activation"}, "init": {"bias"}}
    for text in texts:
        assert text.startswith("# ")
        assert group in ("trainer", "diagnostics") or "http" in text
        values = yaml.safe_load(text)
        assert core.get(group, set()) <= set(values.get(group, values))


def needed(group: str, option: str) -> list[str]:
    """What else an option needs on digits."""
    if (group, option) == ("loss", "mean_squared_error"):
        return ["task=reconstruction"]
    return ["data.root=."] if option in ORIGINS else []


TRAINABLE = [
    (group, option)
    for group, option in OPTIONS
    # Digits have no values: tests/training/test_trained_tasks.py trains a regression.
    if group != "data" and (group, option) not in (("trainer", "gpu"), ("task", "regression"))
]


@pytest.mark.parametrize(("group", "option"), TRAINABLE, ids=str)
def test_every_option_trains(command: Command, tmp_path: Path, group: str, option: str) -> None:
    batch = [] if group == "batch_size" else ["batch_size.size=16"]
    small = ["architecture.width=0.02"] if option == "nin" else []
    full = ["data.train_size=1.0"] if option in ("large", "medium") else []
    words = [f"{group}={option}", *needed(group, option)]
    code, _, err = command(*words, *TINY, "epochs=1", *batch, *small, *full)
    assert (code, err) == (0, "")
    assert only_run(tmp_path).status == "complete"


def test_a_run_leaves_its_folder(command: Command, tmp_path: Path) -> None:
    code, out, err = command("+experiment=adam_bn", "epochs=3", "optimizer.lr=0.01", *TINY)
    assert (code, err) == (0, "")
    folder = only_run(tmp_path)
    assert folder.path.parent.name == "adam_bn"
    assert folder.path.name.startswith("epochs=3,optimizer.lr=0.01,data.train_size=64-")
    present = {p.name for p in folder.path.iterdir()}
    assert {
        "config.yaml",
        "status.json",
        "metrics.jsonl",
        "result.json",
        "predictions.npz",
    } <= present
    assert {"checkpoints", ".hydra", "run.log"} <= present
    assert "test" in out
    assert "tensorboard --logdir outputs" in out

    epochs = folder.metrics()
    assert [line["epoch"] for line in epochs] == [0, 1, 2, 3]
    assert [line["step"] for line in epochs] == [0, 2, 4, 6]  # 64 examples, batches of 32
    result = folder.result
    assert result is not None
    assert set(RESULT_KEYS) <= set(result)
    assert result["parameters"] == 64 * 100 + 2 * 100 + 100 * 10 + 10
    assert {k: result[k] for k in ("val/loss", "val/accuracy")} == {
        k: epochs[-1][k] for k in ("val/loss", "val/accuracy")
    }
    probabilities, labels = folder.predictions()
    assert (probabilities.shape, probabilities.dtype) == ((473, 10), np.float32)
    assert (labels.shape, labels.dtype) == ((473,), np.int64)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    accuracy = (probabilities.argmax(axis=1) == labels).mean()
    assert result["test/accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert result["test/error"] == pytest.approx(1 - accuracy, abs=1e-6)


def test_adam_bn_reaches_95_percent_on_digits(command: Command, tmp_path: Path) -> None:
    code, _, _ = command("experiment=adam_bn")
    assert code == 0
    result = only_run(tmp_path).result
    assert result is not None
    assert result["test/accuracy"] >= 0.95


def test_a_finished_run_is_found_by_what_it_is(command: Command, tmp_path: Path) -> None:
    command("epochs=2", *TINY)
    folder = only_run(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in folder.path.rglob("*")}
    again = [
        ["epochs=2", *TINY],
        ["seed=0", "epochs=2", *TINY, "trainer=cpu"],  # the same run in other words
        [str(folder.path.relative_to(tmp_path) / "config.yaml")],
        ["-m", "epochs=2", *TINY],
    ]
    for arguments in again:
        code, out, err = command(*arguments)
        assert (code, err) == (0, "")
        assert "finished before" in out.lower()
    assert {p: p.stat().st_mtime_ns for p in folder.path.rglob("*")} == before
    code, out, _ = command("epochs=2", *TINY, "resume=false")
    assert code == 0
    assert "finished before" not in out.lower()
    assert (folder.path / "result.json").stat().st_mtime_ns > before[folder.path / "result.json"]


def test_the_same_seed_gives_the_same_bits(command: Command, tmp_path: Path) -> None:
    arguments = [
        "epochs=2",
        "regularizer=dropout",
        "optimizer=adam",
        "data.augment=crop_flip",
        *TINY,
    ]
    command(*arguments)
    folder = only_run(tmp_path)
    first, bits = numbers(folder), weights_hash(folder)
    command(*arguments, "resume=false")
    assert (numbers(folder), weights_hash(folder)) == (first, bits)
    code, _, _ = command(*arguments, "seed=1", "name=other")
    assert code == 0
    other = RunFolder(next(tmp_path.glob("outputs/other/*-*")))
    assert weights_hash(other) != bits


def test_a_sweep_trains_every_combination(command: Command, tmp_path: Path) -> None:
    code, out, _ = command(
        "-m", "optimizer=sgd,adam", "optimizer.lr=0.01,0.1", "seed=0,1", "epochs=1", *TINY
    )
    assert code == 0
    folders = [RunFolder(p.parent) for p in tmp_path.glob("outputs/runs/*/status.json")]
    assert len(folders) == 8
    assert {folder.status for folder in folders} == {"complete"}
    with (tmp_path / "outputs/runs/sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:3] == ["optimizer", "optimizer.lr", "seed"]
    accuracies = [float(row["val/accuracy"]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert {row["run"] for row in rows} == {folder.path.name for folder in folders}
    assert sum(line.startswith("[") for line in out.splitlines()) == 8

    alone = ["optimizer=adam", "optimizer.lr=0.01", "seed=1", "epochs=1", *TINY]
    code, out, _ = command(*alone)
    assert code == 0
    assert "finished before" in out.lower()


def test_a_failed_run_is_told_at_once_and_at_the_end_and_stops_no_other(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_run = train.build_run

    def failing(config: Config) -> Run:
        if config.seed in (1, 3):
            raise RuntimeError(f"seed {config.seed} is cursed")
        return build_run(config)

    monkeypatch.setattr(train, "build_run", failing)
    code, out, err = command("-m", "seed=0,1,2,3", "epochs=1", "hydra/launcher=basic", *TINY)
    assert code == 3
    for seed in (1, 3):
        assert f"seed={seed}" in out + err
        assert err.count(f"RuntimeError: seed {seed} is cursed") == 1
        assert out.count(f"RuntimeError: seed {seed} is cursed") == 1
    statuses = [RunFolder(p.parent).status for p in tmp_path.glob("outputs/runs/*/status.json")]
    assert sorted(map(str, statuses)) == ["complete", "complete", "failed", "failed"]
    assert "Traceback" not in out + err
    (error, _) = tmp_path.glob("outputs/runs/*/error.txt")
    assert "is cursed" in error.read_text()

    monkeypatch.setattr(train, "build_run", build_run)
    code, out, err = command("-m", "seed=0,1,2,3", "epochs=1", "hydra/launcher=basic", *TINY)
    assert (code, err) == (0, "")
    assert sum(line.startswith("[") for line in out.splitlines()) == 2


def test_a_single_run_that_diverges_says_at_which_step(command: Command, tmp_path: Path) -> None:
    code, _, err = command("optimizer.lr=1e30", "epochs=3", *TINY)
    assert code == 1
    folder = only_run(tmp_path)
    status = json.loads((folder.path / "status.json").read_text())
    assert status["status"] == "diverged"
    assert f"not finite at step {status['step']}" in err
    assert 1 <= status["step"] <= 4
    result = folder.result
    assert result is not None
    assert (result["status"], result["test/accuracy"], result["val/loss"]) == (
        "diverged",
        None,
        None,
    )
    assert "NaN" not in (folder.path / "metrics.jsonl").read_text()
    code, out, _ = command("-m", "optimizer.lr=1e30,0.1", "epochs=3", *TINY)
    assert code == 0  # in a sweep it is a result
    assert "diverged" in out


RESUMED = [
    ["optimizer=sgd", "schedule=cosine"],
    ["optimizer=momentum", "regularizer=batch_norm", "select=best"],
    ["optimizer=adam", "regularizer=dropout", "data.augment=crop_flip"],
]


@pytest.mark.parametrize("arguments", RESUMED, ids=" ".join)
def test_an_interrupted_run_goes_on_to_the_same_bits(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    command(*arguments, "epochs=4", "name=whole", *TINY)
    whole = only_run(tmp_path)
    step, taken = RunsModule.step, []

    def interrupted(module: RunsModule, number: int) -> None:
        taken.append(number)
        if len(taken) == 6:  # within the third epoch of two steps
            raise Interrupted(signal.SIGINT)
        step(module, number)

    monkeypatch.setattr(RunsModule, "step", interrupted)
    code, _, err = command(*arguments, "epochs=4", "name=resumed", *TINY)
    assert code == 130
    assert "The same command goes on from here." in err
    resumed = RunFolder(next(tmp_path.glob("outputs/resumed/*-*")))
    assert resumed.status == "interrupted"
    assert [line["epoch"] for line in resumed.metrics()] == [0, 1, 2]

    code, _, err = command(*arguments, "epochs=4", "name=resumed", *TINY)
    assert (code, err) == (0, "")
    assert taken[6:] == [0, 1, 0, 1]
    assert weights_hash(resumed) == weights_hash(whole)
    assert numbers(resumed) | {"name": ""} == numbers(whole) | {"name": ""}
    assert [line["epoch"] for line in resumed.metrics()] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_resumable_folder(tmp_path: Path, number: int, code: int) -> None:
    """The real process and a real signal."""
    line = [sys.executable, "-m", "runner", "epochs=100000", "trainer.threads=1"]
    process = subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    metrics = tmp_path / "outputs" / "runs"
    while not any(p.read_text().count("\n") > 3 for p in metrics.glob("*/metrics.jsonl")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "The same command goes on from here." in err
    assert "Traceback" not in err
    folder = only_run(tmp_path)
    assert folder.status == "interrupted"
    checkpoint = folder.load_checkpoint("last")
    assert checkpoint
    assert checkpoint["epoch"] >= 2
