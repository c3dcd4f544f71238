"""The configuration of a run, checked: types, ranges, no unknown keys, no settings that do nothing."""

import json
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from runner.config.plugins import recorded
from runner.config.search import Search
from runner.config.study import Study
from runner.data import sets as sets  # registers them
from runner.data.fingerprint import fingerprint
from runner.options.architectures import Architecture
from runner.options.data import Data
from runner.options.diagnostics import Diagnostics
from runner.options.inits import Init
from runner.options.losses import Loss
from runner.options.optimizers import UpdateRule
from runner.options.option import Count, NonNegative, Option
from runner.options.registry import ByName, Source, sources_of
from runner.options.registry import option as option
from runner.options.regularizers import Regularizer
from runner.options.schedules import Schedule
from runner.options.task import Task
from runner.options.tasks import Classification

# Settings that decide what a run is called or which runs there are, not its numbers.
UNIDENTIFIED = {"name", "resume", "fail_fast", "study", "search"}


class BatchSize(Option):
    """How many examples go into one step: a number, or full for all of them.

    Attributes:
        size: The number, or full.
    """

    size: Count | Literal["full"]


class Trainer(Option):
    """Where and how a run is computed. Only precision and tf32 are part of a run's identity.

    Attributes:
        accelerator: auto takes the GPU where there is one.
        precision: 32-true, or bf16-mixed: matrix products in bfloat16.
        tf32: Matrix products of a GPU in TensorFloat-32.
        deterministic: Only algorithms that give the same bits every time.
        threads: CPU threads, at most 1024; null takes one for small networks and all for others.
        checkpoint_seconds: A checkpoint is written at the end, and after each epoch that ends at least this
            long after the last one. 0 writes one after every epoch.
        progress: Show the progress bar.
    """

    accelerator: Literal["auto", "cpu", "gpu"]
    precision: Literal["32-true", "bf16-mixed"]
    tf32: bool
    deterministic: bool
    threads: Annotated[int, Field(ge=1, le=1024)] | None
    checkpoint_seconds: NonNegative
    progress: bool


class Config(Option):
    """Everything about one run.

    Attributes:
        name: The folder of the run below outputs/.
        seed: Initial weights, data order, dropout and augmentation follow from it.
        epochs: Passes over the training split.
        evaluate_every: Steps after which a run is measured on the training split so far and on validation, besides
            the end of each epoch; null: there alone.
        select: Which weights are tested: the last, or the best by the task's criterion on validation.
        resume: Go on from an interrupted run and keep a finished one; false trains afresh.
        fail_fast: A sweep or study stops at its first failed run; false carries on with the others.
        study: What is compared, and what is expected of it; null for a single run.
        search: Which hyper-parameters are tried, and how; null for a single run.
        data: Which examples a network sees, and how.
        task: What is learnt, and what is measured of it.
        architecture: The network.
        init: The initial weights.
        optimizer: The update rule.
        schedule: The learning rate in the course of the run.
        regularizer: What keeps a network from fitting its training set too well.
        batch_size: How many examples go into one step.
        loss: The cost of a mini-batch without regularisation.
        diagnostics: What is measured inside the layers.
        trainer: Where and how a run is computed.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.=-]*$", max_length=100)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    epochs: Count
    evaluate_every: Count | None = None  # earlier versions wrote no such key
    select: Literal["last", "best"]
    resume: bool
    fail_fast: bool
    study: Study | None
    search: Search | None = None  # earlier versions wrote no such key
    data: Annotated[Data, ByName("data")]
    task: Annotated[Task, ByName("task")] = Classification(
        name="classification"
    )  # what runs learnt before there were tasks
    architecture: Annotated[Architecture, ByName("architecture")]
    init: Annotated[Init, ByName("init")]
    optimizer: Annotated[UpdateRule, ByName("optimizer")]
    schedule: Annotated[Schedule, ByName("schedule")]
    regularizer: Annotated[Regularizer, ByName("regularizer")]
    batch_size: BatchSize
    loss: Annotated[Loss, ByName("loss")]
    diagnostics: Annotated[Diagnostics, ByName("diagnostics")]
    trainer: Trainer

    @model_validator(mode="after")
    def _no_setting_is_ignored(self) -> "Config":
        problems = list(self.architecture.problems(self.regularizer))
        problems += self.task.problems(self.architecture, self.loss)
        if self.study and self.search:
            problems.append(
                "an experiment has a study or a search: study=null or search=null; study.search"
                " searches in every arm of a study"
            )
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

    def settings(self) -> dict[str, Any]:
        """The settings that decide the numbers of a run: not its name, nor the device, logging and progress."""
        settings = self.model_dump(mode="json", exclude=UNIDENTIFIED)
        if settings["evaluate_every"] is None:  # nor has it a part in the identity of their runs
            del settings["evaluate_every"]
        settings["trainer"] = {key: settings["trainer"][key] for key in ("precision", "tf32")}
        return settings

    def identity(self, data: str | None = None) -> dict[str, Any]:
        """What decides the numbers: the settings, and what the data are instead of where they lie.

        Args:
            data: The fingerprint of the data, where it is known.

        Raises:
            DataError: The data are not where the configuration says.
        """
        identity = self._placeless()
        identity["data"]["fingerprint"] = data or fingerprint(self.data)
        if self.sources:
            identity["sources"] = {group: source.sha256 for group, source in self.sources.items()}
        return identity

    def _placeless(self) -> dict[str, Any]:
        settings = self.settings()
        for place in self.data.places:
            del settings["data"][place]
        return settings

    @property
    def sources(self) -> dict[str, Source]:
        """Where the options come from that are not the runner's own, by group."""
        return sources_of(dict(self))

    def record(self) -> dict[str, Any]:
        """What config.yaml holds: all settings, and where options come from that are not the runner's own."""
        return self.model_dump(mode="json") | recorded(self.sources)

    @property
    def digest(self) -> str:
        """The SHA-256 of the identity: equal for the same run, different for different runs."""
        return _digest(self.identity())

    @property
    def former_digest(self) -> str | None:
        """The digest of versions up to 0.2, which knew neither files nor tasks; None where these can differ."""
        if self.data.name != "digits" or self.task != Classification(name="classification"):
            return None
        identity = self._placeless()
        del identity["task"]
        if identity["data"].pop("split_seed") is not None:
            return None
        return _digest(identity)

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that name this run among all others."""
        return self.digest[:16]


def _digest(identity: dict[str, Any]) -> str:
    return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
