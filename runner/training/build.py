"""One run, top to bottom: data, network, fit, test, results."""

import logging
import warnings
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import nn

from runner.config.schema import Config
from runner.data import examples as datasets
from runner.errors import CheckpointError, ConfigError
from runner.interrupts import Interrupted
from runner.options.data import Data
from runner.options.layers import Dropout, layers
from runner.randomness import derived_seed, generator
from runner.runs.folder import RunFolder
from runner.runs.writer import RunRecord
from runner.training.module import Diverged, RunModule
from runner.training.recorder import ProgressBar, Recorder
from runner.training.threads import forward_flops, set_threads

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
        try:
            with closing(RunRecord(config, folder)) as record:
                try:
                    record.start()
                    train(config, record)
                except Interrupted:
                    record.interrupted()
                    raise
        except CheckpointError:
            raise
        except (Exception, SystemExit) as error:
            folder.write_failure(error)
    return folder


def train(config: Config, record: RunRecord) -> None:
    """Builds, fits, tests; what comes of it goes to the record."""
    callbacks: list[pl.Callback] = [Recorder(record, config.diagnostics.layers)]
    if config.trainer.progress:
        callbacks.append(ProgressBar(record.folder.path.name, config.epochs))
    trainer = lightning_trainer(config, config.epochs - record.epoch, callbacks)
    device = trainer.strategy.root_device
    module = build(config, device)
    set_threads(config.trainer.threads, module.batch_size * flops_of(config, module.data))
    parameters = sum(p.numel() for p in module.parameters())
    if record.checkpoint:
        module.resume(record.checkpoint)
    try:
        trainer.fit(module)
    except Diverged as error:
        record.diverged(error.step, parameters, module.batch_size, device)
        return
    record.save()
    if config.select == "best":
        module.network.load_state_dict(record.best["state_dict"])
    trainer.test(module, verbose=False)
    probabilities, labels = (tensor.cpu().numpy() for tensor in module.predictions)
    record.complete(module.metrics, probabilities, labels, parameters, module.batch_size, device)


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


def flops_of(config: Config, data: datasets.Dataset) -> int:
    """Floating-point operations of the forward pass for one example."""
    return forward_flops(config.architecture, data.shape, data.classes, config.regularizer)


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
def on_device(data: Data, device: torch.device) -> datasets.Dataset:
    """A data set where it is computed with, shared by all runs of this process."""
    return datasets.load(data).to(device)


def lightning_trainer(
    config: Config, epochs: int, callbacks: list[pl.Callback] | None = None
) -> pl.Trainer:
    """The device, its settings and the precision that a run is computed with."""
    settings = config.trainer
    torch.set_float32_matmul_precision("high" if settings.tf32 else "highest")
    # In deterministic mode torch fills all new memory, a twentieth of a small step; nothing here reads it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return pl.Trainer(
        max_epochs=epochs,
        accelerator=settings.accelerator,
        devices=1,
        precision=settings.precision,
        deterministic=settings.deterministic,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
