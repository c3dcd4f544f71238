"""One run, top to bottom: data, network, fit, test, results."""

import logging
import platform
import subprocess
import traceback
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torchmetrics
from torch import nn

from runner import data as datasets
from runner.interrupts import Interrupted
from runner.layers import Dropout, layers
from runner.module import Diverged, RunModule
from runner.progress import ProgressBar
from runner.randomness import derived_seed, generator
from runner.recorder import Recorder, finite_or_none
from runner.results import RunFolder
from runner.schema import Config, ConfigError
from runner.tensorboard import Curves

# Of Lightning's advice, what does not apply: batches are slices of tensors in memory.
warnings.filterwarnings("ignore", module="pytorch_lightning")
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)


def prepare(configs: Iterable[Config]) -> None:
    """Loads the data of all runs and checks what only the data and the machine can tell.

    Raises:
        DataError: A data file is missing or damaged.
        ConfigError: A batch is larger than the training set, or there is no GPU to take.
    """
    problems = {}
    for config in configs:
        if config.trainer.accelerator == "gpu" and not torch.cuda.is_available():
            problems["trainer=gpu: torch sees no GPU here; trainer=auto or cpu runs on the CPU"] = 0
        size, examples = config.batch_size.size, len(datasets.load(config.data).train)
        if size != "full" and size > examples:
            problems[
                f"batch_size.size={size}: the training set has {examples} examples;"
                " batch_size=full takes them all"
            ] = 0
    if problems:
        raise ConfigError(list(problems))


def run(config: Config, path: Path) -> RunFolder:
    """Trains and tests one run in its folder; goes on where an earlier process was interrupted.

    A run that diverges or fails says so in its status; only an interruption is passed on.

    Raises:
        LockedError: Another process is training this run.
        CheckpointError: All of its checkpoints are damaged.
        Interrupted: SIGINT or SIGTERM; what was trained so far is in the folder.
    """
    folder = RunFolder(path)
    with folder.lock():
        checkpoint = folder.load_checkpoint("last") if config.resume else None
        if checkpoint is None:
            folder.clear()
        folder.write_status("running", epoch=checkpoint["epoch"] if checkpoint else 0)
        folder.write_config(config.model_dump(mode="json"))
        try:
            train(config, folder, checkpoint)
            folder.write_status("complete")
        except Diverged as error:
            folder.write_result(summary(config, folder, status="diverged"))
            folder.write_status("diverged", step=error.step, reason=str(error))
        except Interrupted:
            folder.write_status("interrupted")
            raise
        except Exception as error:
            (path / "error.txt").write_text(traceback.format_exc())
            reason = (str(error).splitlines() or [""])[0]
            folder.write_status("failed", reason=f"{type(error).__name__}: {reason}")
    return folder


def train(config: Config, folder: RunFolder, checkpoint: dict[str, Any] | None) -> None:
    """Builds, fits, tests and writes the results."""
    first_epoch = checkpoint["epoch"] if checkpoint else 0
    curves = Curves(folder.path, config.model_dump(mode="json"), first_epoch + bool(checkpoint))
    recorder = Recorder(
        folder, curves, checkpoint, config.trainer.checkpoint_seconds, config.diagnostics.layers
    )
    folder.keep_metrics(first_epoch if checkpoint else -1)
    trainer = lightning_trainer(config, folder, recorder, epochs=config.epochs - first_epoch)
    module = build(config, trainer.strategy.root_device)
    if checkpoint:
        module.resume(checkpoint)
    try:
        trainer.fit(module)
        recorder.save()
        if config.select == "best":
            module.network.load_state_dict(recorder.best["state_dict"])
        trainer.test(module, verbose=False)
        test = {
            name: finite_or_none(value.item()) for name, value in trainer.callback_metrics.items()
        }
        probabilities, labels = (tensor.cpu().numpy() for tensor in module.predictions)
        folder.write_predictions(probabilities, labels)
        result = (
            summary(config, folder, status="complete", module=module, best=recorder.best) | test
        )
        curves.add_result(config.epochs, test)
        folder.write_result(result)
    except Interrupted:
        recorder.save()
        raise
    finally:
        curves.close()


