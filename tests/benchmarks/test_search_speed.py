"""How fast a search finds good settings, against itself and against Optuna. Not part of the default run:

    python -m pytest tests/benchmarks/test_search_speed.py --override-ini addopts= -s

SEEDS=10 for intervals, DATA=digits where there is no MNIST. Everything is timed as whole commands, side by
side, because a machine's speed changes by the minute.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.search.record import Record
from runner.studies.statistics import mean_interval

SHARED = Path(__file__).parents[3] / "shared" / "data"
DATA = os.environ.get("DATA", "mnist" if SHARED.is_dir() else "digits")
SEEDS = range(int(os.environ.get("SEEDS", "3")))
TARGET = 0.975  # validation accuracy
TRIALS, EPOCHS = 81, 27
PEER = Path(__file__).with_name("search_peer.py")
SEARCH = f"""# @package _global_
name: s
epochs: {EPOCHS}
architecture: {{hidden: [100]}}
search:
  space:
    optimizer: {{choice: [momentum, adam]}}
    optimizer.lr: {{log: [1.0e-4, 1.0]}}
    optimizer@momentum.momentum: {{uniform: [0.0, 0.99]}}
    regularizer.l2: {{log: [1.0e-6, 1.0e-2]}}
    batch_size.size: {{choice: [32, 64, 128, 256]}}
  trials: {TRIALS}
  by: val/accuracy
  audit: 0.0
"""
STACKED = [
    (stop, launcher)
    for stop in ("none", "halving", "hyperband")
    for launcher in ("basic", "stacked")
]


def runner(folder: Path, *words: str) -> list[str]:
    (folder / "conf" / "experiment").mkdir(parents=True)
    (folder / "conf" / "experiment" / "s.yaml").write_text(SEARCH)
    given = ["--config-dir", "conf", "+experiment=s", "trainer.progress=false", *words]
    return [sys.executable, "-m", "runner", *given]


def until(command: list[str], folder: Path, reached: Callable[[], bool]) -> float:
    """Seconds until a command has reached something, or has ended without it: then infinity."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdout=(folder / "out").open("w"), start_new_session=True
    )
    try:
        while process.poll() is None:
            if reached():
                return time.perf_counter() - begun
            time.sleep(0.1)
        assert process.returncode == 0, command
        return time.perf_counter() - begun if reached() else float("inf")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def accuracies(folder: Path) -> Iterator[float]:
    """Every validation accuracy that the runs of a search have written so far."""
    for path in folder.glob("outputs/s/*/metrics.jsonl"):
        for line in path.read_text().splitlines():
            if line.endswith("}"):
                yield json.loads(line)["val/accuracy"] or 0.0


def printed(folder: Path) -> Iterator[float]:
    """Every validation accuracy that the peer has printed so far."""
    for line in (folder / "out").read_text().splitlines():
        if line.count(" ") == 3:
            yield float(line.split()[-1])


def shown(name: str, seconds: list[float], epochs: list[int]) -> str:
    mean, low, high = mean_interval(seconds)
    return (
        f"{name:22} {sorted(seconds)[len(seconds) // 2]:8.1f} s median, {mean:.1f}"
        f" [{low:.1f}, {high:.1f}] mean; {sorted(epochs)[len(epochs) // 2]} epochs of all runs"
    )


def test_time_to_a_target_against_a_process_for_each_trial(tmp_path: Path) -> None:
    root = ["--root", str(SHARED)] if DATA == "mnist" else []
    data = [f"data={DATA}", *([f"data.root='{SHARED}'"] if root else [])]
    times: dict[str, list[float]] = {}
    epochs: dict[str, list[int]] = {}
    for seed in SEEDS:
        for stop, launcher in STACKED:
            folder = tmp_path / f"{stop}{launcher}{seed}"
            words = [f"search.stop={stop}", f"hydra/launcher={launcher}", f"seed={seed}", *data]
            command = runner(folder, *words)
            name = f"{stop}, {launcher}"
            found = until(
                command, folder, lambda at=folder: max(accuracies(at), default=0) >= TARGET
            )  # type: ignore[misc]
            times.setdefault(name, []).append(found)
            epochs.setdefault(name, []).append(sum(1 for _ in accuracies(folder)))
        for pruner in ("none", "hyperband"):
            folder = tmp_path / f"peer{pruner}{seed}"
            folder.mkdir()
            options = ["--data", DATA, *root, "--pruner", pruner, "--seed", str(seed)]
            options += ["--trials", str(TRIALS), "--epochs", str(EPOCHS)]
            name = f"peer, {pruner}"
            command = [sys.executable, str(PEER), *options]
            found = until(command, folder, lambda at=folder: max(printed(at), default=0) >= TARGET)  # type: ignore[misc]
            times.setdefault(name, []).append(found)
            epochs.setdefault(name, []).append(sum(1 for _ in printed(folder)))
    print()
    for name, seconds in times.items():
        print(shown(name, seconds, epochs[name]))
    median = {name: sorted(seconds)[len(seconds) // 2] for name, seconds in times.items()}
    ours = median["hyperband, stacked"]
    print(f"hyperband, stacked: {median['peer, none'] / ours:.1f} times as fast as the peer's random search,"
          f" {median['peer, hyperband'] / ours:.1f} times as its hyperband")  # fmt: skip


@pytest.mark.parametrize("stop", ["halving", "hyperband"])
def test_dropping_losers_against_training_all_to_the_end(tmp_path: Path, stop: str) -> None:
    ratios, lost = [], []
    for seed in SEEDS:
        seconds, best = {}, {}
        for how in ("none", stop):
            folder = tmp_path / f"{how}{seed}"
            words = [f"search.stop={how}", f"seed={seed}", "batch_size.size=32"]
            command = runner(folder, *words)
            text = (folder / "conf/experiment/s.yaml").read_text()
            kept = [line for line in text.splitlines() if "batch_size.size" not in line]
            (folder / "conf/experiment/s.yaml").write_text("\n".join(kept))
            begun = time.perf_counter()
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            seconds[how] = time.perf_counter() - begun
            record = Record.read(folder / "outputs/s")
            assert record.best is not None
            best[how] = record.value(record.best) or 0.0
        ratios.append(seconds["none"] / seconds[stop])
        lost.append(100 * (best["none"] - best[stop]))
    print(f"\n{stop}: {sorted(ratios)[len(ratios) // 2]:.1f} times as fast as all to the end,"
          f" {mean_interval(lost)[0]:.2f} points from its best")  # fmt: skip
