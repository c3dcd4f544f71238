"""Hydra's overrides (`key=value`, `++key=value`, `~key`): read, written and applied."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from runner.command.yaml_files import check_harmless
from runner.errors import ConfigError


def written(override: Override) -> str:
    """An override as it stood on the command line."""
    return override.input_line or ""


def expanded(argument: str) -> list[str]:
    """An argument as overrides: a saved config.yaml stands for all its settings."""
    # A run folder's name has = in it, as an override has.
    if argument.endswith(".yaml") and ("=" not in argument or Path(argument).is_file()):
        return _saved(Path(argument))
    return [f"+{argument}"] if argument.startswith("experiment=") else [argument]


def _saved(path: Path) -> list[str]:
    """The overrides that make the configuration of a run's config.yaml."""
    try:
        if path.is_file():
            check_harmless(path)
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError([f"{path}: {str(error).splitlines()[0]}"]) from None
    if not isinstance(values, dict):
        raise ConfigError([f"{path}: not a run's config.yaml"])
    named = [f"{g}={v['name']}" for g, v in values.items() if isinstance(v, dict) and "name" in v]
    return named + [f"++{key}={quoted(value)}" for key, value in leaves(values)]


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested mappings."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def quoted(value: Any) -> str:
    """A YAML value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return "'" + value.replace("'", "\\'") + "'"
    if isinstance(value, list):
        return "[" + ",".join(quoted(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def apply(config: DictConfig, override: Override) -> None:
    """Sets or deletes one value, as Hydra does with a `++` or `~` override."""
    key = override.key_or_group
    if override.is_delete():
        above, _, last = key.rpartition(".")
        node = OmegaConf.select(config, above) if above else config
        if isinstance(node, DictConfig) and last in node:
            del node[last]
        return
    value = override.value()
    OmegaConf.update(config, key, value, merge=isinstance(value, dict), force_add=True)
