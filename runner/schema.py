"""The configuration of a run, checked: types, ranges, no unknown keys, no settings that do nothing.

`python -m runner.schema` prints it as a JSON Schema, for editors that complete and check YAML.
"""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from runner.architectures import MLP, NIN, Architecture
from runner.data import Data
from runner.inits import Init
from runner.losses import Loss
from runner.optimizers import Optimizer
from runner.options import Count, NonNegative, Option
from runner.regularizers import Regularizer
from runner.schedules import Schedule
from runner.study import Study


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
        checkpoint_seconds: A checkpoint is written after the first epoch that ends so long after the
            last one, and at the end. 0 writes one after every epoch.
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
        problems = []
        if isinstance(self.architecture, MLP) and not self.architecture.hidden:
            for key in ("dropout", "batch_norm"):
                if getattr(self.regularizer, key):
                    problems.append(
                        f"regularizer.{key} needs hidden layers; architecture.hidden is []"
                    )
        head = self.architecture.head if isinstance(self.architecture, NIN) else None
        if head == "fc_dropout" and not self.regularizer.dropout:
            problems.append("architecture.head=fc_dropout needs regularizer.dropout above 0")
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
        identity = self.model_dump(mode="json", exclude={"name", "resume", "fail_fast", "study"})
        del identity["data"]["root"]
        identity["trainer"] = {key: identity["trainer"][key] for key in ("precision", "tf32")}
        return identity

    @property
    def hash(self) -> str:
        """Eight hexadecimal digits that name this run among all others."""
        text = json.dumps(self.identity(), sort_keys=True)
        return sha256(text.encode()).hexdigest()[:8]


def problems_of(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(dotted key, what is wrong with it) for every mistake in a composed configuration."""
    try:
        Config.model_validate(values)
    except ValidationError as error:
        found: dict[str, list[str]] = {}
        for mistake in error.errors(include_url=False):
            key, message = _explain(mistake, values)
            found.setdefault(key, []).append(message)
        # The alternatives of one value (a number, or "full") come as a mistake each.
        for key, messages in found.items():
            yield key, ", or ".join(dict.fromkeys(messages))


def nearest(word: str, known: list[str]) -> str:
    """ "; did you mean 'x'?" where something close to `word` is known, else nothing."""
    matches = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def _explain(mistake: Any, values: dict[str, Any]) -> tuple[str, str]:
    """The key as the user wrote it, without pydantic's names of union members, and the message."""
    path: list[str] = []
    node: Any = values
    for part in mistake["loc"]:
        in_mapping = isinstance(node, dict) and part in node
        if in_mapping or (isinstance(node, (list, tuple)) and isinstance(part, int)):
            path.append(str(part))
            node = node[part]
    if mistake["type"] == "missing":
        path.append(str(mistake["loc"][-1]))
    key = ".".join(path)
    if mistake["type"] == "extra_forbidden":
        return key, f"unknown key '{path[-1]}'{nearest_key(path, values)}"
    if mistake["type"] == "missing":
        return key, f"the key '{key}' is missing"
    if mistake["type"] == "value_error":
        return key, str(mistake["ctx"]["error"])
    if mistake["type"] == "union_tag_invalid":
        tag, tags = str(mistake["ctx"]["tag"]), mistake["ctx"]["expected_tags"]
        known = [t.strip("' ") for t in tags.split(",")]
        return (
            f"{key}.name",
            f"unknown name '{tag}'{nearest(tag, known) or '.'} Known: {', '.join(known)}",
        )
    if mistake["type"] == "too_short":
        return (
            key,
            f"needs at least {mistake['ctx']['min_length']} items, found {mistake['input']!r}",
        )
    message = (
        mistake["msg"]
        .replace("Input should be", "must be")
        .replace("Input should", "must")
        .replace("a valid integer", "an integer")
        .replace("a valid ", "a ")
    )
    return key, f"{message}, found {mistake['input']!r}"


def nearest_key(path: list[str], values: dict[str, Any]) -> str:
    """The known key closest to a misspelt one: first beside it, then anywhere."""
    known = _known_keys(values)
    *above, word = path
    beside = [key.rsplit(".", 1)[-1] for key in known if key.split(".")[:-1] == above]
    if hint := nearest(word, beside):
        return hint
    leaves = {key.rsplit(".", 1)[-1]: key for key in known}
    matches = get_close_matches(word, list(leaves), n=1, cutoff=0.6)
    return f"; did you mean '{leaves[matches[0]]}'?" if matches else f". Known: {', '.join(beside)}"


def _known_keys(values: dict[str, Any]) -> list[str]:
    """The dotted keys that the schema allows, given the chosen options."""
    keys = []
    for group, field in Config.model_fields.items():
        keys.append(group)
        name = values.get(group, {}).get("name") if isinstance(values.get(group), dict) else None
        for member in _models(field.annotation):
            if len(_models(field.annotation)) == 1 or name in _names(member):
                keys += [f"{group}.{key}" for key in member.model_fields]
    return keys


def _models(annotation: Any) -> list[type[Option]]:
    members = getattr(annotation, "__args__", (annotation,))
    return [m for m in members if isinstance(m, type) and issubclass(m, Option)]


def _names(model: type[Option]) -> tuple[str, ...]:
    field = model.model_fields.get("name")
    return getattr(field.annotation, "__args__", ()) if field else ()


def json_schema() -> dict[str, Any]:
    """The JSON Schema of config.yaml and of experiments, which may leave any key out."""

    def loosened(node: Any) -> Any:
        if isinstance(node, dict):
            # A key called "required" would be a setting; here it is always JSON Schema's list.
            return {k: loosened(v) for k, v in node.items() if k != "required"}
        return [loosened(item) for item in node] if isinstance(node, list) else node

    schema: dict[str, Any] = loosened(Config.model_json_schema())
    schema["properties"]["defaults"] = {"type": "array", "description": "Hydra's defaults list."}
    return schema


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
