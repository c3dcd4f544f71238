"""From configurations to what trains them: data, networks with their initial weights, Lightning's Trainer."""

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn

from runner.config.schema import Config
from runner.data import examples
from runner.errors import ConfigError, summary
from runner.options.architectures import Architecture, Shape
from runner.options.layers import BatchNorm, Dropout, is_dense, layers
from runner.options.registry import SOURCES, fault_in
from runner.options.regularizers import Regularizer
from runner.randomness import derived_seed, generator
from runner.training.facts import facts_of
from runner.training.lightning import LightningEnvironment, pl
from runner.training.module import RunsModule
from runner.training.objective import Penalty
from runner.training.run import Run, tensors_of

# Of Lightning's advice, what does not apply: batches are slices of tensors in memory, and no run is a Slurm task.
warnings.filterwarnings("ignore", module="pytorch_lightning")
warnings.filterwarnings("ignore", message="The `srun` command", module="lightning_fabric")
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)


def prepare(configs: Iterable[Config]) -> None:
    """Loads the data of all runs and checks what only the data and the machine can tell.

    Raises:
        DataError: A data file is missing or damaged.
        ConfigError: The data have not what the task learns, a batch is larger than the training set, or too small to be normalised, a run
            is shorter than what it is to be evaluated after, or there is no GPU to take.
    """
    problems: dict[str, None] = {}
    for config in configs:
        if config.trainer.accelerator == "gpu" and not torch.cuda.is_available():
            problems["trainer=gpu: torch sees no GPU here; trainer=auto or cpu runs on the CPU"] = (
                None
            )
        data = examples.load(config.data)
        with faults_told(config.architecture):
            fitting = fits(config.architecture, config.regularizer, data.shape)
        if not fitting:
            _, height, width = data.shape
            problems[
                f"architecture.name={config.architecture.name}: its pooling leaves nothing of images of"
                f" {height}×{width} (data={config.data.name}); architecture=mlp or convnet takes any size"
            ] = None
            continue
        size, count = batch_size_of(config, data), len(data.train)
        per_epoch = count // size
        steps = config.epochs * per_epoch
        problems |= dict.fromkeys(config.task.misfits(facts_of(config.data), config.loss))
        if size > count:
            problems[
                f"batch_size.size={size}: the training set has {count} examples;"
                " batch_size=full takes them all"
            ] = None
        elif config.evaluate_every and config.evaluate_every > steps:
            problems[
                f"evaluate_every={config.evaluate_every}: the run has {steps} steps,"
                f" {per_epoch} in each of epochs={config.epochs}; at most {steps}, or"
                " evaluate_every=null for the ends of epochs alone"
            ] = None
        elif (
            config.regularizer.batch_norm
            and count % size == 1 % size
            and values_normalized(config.architecture, config.regularizer, data.shape) == 1
        ):
            problems[batch_of_one(size, count)] = None
    if problems:
        raise ConfigError(list(problems))


def batch_of_one(size: int, count: int) -> str:
    """Why batches of this size cannot be normalised, and which could."""
    if count == 1:
        found, remedy = "the training set has 1 example", "data.train_size=2 or more"
    else:
        found = (
            f"{count} examples leave one over for the last batch" if size > 1 else "it holds one"
        )
        other = next(n for n in range(size + 1, count + 1) if count % n != 1)
        remedy = f"batch_size.size={other}"
    return (
        f"regularizer.batch_norm needs more than one example in each batch; batch_size.size={size}:"
        f" {found}; {remedy} or regularizer.batch_norm=false"
    )


@cache
def values_normalized(architecture: Architecture, regularizer: Regularizer, shape: Shape) -> int:
    """The fewest values of one example that a batch normalisation of a network averages over.

    One in a fully connected layer, and the pixels of the map in a convolution.
    """
    found: list[int] = []
    with torch.device("meta"), torch.no_grad():  # shapes alone
        network = architecture.build(shape, 2, regularizer)
        for module in network.modules():
            if isinstance(module, BatchNorm):
                module.register_forward_pre_hook(lambda _, z: found.append(z[0][0, 0].numel()))
        network(torch.zeros(2, *shape))
    return min(found)


