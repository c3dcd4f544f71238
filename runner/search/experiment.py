"""The best trial as something to run again: a command, and an experiment of its own."""

import shlex
from pathlib import Path
from typing import Any

import yaml

from runner.config.defaults import chosen, default
from runner.config.schema import UNIDENTIFIED, Config
from runner.config.varying import leaves
from runner.runs.files import write_atomically
from runner.search.record import Record
from runner.search.space import Draw, words_of

NAME = "best"


def command_of(record: Record, draw: Draw) -> str:
    """Trains a draw as one run."""
    return f"{record.command} {shlex.join(['search=null', *words_of(draw)])}"


def command_of_experiment(folder: Path) -> str:
    return f"python -m runner {shlex.join(['--config-dir', str(folder)])} +experiment={NAME}"


def write_experiment(record: Record, folder: Path, draw: Draw, config: Config) -> Path:
    """Writes the experiment of a draw below a search's folder.

    Args:
        record: The search.
        folder: Its folder.
        draw: The trial's values.
        config: The configuration of one of its runs.
    """
    path = folder / "experiment" / f"{NAME}.yaml"
    path.parent.mkdir(exist_ok=True)
    options = {group: str(draw.get(group, option)) for group, option in record.given.items()}
    write_atomically(path, experiment(config, options).encode())
    return path


def experiment(config: Config, options: dict[str, str]) -> str:
    """A run as an experiment file: only what differs from the defaults.

    Args:
        config: Its configuration.
        options: The option of each group.
    """
    choices = [
        {f"override /{group}": options[group]}
        for group, option in chosen().items()
        if options.get(group, option) != option
    ]
    values = config.model_dump(mode="json", exclude=UNIDENTIFIED)
    differing: dict[str, Any] = {"name": config.name}
    for key, value in leaves(values):
        if value != default(key, options):
            node = differing
            *above, last = key.split(".")
            for part in above:
                node = node.setdefault(part, {})
            node[last] = value
    text = "# @package _global_\n# The best trial of a search.\n"
    parts: list[dict[str, Any]] = [{"defaults": choices}] if choices else []
    for values in [*parts, differing]:
        text += yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return text
