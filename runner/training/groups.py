"""Which runs form a stack: those with the same shapes, and those that were one when they were interrupted."""

import json
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from runner.config.schema import Config
from runner.runs.folder import RunFolder

Member = TypeVar("Member")
Assignment = tuple[Config, Path]  # a run and its folder

# What the runs of a stack may differ in; of optimizer and schedule, all but the kind.
OWN = ("name", "resume", "study", "search", "seed", "select", "init", "diagnostics")
OWN_REGULARIZER = ("l1", "l2", "dropout", "dropout_input", "max_norm")
OWN_TRAINER = ("checkpoint_seconds", "progress")


@dataclass
class Piece:
    """Runs to train as one.

    Attributes:
        runs: Their places among the assignments.
        workers: How many such stacks are trained side by side, each in a thread of its own.
        how: What to tell of it.
        again: They are a stack that was interrupted.
    """

    runs: list[int]
    workers: int
    how: str
    again: bool = False


def grouped(configs: Sequence[Config]) -> list[tuple[str, list[int]]]:
    """What tells each group of stackable runs from the other groups, and the places of its runs."""
    groups: dict[str, list[int]] = {}
    for number, config in enumerate(configs):
        alone = {} if config.optimizer.elementwise else {"run": number}
        groups.setdefault(json.dumps(shared_settings(config) | alone), []).append(number)
    settings: list[dict[str, Any]] = [json.loads(group) for group in groups]
    varying = [
        key
        for key in dict.fromkeys(key for group in settings for key in group if key != "run")
        if any(group.get(key) != settings[0].get(key) for group in settings)
    ]
    whats = ["".join(f" {k}={group[k]}" for k in varying if k in group) for group in settings]
    return [(what and f" with{what}", n) for what, n in zip(whats, groups.values(), strict=True)]


def shared_settings(config: Config) -> dict[str, Any]:
    """The settings, by dotted key, that all runs of a stack have in common."""
    values = config.model_dump(mode="json", exclude=set(OWN))
    for group in ("optimizer", "schedule"):
        values[group] = {"name": values[group]["name"]}
    # A regularizer of the user's may use all of its settings in a term that is the whole stack's.
    own_regularizer = () if "name" in values["regularizer"] else OWN_REGULARIZER
    for group, own in (("regularizer", own_regularizer), ("trainer", OWN_TRAINER)):
        values[group] = {key: v for key, v in values[group].items() if key not in own}
    shared: dict[str, Any] = {}
    for group, value in values.items():
        keys = {f"{group}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {}
        shared |= keys or {group: value}
    return shared


def former_pieces(assignments: dict[int, Assignment], max_width: int) -> list[Piece]:
    """The stacks among the runs that were interrupted.

    The last bits of a sum depend on how many runs are computed at once. Trained as one again, the runs
    end with the bits that they would have had.
    """
    stacks: dict[tuple[str, int], list[int]] = {}
    for number, (config, path) in assignments.items():
        match RunFolder(path).stack if config.resume else None:
            case {"runs": str(runs), "workers": int(workers)} if workers > 0:
                stacks.setdefault((runs, workers), []).append(number)
    return [
        Piece(members, workers, "", again=True)
        for (_, workers), members in stacks.items()
        if 1 < len(members) <= max_width
    ]


def begun_pieces(
    parts: Iterable[list[int]], assignments: Sequence[Assignment], workers: int
) -> list[Piece]:
    """Those of the planned stacks of which some runs note that they have begun as this very stack.

    Killed while a stack began, a process has left the note with some of its runs only.
    """
    found = []
    for part in parts:
        note = companions(part, assignments, workers)
        folders = (
            RunFolder(path) for config, path in map(assignments.__getitem__, part) if config.resume
        )
        if note and any(folder.stack == note for folder in folders):
            found.append(Piece(part, workers, "", again=True))
    return found


def companions(
    runs: Sequence[int], assignments: Sequence[Assignment], workers: int
) -> dict[str, object] | None:
    """What runs that are trained as one note of each other, to be trained as one again."""
    if len(runs) == 1:
        return None
    names = ",".join(assignments[number][1].name for number in runs)
    return {"runs": sha256(names.encode()).hexdigest()[:8], "workers": workers}


def evenly(members: Sequence[Member], width: int) -> Iterator[list[Member]]:
    """The members in as few pieces of at most `width` as possible, of nearly equal sizes.

    The larger ones come first: without the first piece, the others come out as before.
    """
    for count in range(-(-len(members) // width), 0, -1):
        size = -(-len(members) // count)
        yield list(members[:size])
        members = members[size:]


def counted(runs: Sized) -> str:
    """How many runs these are, in words."""
    return "1 run" if len(runs) == 1 else f"{len(runs)} runs"


def sizes(pieces: Sequence[Sequence[int]], workers: int = 1) -> str:
    """How many runs are trained at a time, in words."""
    if len(pieces) == 1:
        return "all as one" if len(pieces[0]) > 1 else "alone"
    most = max(len(piece) for piece in pieces)
    beside = f", {workers} side by side" if workers > 1 else ""
    return ("one by one" if most == 1 else f"{len(pieces)} stacks of up to {most}") + beside
