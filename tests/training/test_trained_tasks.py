"""Each task trained: alone, as a stack and by hand the same; its noise; its files; resumed the same bits."""

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from by_hand import WEIGHTS, assert_close, augmented, configs_of, distance, trained
from conftest import Command
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from runner.config.schema import Config
from runner.data import examples
from runner.data.examples import Dataset, Split, crop_flip, epoch_crops, epoch_order
from runner.interrupts import Interrupted
from runner.options.layers import murmur
from runner.runs.folder import RunFolder
from runner.runs.predictions import read_arrays
from runner.runs.writer import RunRecord
from runner.training import build, facts
from runner.training.cuda_graph import CapturedSteps
from runner.training.module import RunsModule
from runner.training.noise import Noise
from runner.training.run import tensors_of

TINY = ["data.train_size=64", "batch_size.size=16", "trainer.progress=false", "epochs=4"]
NOISY = ["task=reconstruction", "task.noise=gaussian", "task.level=0.3"]
CPU = torch.device("cpu")


def with_values(data: Dataset) -> Dataset:
    """The same images, and a value of each instead of its class: how bright it is, in other units."""
    splits = {
        name: Split(split.images, 1000 + 30 * split.images.float().mean((1, 2, 3)))
        for name, split in (("train", data.train), ("val", data.val), ("test", data.test))
    }
    return replace(data, **splits, class_names=None)


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Digits have values instead of classes."""
    caches = (facts.facts_of, build.on_device)
    load = examples.load
    monkeypatch.setattr(examples, "load", lambda data: with_values(load(data)))
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def noise_of(seed: int, epoch: int | None, numbers: Tensor, shape: tuple[int, ...]) -> Tensor:
    noise = Noise([seed], shape, CPU)
    if epoch is not None:
        noise.start_epoch([epoch])
    return noise.of(numbers[None], fixed=epoch is None)[0]


def by_hand(config: Config) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """A run of plain SGD without a module: its tensors, and the loss and the criterion of each epoch."""
    data, known = examples.load(config.data), facts.facts_of(config.data)
    task, loss = config.task, config.loss
    network = config.architecture.build(data.shape, task.num_outputs(known), config.regularizer)
    build.initialize(network, config)
    size, history = config.batch_size.size, []
    assert isinstance(size, int)

    def given(split: Split, numbers: Tensor, epoch: int | None) -> tuple[Tensor, Tensor]:
        images = split.images[numbers]
        if data.augment and epoch is not None:
            crops = epoch_crops(data, config.seed, epoch)[place]
            images = crop_flip(images, crops)
        noise = noise_of(config.seed, epoch, numbers, data.shape) if task.draws else None
        return task.examples(data.inputs(images), split.targets[numbers], noise, known)

    for epoch in range(config.epochs):
        order = epoch_order(data, config.seed, epoch)
        for start in range(0, len(order) - size + 1, size):
            place = slice(start, start + size)
            inputs, learnt = given(data.train, order[place], epoch)
            network.zero_grad()
            loss(network(inputs), learnt).backward()
            with torch.no_grad():
                for parameter in network.parameters():
                    assert parameter.grad is not None
                    parameter -= config.optimizer.lr * parameter.grad
        with torch.no_grad():
            inputs, learnt = given(data.val, torch.arange(len(data.val)), None)
            outputs = network(inputs)
            val = data.inputs(data.val.images) if data.class_names else data.val.targets
            error = (task.answers(loss, outputs, known) - val).square().mean()
        criterion = error.sqrt() if task.criterion == "rmse" else -10 * error.log10()
        history.append({"loss": loss(outputs, learnt).item(), task.criterion: criterion.item()})
    return tensors_of(network), history


WORDS = {
    "plain": ["task=reconstruction", "loss=mean_squared_error"],
    "gaussian": [*NOISY, "data.standardize=none"],
    "masking": ["task=reconstruction", "task.noise=masking", "task.level=0.4", "loss=quadratic"],
    "convnet": [
        *("task=reconstruction", "task.noise=salt_and_pepper", "task.level=0.2"),
        *("architecture=convnet", "architecture.channels=[4]", "architecture.hidden=[]"),
    ],
    "regression": ["task=regression", "optimizer=sgd"],
}


@pytest.mark.parametrize("name", WORDS)
def test_every_run_is_the_one_by_hand(name: str, request: pytest.FixtureRequest) -> None:
    if name == "regression":
        request.getfixturevalue("values")
    smooth = ["architecture.activation=tanh", "batch_size.size=30"]  # 256 are not a multiple of 30
    rates = ((0, 0.01), (1, 0.005), (2, 0.01))
    own = [[f"seed={seed}", f"optimizer.lr={lr}"] for seed, lr in rates]
    configs = configs_of(*own, common=[*WORDS[name], *smooth])
    if name == "masking":
        configs = [c.model_copy(update={"data": augmented(c)}) for c in configs]
    stacked, broken = trained(configs)
    (alone,), _ = trained(configs[:1])
    assert not any(broken)
    expected = [by_hand(config) for config in configs]
    for (tensors, history), (others, found) in (
        *zip(expected, stacked, strict=True),
        (expected[0], alone),
    ):
        assert distance(tensors, others) < WEIGHTS
        assert_close(history, [{key: m[f"val/{key}"] for key in history[0]} for m in found])


def test_steps_as_a_cuda_graph_takes_them_have_the_same_noise() -> None:
    configs = configs_of(["seed=0"], ["seed=1"], common=NOISY)

    def capture(module: RunsModule) -> None:
        module.captured = CapturedSteps(module, capture=False)

    plain, _ = trained(configs, epochs=2)
    captured, _ = trained(configs, capture, epochs=2)
    for (one, history), (other, other_history) in zip(plain, captured, strict=True):
        assert distance(one, other) == 0
        assert history == other_history


def test_noise_is_a_function_of_seed_epoch_and_example() -> None:
    noise = Noise([3, 4, 3], (1, 5, 7), CPU)
    noise.start_epoch([0, 0, 1])
    numbers = torch.tensor([[0, 1, 99_999_999], [0, 1, 2], [0, 1, 2]])
    drawn = noise.of(numbers)
    assert drawn.shape == (3, 3, 1, 5, 7) and ((drawn > -1) & (drawn < 1)).all()
    assert drawn.unique().numel() > 310  # of 315: neither of runs, epochs nor examples alike
    again = Noise([3], (1, 5, 7), CPU)
    again.start_epoch([1])
    assert torch.equal(again.of(torch.tensor([[2, 0]]))[0], drawn[2, [2, 0]])
    fixed = again.of(numbers[2:], fixed=True)
    again.start_epoch([7])
    assert torch.equal(again.of(numbers[2:], fixed=True), fixed)


def test_noise_is_uniform_and_uncorrelated() -> None:
    noise = Noise([0], (1, 8, 8), CPU)
    drawn = noise.of(torch.arange(20_000)[None])[0].flatten(1).double()
    assert abs(drawn.mean()) < 2e-3 and drawn.var() == pytest.approx(1 / 3, abs=1e-3)
    counts = torch.histc(drawn, 64, -1, 1) / drawn.numel()
    assert counts.tolist() == pytest.approx([1 / 64] * 64, rel=0.05)
    for matrix in (drawn.T, drawn[:64]):  # of places over examples, of examples over places
        among = torch.corrcoef(matrix) - torch.eye(64)
        assert among.abs().max() < 6 / matrix.shape[1] ** 0.5
    assert murmur(torch.arange(1000, dtype=torch.int32)).unique().numel() == 1000


def only_run(root: Path) -> RunFolder:
    (path,) = (p.parent for p in root.glob("outputs/*/*/status.json"))
    return RunFolder(path)


def test_a_denoising_run_leaves_its_files(command: Command, tmp_path: Path) -> None:
    code, out, err = command(*NOISY, *TINY, "select=best", "optimizer=adam", "diagnostics=layers")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["loss", "mse", "psnr"]
    folder = only_run(tmp_path)
    result, epochs = folder.result or {}, folder.metrics()
    assert not [key for key in result if "accuracy" in key or "error" in key]
    psnr = [line["val/psnr"] for line in epochs]
    assert result["best_epoch"] == int(np.argmax(psnr[1:])) + 1
    assert "per_class" not in json.loads((folder.path / "result.json").read_text())
    found = read_arrays(folder.path / "predictions.npz")["reconstructions"]
    assert (found.shape, found.dtype) == ((473, 1, 8, 8), np.float16)
    config = folder.config()
    assert config
    clean = examples.load(config.data)
    error = (torch.tensor(found).float() - clean.inputs(clean.test.images)).square().mean()
    assert result["test/mse"] == pytest.approx(error.item(), rel=1e-3)
    assert result["test/psnr"] == pytest.approx(-10 * np.log10(error.item()), rel=1e-3)
    with Image.open(folder.path / "reconstructions.png") as picture:
        size = picture.size
    curves = EventAccumulator(str(folder.path))
    curves.Reload()
    (shown,) = curves.Images("reconstructions")
    assert (shown.step, shown.width, shown.height) == (4, *size)
    assert [point.step for point in curves.Scalars("val/psnr")] == [0, 1, 2, 3, 4]


def test_a_regression_leaves_its_files(command: Command, tmp_path: Path, values: None) -> None:
    words = ["task=regression", "data.standardize=global", "select=best", "epochs=20"]
    code, out, err = command(*words, "trainer.progress=false")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["loss", "mae", "rmse", "r2"]
    folder = only_run(tmp_path)
    result, arrays = folder.result or {}, read_arrays(folder.path / "predictions.npz")
    error = arrays["predictions"].astype(float) - arrays["targets"]
    assert result["test/rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
    assert result["test/mae"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert result["test/r2"] == pytest.approx(1 - (error**2).mean() / arrays["targets"].var(), 1e-3)
    assert result["test/r2"] > 0.8  # it learns, in units that are far from 1
    rmse = [line["val/rmse"] for line in folder.metrics()[1:]]
    assert result["best_epoch"] == int(np.argmin(rmse)) + 1
    assert (folder.path / "predictions.png").exists()


def test_a_classifier_leaves_scores_of_its_classes(command: Command, tmp_path: Path) -> None:
    command(*TINY, "data.classes=[3,8,5]")
    folder = only_run(tmp_path)
    result, arrays = folder.result or {}, read_arrays(folder.path / "predictions.npz")
    names = ["3", "8", "5"]
    assert arrays["class_names"].tolist() == names == [row["name"] for row in result["per_class"]]
    predicted, labels = arrays["probabilities"].argmax(1), arrays["labels"]
    counts = [[int(((labels == i) & (predicted == j)).sum()) for j in range(3)] for i in range(3)]
    assert result["confusion_matrix"] == counts
    assert result["per_class"][1]["recall"] == pytest.approx(counts[1][1] / sum(counts[1]))
    curves = EventAccumulator(str(folder.path))
    curves.Reload()
    assert {"confusion_matrix", "mistakes"} == {*curves.Tags()["images"]}
    assert "| 8 |" in str(curves.Tensors("per_class/text_summary"))
    assert {path.stem for path in folder.path.glob("*.png")} == {"confusion_matrix", "mistakes"}
    command(*TINY, "data.classes=[3,8,5]", "resume=false", "task=classification")
    assert len([*folder.path.glob("*.png")]) == 2


def state_of(folder: RunFolder) -> dict[str, Any]:
    checkpoint = folder.load_checkpoint("last")
    assert checkpoint and folder.status == "complete"
    result = {k: v for k, v in (folder.result or {}).items() if k.startswith(("val/", "test/"))}
    lines = [{k: v for k, v in line.items() if k != "seconds"} for line in folder.metrics()]
    found = {k: v.numpy().tobytes() for k, v in checkpoint["state_dict"].items()}
    return {"result": result, "metrics": lines, **found}


@pytest.mark.parametrize("how", [[], ["-m", "seed=0,1", "hydra.launcher.width=2"]])
def test_resumed_it_ends_with_the_same_bits(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: list[str]
) -> None:
    words = [*how, *NOISY, *TINY, "trainer.checkpoint_seconds=0", "select=best"]
    assert command(*words, "name=whole").code == 0
    add_checkpoint = RunRecord.add_checkpoint

    def killed(record: RunRecord, state: dict[str, Any], metrics: dict[str, float]) -> None:
        add_checkpoint(record, state, metrics)
        if state["epoch"] == 2 and record.config.seed == len(how[:1]):
            raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr(RunRecord, "add_checkpoint", killed)
    assert command(*words, "name=killed").code == 143
    monkeypatch.setattr(RunRecord, "add_checkpoint", add_checkpoint)
    assert command(*words, "name=killed").code == 0
    ends = [
        [state_of(RunFolder(path)) for path in sorted(tmp_path.glob(f"outputs/{name}/*-*"))]
        for name in ("whole", "killed")
    ]
    assert len(ends[0]) == max(1, len(how) - 1) and ends[0] == ends[1]


def test_a_sweep_is_ranked_by_the_criterion(command: Command) -> None:
    words = ["task=reconstruction", *TINY, "optimizer.lr=0.001,0.1"]
    code, out, err = command("-m", *words)
    assert (code, err) == (0, "")
    table = [line.split() for line in out.splitlines() if line.startswith((" ", "0.", "optimizer"))]
    assert "val/psnr" in table[0] and [row[0] for row in table[1:3]] == ["0.1", "0.001"]


def test_a_finished_run_of_before_there_were_tasks_is_found(
    command: Command, tmp_path: Path
) -> None:
    command(*TINY)
    folder = only_run(tmp_path)
    path = folder.path / "config.yaml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("task:")))
    assert "inished before" in command(*TINY).out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["task=regression"], "data=digits has 10 classes"),
        (["task=reconstruction", "loss=cross_entropy"], "does not fit task=reconstruction"),
        (["task=reconstruction", "task.level=0.2"], "task.level=0.2 does nothing"),
        (["task=reconstruction", "data.standardize=global"], "loss=mean_squared_error"),
        (["loss=mean_squared_error"], "does not fit task=classification"),
        (["task=reconstruction", "task.noise=gausian"], "task.noise=gausian: must be"),
    ],
)
def test_mistakes_are_told_before_any_training(
    command: Command, tmp_path: Path, words: list[str], told: str
) -> None:
    code, _, err = command(*words)
    assert code == 2 and told in err and len(err.splitlines()) <= 6
    assert not list(tmp_path.glob("outputs/*"))