@cache
def fits(architecture: Architecture, regularizer: Regularizer, shape: Shape) -> bool:
    """Whether a network can take images of a shape."""
    try:
        with torch.device("meta"), torch.no_grad(), warnings.catch_warnings(action="ignore"):
            network = architecture.build(shape, 2, regularizer).eval()
            if not is_dense(network) or type(architecture) in SOURCES:
                network(torch.zeros(1, *shape))
            return all(parameter.numel() for parameter in network.parameters())
    except RuntimeError:  # what torch says of a map that has become too small
        if type(architecture) in SOURCES:  # or of anything else
            raise
        return False


@contextmanager
def faults_told(architecture: Architecture) -> Iterator[None]:
    """A block in which what goes wrong with an architecture of the user's becomes a ConfigError."""
    try:
        yield
    except Exception as error:
        if type(architecture) not in SOURCES:
            raise
        told = fault_in(error) or f"architecture={architecture.name}: {summary(error)}"
        raise ConfigError([told]) from None


def build_run(config: Config) -> Run:
    """A run before its first step. All of it follows from the seed."""
    data = examples.load(config.data)
    outputs = config.task.num_outputs(facts_of(config.data))
    network = config.architecture.build(data.shape, outputs, config.regularizer)
    initialize(network, config)
    return Run(
        seed=config.seed,
        update_rule=config.optimizer,
        schedule=config.schedule,
        epochs=config.epochs,
        l1=config.regularizer.l1,
        l2=config.regularizer.l2,
        max_norm=config.regularizer.max_norm or 0.0,
        tensors=tensors_of(network),
        saved=list(network.state_dict()),
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


def build_module(
    configs: Sequence[Config],
    runs: Sequence[Run],
    device: torch.device,
    precision: Callable[[], AbstractContextManager[Any]],
) -> RunsModule:
    """The module of runs that can be trained as one, on a device."""
    config = configs[0]
    data = on_device(examples.load(config.data), device)
    return RunsModule(
        runs=runs,
        template=template(configs, data).to(device),
        task=config.task,
        loss=config.loss,
        data=data,
        facts=facts_of(config.data),
        batch_size=batch_size_of(config, data),
        precision=precision,
        penalty=penalty_of(config.regularizer),
        evaluate_every=config.evaluate_every,
    )


def penalty_of(regularizer: Regularizer) -> Penalty | None:
    """The regularizer's further term of the cost, if it has one."""
    has_one = type(regularizer).penalty is not Regularizer.penalty
    return regularizer.penalty if has_one else None  # type: ignore[return-value]


def batch_size_of(config: Config, data: examples.Dataset) -> int:
    """Examples per step."""
    return len(data.train) if config.batch_size.size == "full" else config.batch_size.size


def template(configs: Sequence[Config], data: examples.Dataset) -> nn.Module:
    """A network with every layer that one of the runs has: dropout, wherever one run has it."""
    rates = {
        key: max(getattr(config.regularizer, key) for config in configs)
        for key in ("dropout", "dropout_input")
    }
    regularizer = configs[0].regularizer.model_copy(update=rates)
    outputs = configs[0].task.num_outputs(facts_of(configs[0].data))
    return configs[0].architecture.build(data.shape, outputs, regularizer)


@cache
def on_device(data: examples.Dataset, device: torch.device) -> examples.Dataset:
    """A data set where it is computed with, shared by all runs of this process."""
    return data.to(device)


def lightning_trainer(
    config: Config, epochs: int, callbacks: list[pl.Callback] | None = None
) -> pl.Trainer:
    """The device, its settings and the precision that runs are computed with."""
    settings = config.trainer
    torch.set_float32_matmul_precision("high" if settings.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = settings.tf32  # of convolutions
    # In deterministic mode torch fills all new memory, a twentieth of a small step; nothing here reads it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # Lightning's `deterministic` is this and torch._inductor, for what is compiled: 0.9 times `import torch`.
    torch.set_deterministic_debug_mode("error" if settings.deterministic else "default")
    if settings.deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        os.environ["TORCHINDUCTOR_DETERMINISTIC"] = "1"
    return pl.Trainer(
        max_epochs=epochs,
        # Else it takes a run inside a Slurm job for one of the job's tasks, or warns where there is an srun.
        plugins=[LightningEnvironment()],
        accelerator=settings.accelerator,
        devices=1,
        precision=settings.precision,
        benchmark=False if settings.deterministic else None,  # of cuDNN's algorithms
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        inference_mode=False,
    )