def build(config: Config, device: torch.device) -> RunModule:
    """The network with its initial weights and everything that trains it. All by the seed."""
    data = on_device(config.data, device)
    network = config.architecture.build(data.shape, data.classes, config.regularizer)
    initialize(network, config)
    return RunModule(
        network=network,
        loss=config.loss,
        optimizer=config.optimizer,
        schedule=config.schedule,
        data=data,
        batch_size=len(data.train) if config.batch_size.size == "full" else config.batch_size.size,
        seed=config.seed,
        epochs=config.epochs,
        l1=config.regularizer.l1,
        l2=config.regularizer.l2,
        max_norm=config.regularizer.max_norm,
    )


@torch.no_grad()
def initialize(network: nn.Module, config: Config) -> None:
    """Draws the initial weights and gives each dropout layer its key."""
    random = generator(config.seed, "init")
    for layer in layers(network):
        config.init.draw(layer.linear.weight, random)
        if layer.linear.bias is not None:
            if config.init.bias == "normal":
                layer.linear.bias.normal_(generator=random)
            else:
                layer.linear.bias.zero_()
    dropouts = (module for module in network.modules() if isinstance(module, Dropout))
    for number, dropout in enumerate(dropouts):
        dropout.key.fill_(derived_seed(config.seed, "dropout", number) % 2**31)


@cache
def on_device(data: datasets.Data, device: torch.device) -> datasets.Dataset:
    """A data set where it is computed with, shared by all runs of this process."""
    return datasets.load(data).to(device)


def lightning_trainer(
    config: Config, folder: RunFolder, recorder: Recorder, epochs: int
) -> pl.Trainer:
    settings = config.trainer
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.set_float32_matmul_precision("high" if settings.tf32 else "highest")
    bar = [ProgressBar(folder.path.name, config.epochs)] if settings.progress else []
    return pl.Trainer(
        max_epochs=epochs,
        accelerator=settings.accelerator,
        devices=1,
        precision=settings.precision,
        deterministic=settings.deterministic,
        callbacks=[recorder, *bar],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        # Our own files are atomic; Lightning would write its own below the working directory.
        default_root_dir=folder.path,
    )


def summary(
    config: Config,
    folder: RunFolder,
    status: str,
    module: RunModule | None = None,
    best: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """result.json: what the run was, how long it took, and its last metrics."""
    epochs = folder.metrics()
    last = epochs[-1] if epochs else {}
    steps, seconds = last.get("step", 0), last.get("seconds", 0.0)
    batch_size = module.batch_size if module else config.batch_size.size
    rate = steps / seconds if seconds else None
    tested = {"test/loss": None, "test/accuracy": None, "test/error": None}
    metrics = {k: v for k, v in last.items() if k not in ("epoch", "step", "seconds")}
    if status == "diverged":
        metrics = dict.fromkeys(metrics)
    return {
        "name": config.name,
        "run": folder.path.name,
        "status": status,
        "seed": config.seed,
        "epochs": last.get("epoch", 0),
        "steps": steps,
        "best_epoch": best["epoch"] if best else None,
        "parameters": sum(p.numel() for p in module.network.parameters()) if module else None,
        "device": device_name(module.trainer.strategy.root_device) if module else None,
        "precision": config.trainer.precision,
        "threads": torch.get_num_threads(),
        "train_seconds": seconds,
        "samples_per_second": rate * batch_size if rate and isinstance(batch_size, int) else None,
        "updates_per_second": rate,
        "config_hash": config.hash,
        "git_commit": git_commit(),
        "versions": versions(),
        **metrics,
        **tested,
    }


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@cache
def git_commit() -> str | None:
    """The commit of the runner's own checkout, with + where files differ from it; None elsewhere."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        return found.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def versions() -> dict[str, str]:
    from runner import __version__

    return {
        "runner": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pytorch_lightning": pl.__version__,
        "torchmetrics": torchmetrics.__version__,
    }
