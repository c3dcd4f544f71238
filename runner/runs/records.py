"""What the files of a run folder may hold. Everything that is read back is checked against these models.

A file may be cut short, damaged or written by somebody else. The error then names the file and what is
wrong in one line, and none of its numbers are used.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner.config.plugins import Recorded, missing, taken_out
from runner.config.schema import Config
from runner.errors import DataError, one_line
from runner.options.option import NonNegative
from runner.runs.files import read_file

MAX_MESSAGE = 300  # characters
MAX_BYTES = 1_000_000  # of status.json, result.json and config.yaml
MAX_METRICS_BYTES = 1_000_000_000
MAX_DEPTH = 20  # levels in config.yaml; a study needs five

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

Number = Annotated[int, Field(ge=0, lt=2**63)]
Model = TypeVar("Model", bound=BaseModel)


class Record(BaseModel):
    """No type conversions, no NaN, no infinity."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class Measured(Record, extra="allow"):
    """Metrics by name in addition to the fields; null stands for a number that was not finite."""

    __pydantic_extra__: dict[str, float | None] = Field(init=False)


class Status(Record):
    """status.json.

    Attributes:
        status: What became of the run.
        pid: The process that wrote it.
        epoch: Epochs that were finished when it was written.
        step: The update at which the run diverged.
        reason: Why the run did not complete.
        stack: The runs that it was trained with when it was interrupted, and the number of workers.
        sha256: The sums of the files with the numbers, once the run has ended.
    """

    status: Literal["running", "complete", "diverged", "failed", "interrupted", "pruned"]
    pid: Number | None = None
    epoch: Number | None = None
    step: Number | None = None
    reason: str = ""
    stack: dict[str, Any] | None = None
    sha256: dict[str, str] = {}


class Epoch(Measured):
    """A line of metrics.jsonl.

    Attributes:
        epoch: Finished epochs; with a fraction where it was measured inside one.
        step: Finished updates.
        seconds: Spent in training steps.
    """

    epoch: Number | NonNegative
    step: Number
    seconds: NonNegative


class ClassScores(Record):
    """How well a class is recognised; null where nothing is there to be divided by."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: Number


class Result(Measured):
    """result.json; the metrics of a run that diverged are null.

    Attributes:
        per_class: Of a classifier, class by class, in the order of confusion_matrix.
        confusion_matrix: A row for each class, a column for what its examples were taken for. Null, as
            is per_class, where there are more than a hundred classes.
        data: The name and the fingerprint of the data; versions up to 0.2 did not write it.
    """

    name: str
    run: str
    status: str
    seed: Number
    epochs: Number
    steps: Number
    best_epoch: Number | None
    parameters: Number
    device: str
    precision: str
    threads: Number
    train_seconds: NonNegative | None
    samples_per_second: NonNegative | None
    updates_per_second: NonNegative | None
    config_hash: str
    data: dict[str, str] | None = None
    git_commit: str | None
    versions: dict[str, str]
    per_class: list[ClassScores] | None = None
    confusion_matrix: list[list[Number]] | None = None
    plugins: dict[str, Recorded] = Field(default_factory=dict)


class Checkpoint(Record):
    """The parts of last.ckpt and previous.ckpt that a run folder needs to know."""

    epoch: Number
    seconds: NonNegative
    state_dict: dict[str, Any]
    optimizer_states: list[Any]
    best: dict[str, Any]


def parsed(model: type[Model], data: bytes, place: object) -> Model:
    """JSON as a model.

    Raises:
        DataError: In one line, the place and what is wrong there.
    """
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise DataError(f"{place}: {first_mistake(error)}") from None


def read_config(path: Path) -> Config | None:
    """A run's config.yaml, or None if there is none.

    Raises:
        DataError: The runner did not write it: it always has the settings of a run, each key once, and no
            aliases.
    """
    data = read_file(path, MAX_BYTES)
    if data is None:
        return None
    try:
        _check_flat(data)
        loader = LOADER(data)
        node = loader.get_single_node()
        _check_keys(node)
        values = loader.construct_document(node)
        records = taken_out(values) if isinstance(values, dict) else {}
        if problem := next(missing(values, records), None):
            raise ValueError(problem)
        return Config.model_validate(values)
    except ValidationError as error:
        raise DataError(f"{path}: {first_mistake(error)}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataError(f"{path}:{line}: {error.problem}") from None
    except Exception as error:  # PyYAML raises many kinds for a damaged file
        raise DataError(f"{path}: {one_line(error)}") from None


def _check_flat(data: bytes) -> None:
    """Raises ValueError for aliases and deep nesting, before anything is built from them."""
    depth = 0
    for event in yaml.parse(data, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("an alias; this file never has any")
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")


def _check_keys(node: yaml.Node | None) -> None:
    """Raises ValueError for a key that occurs twice."""
    if isinstance(node, yaml.MappingNode):
        keys = Counter(str(key.value) for key, _ in node.value)
        for key, count in keys.most_common(1):
            if count > 1:
                raise ValueError(f"the key '{key}' occurs twice")
        for _, value in node.value:
            _check_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item)


def first_mistake(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, with its place, in a line."""
    mistake = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, mistake["loc"]))
    message = mistake["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return " ".join(f"{place}: {message}".removeprefix(": ").split())[:MAX_MESSAGE]
