"""How fast the runner is, as ratios within one session. Not part of the default run:

    python -m pytest tests/benchmarks/test_speed.py --override-ini addopts= --benchmark-columns=median

Every ratio compares two things measured in turns, because a machine's speed changes by the minute.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from threading import Event

import pytest
import pytorch_lightning as pl
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn

from runner.command.compose import composing
from runner.config.schema import Config
from runner.runs.folder import RunFolder
from runner.runs.writer import RunRecord
from runner.training.build import build_module, build_run, lightning_trainer, on_device
from runner.training.progress import Bar, Bars
from runner.training.recorder import Recorder, RecorderCallback

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_mnist = pytest.mark.skipif(not SHARED.is_dir(), reason="no MNIST beside the repository")
ROUNDS = 5


def config_of(*overrides: str) -> Config:
    with composing() as composer:
        (job,) = composer.jobs(list(overrides), multirun=False)
    return job.config


class Stopwatch(pl.Callback):
    """The time of each epoch's training, everything of Lightning included, without the validation."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self.start = time.perf_counter()

    def on_validation_start(self, *_: object) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def real_epoch(config: Config, folder: Path) -> float:
    """Seconds of one epoch through the real path: the record, the callbacks, the metrics."""
    folder.mkdir(exist_ok=True)
    record, run, stopwatch = RunRecord(config, RunFolder(folder)), build_run(config), Stopwatch()
    with closing(record), Bars() as bars:
        bar = Bar(bars, "", 1, 1, 0, False)
        recorder = RecorderCallback(Recorder({run: record}), bar, Event())
        trainer = lightning_trainer(config, 1, [recorder, stopwatch])
        precision = trainer.precision_plugin.forward_context
        trainer.fit(build_module([config], [run], torch.device("cpu"), precision))
    return stopwatch.seconds[-1]


def written_by_hand(config: Config, network: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    """Seconds of one epoch of the loop that one writes without a framework, on the same tensors."""
    data = on_device(config.data, torch.device("cpu"))
    images, labels = data.train.images, data.train.targets
    start = time.perf_counter()
    for indices in torch.randperm(len(labels)).split(64)[:-1]:
        logits = network(images[indices].flatten(1).float() / 255)
        loss = nn.functional.cross_entropy(logits, labels[indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def plain_mlp(*widths: int, batch_norm: bool) -> nn.Module:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [
            nn.Linear(n_in, n_out),
            *([nn.BatchNorm1d(n_out)] if batch_norm else []),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers[: -2 if batch_norm else -1])


SHAPES = [
    ("784-100-10, SGD", ["optimizer=sgd"], (784, 100, 10), False, torch.optim.SGD),
    (
        "784-64-128-64-10, batch norm, Adam",
        ["optimizer=adam", "regularizer=batch_norm", "architecture.hidden=[64,128,64]"],
        (784, 64, 128, 64, 10),
        True,
        torch.optim.Adam,
    ),
]


@needs_mnist
@pytest.mark.parametrize(
    ("name", "overrides", "widths", "batch_norm", "rule"), SHAPES, ids=[s[0] for s in SHAPES]
)
def test_steps_per_second_over_a_loop_written_by_hand(
    benchmark: BenchmarkFixture,
    tmp_path: Path,
    name: str,
    overrides: list[str],
    widths: tuple[int, ...],
    batch_norm: bool,
    rule: Callable[..., torch.optim.Optimizer],
) -> None:
    common = ["data=mnist", f"data.root='{SHARED}'", "batch_size.size=64", "epochs=1"]
    config = config_of(*common, *overrides, "trainer.progress=false", "resume=false")
    network = plain_mlp(*widths, batch_norm=batch_norm)
    optimizer = rule(network.parameters(), lr=config.optimizer.lr)
    ratios: list[float] = []

    def both() -> None:
        real = real_epoch(config, tmp_path / "run")
        ratios.append(written_by_hand(config, network, optimizer) / real)

    benchmark.pedantic(both, rounds=ROUNDS)
    benchmark.extra_info["ratio"] = ratio = statistics.median(ratios)
    print(f"\n{name}: {ratio:.2f} of the steps per second of a loop written by hand; all: {ratios}")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--cfg", "job"], ["optimizer.lrr=3"]], ids=" ".join
)
def test_answers_without_torch(
    benchmark: BenchmarkFixture, tmp_path: Path, arguments: list[str]
) -> None:
    ratios: list[float] = []

    def seconds(*command: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, check=False)
        return time.perf_counter() - start

    def both() -> None:
        ratios.append(seconds("-m", "runner", *arguments) / seconds("-c", "import torch"))

    benchmark.pedantic(both, rounds=ROUNDS)
    benchmark.extra_info["ratio"] = ratio = statistics.median(ratios)
    print(f"\n{' '.join(arguments)}: {ratio:.2f} of the time of `import torch`")


@pytest.mark.parametrize("launcher", ["basic", "stacked"])
def test_a_further_run_of_a_sweep(
    benchmark: BenchmarkFixture, tmp_path: Path, launcher: str
) -> None:
    """What a run adds to a sweep beyond its training steps and validation: one epoch of two steps."""

    def seconds(runs: int) -> float:
        arguments = [
            "-m",
            f"seed=range({runs})",
            "epochs=1",
            "data.train_size=64",
            f"name=of{runs}",
        ]
        command = [sys.executable, "-m", "runner", *arguments, f"hydra/launcher={launcher}"]
        start = time.perf_counter()
        subprocess.run([*command, "resume=false"], cwd=tmp_path, check=True, capture_output=True)
        return time.perf_counter() - start

    costs: list[float] = []
    benchmark.pedantic(lambda: costs.append((seconds(22) - seconds(2)) / 20), rounds=ROUNDS)
    benchmark.extra_info["seconds"] = cost = statistics.median(costs)
    print(f"\n{launcher}: {cost:.3f} s for a further run")


@needs_mnist
def test_peak_memory_of_an_mnist_run(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runner", "+experiment=adam_bn", "epochs=1", "data=mnist"]

    def run() -> None:
        environment = {**os.environ, "RUNNER_DATA": str(SHARED)}
        subprocess.run([*command, "resume=false"], cwd=tmp_path, env=environment, check=True)

    benchmark.pedantic(run, rounds=1)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    benchmark.extra_info["MiB"] = peak
    print(f"\npeak memory: {peak:.0f} MiB")
