"""The configuration of a run, checked: types, ranges, no unknown keys, no settings that do nothing."""

import json
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from runner.config.search import Search
from runner.config.study import Study
from runner.options.architectures import Architecture
from runner.options.data import Data
from runner.options.inits import Init
from runner.options.losses import Loss
from runner.options.optimizers import Optimizer
from runner.options.option import Count, NonNegative, Option
from runner.options.regularizers import Regularizer
from runner.options.schedules import Schedule

# Settings that decide what a run is called or which runs there are, not its numbers.
UNIDENTIFIED = {"name", "resume", "fail_fast", "study", "search"}


class BatchSize(Option):
    """How many examples go into one step: a number, or full for all of them."""

    size: Count | Literal["full"]


class Diagnostics(Option):
    """Statistics and histograms of every layer after each epoch."""

    layers: bool


class Trainer(Option):
    """Where and how a run is computed. Only precision and tf32 are part of a run's identity.

    Attributes:
        accelerator: auto takes the GPU where there is one.
        precision: 32-true, or bf16-mixed: matrix products in bfloat16.
        tf32: Matrix products of a GPU in TensorFloat-32.
        deterministic: Only algorithms that give the same bits every time.
        threads: CPU threads; null takes one for small networks and all for others.
        checkpoint_seconds: A checkpoint is written at the end, and after each epoch that ends at least this
            long after the last one. 0 writes one after every epoch.
        progress: Show the progress bar.
    """

    accelerator: Literal["auto", "cpu", "gpu"]
    precision: Literal["32-true", "bf16-mixed"]
    tf32: bool
    deterministic: bool
    threads: Count | None
    checkpoint_seconds: NonNegative
    progress: bool


class Config(Option):
    """Everything about one run.

    Attributes:
        name: The folder of the run below outputs/.
        seed: Initial weights, data order, dropout and augmentation follow from it.
        epochs: Passes over the training split.
        select: Which weights are tested: the last, or the best by validation accuracy.
        resume: Go on from an interrupted run and keep a finished one; false trains afresh.
        fail_fast: A sweep or study stops at its first failed run; false carries on with the others.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.=-]*$", max_length=100)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    epochs: Count
    select: Literal["last", "best"]
    resume: bool
    fail_fast: bool
    study: Study | None
    search: Search | None = None  # earlier versions wrote no such key
    data: Data
    architecture: Architecture
    init: Init
    optimizer: Optimizer
    schedule: Schedule
    regularizer: Regularizer
    batch_size: BatchSize
    loss: Loss
    diagnostics: Diagnostics
    trainer: Trainer

    @model_validator(mode="after")
    def _no_setting_is_ignored(self) -> "Config":
        problems = list(self.architecture.problems(self.regularizer))
        if self.study and self.search:
            problems.append("an experiment has a study or a search: study=null or search=null")
        if self.regularizer.batch_norm:
            if self.batch_size.size == 1 and self.architecture.hidden:
                problems.append(
                    "regularizer.batch_norm needs more than one example in each batch;"
                    " batch_size.size=1 (online); batch_size.size=2 or more, or"
                    " regularizer.batch_norm=false"
                )
            if self.init.bias == "normal":
                problems.append(
                    "init.bias=normal: with regularizer.batch_norm hidden layers have no bias, but β,"
                    " which begins as 0; init.bias=zeros"
                )
        if self.schedule.warmup_epochs > self.epochs:
            problems.append(
                f"schedule.warmup_epochs={self.schedule.warmup_epochs:g} is longer than"
                f" epochs={self.epochs}"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def identity(self) -> dict[str, Any]:
        """What decides the numbers of a run: not its name, nor the device, logging and progress."""
        identity = self.model_dump(mode="json", exclude=UNIDENTIFIED)
        del identity["data"]["root"]
        identity["trainer"] = {key: identity["trainer"][key] for key in ("precision", "tf32")}
        return identity

    @property
    def digest(self) -> str:
        """The SHA-256 of the identity: equal for the same run, different for different runs."""
        text = json.dumps(self.identity(), sort_keys=True)
        return sha256(text.encode()).hexdigest()

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that name this run among all others."""
        return self.digest[:16]
