"""The defaults: what the runner's own YAML files set."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from runner.options.registry import OPTIONS, defaults_of

PACKAGE = Path(__file__).parents[1]
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"


@cache
def chosen() -> dict[str, str]:
    """The default option of each group."""
    pairs = [pair for entry in _read(CONF / "config.yaml")["defaults"] for pair in _items(entry)]
    return {group: option for group, option in pairs if " " not in group}


def default(key: str, choices: dict[str, str]) -> object:
    """The default of a dotted key, given the options chosen for the groups; None if there is none."""
    group, _, rest = key.partition(".")
    option = {**chosen(), **choices}.get(group)
    value: Any = option_defaults(group, str(option)) if rest else _read(CONF / "config.yaml")
    for part in (rest or group).split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def option_defaults(group: str, option: str) -> dict[str, Any]:
    """The settings of an option by its YAML file, else by its class."""
    if values := _read(CONF / group / f"{option}.yaml"):
        of_group: dict[str, Any] = values.get(group, values)  # a file that chooses a loss, too
        return of_group
    kind = OPTIONS.get(group, {}).get(option)
    return defaults_of(kind) if kind else {}


@cache
def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _items(entry: object) -> list[tuple[str, str]]:
    return [(str(k), str(v)) for k, v in entry.items()] if isinstance(entry, dict) else []
