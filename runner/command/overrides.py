"""Hydra's overrides (`key=value`, `++key=value`, `~key`): read, written and applied."""

import re
import sys
from collections.abc import Callable, Iterator
from itertools import islice, product
from math import prod
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from runner.command import hints
from runner.command.interpolations import cut
from runner.command.yaml_files import Source
from runner.config.plugins import KEY, changed, missing, taken_out
from runner.config.study import MOST_RUNS
from runner.config.varying import leaves
from runner.errors import ConfigError, summary
from runner.foreign import for_terminal


def written(override: Override) -> str:
    """An override as it stood on the command line."""
    return override.input_line or ""


def expanded(argument: str) -> list[str]:
    """An argument as overrides: a saved config.yaml stands for all its settings."""
    # A run folder's name has = in it, as an override has.
    if ("=" not in argument or "/" in argument) and _is(argument, Path.is_dir):
        raise ConfigError([f"{cut(argument)}: {hints.on_folder(argument)}"])
    if argument.endswith(".yaml") and ("=" not in argument or _is(argument, Path.is_file)):
        return _saved(Path(argument))
    return [f"+{argument}"] if argument.startswith("experiment=") else [argument]


def is_bare(argument: str) -> bool:
    """Whether an argument is only a word: the name of a group, for --help."""
    return not set("=~/").intersection(argument) and not argument.endswith(".yaml")


def _is(argument: str, what: Callable[[Path], bool]) -> bool:
    try:
        return what(Path(argument))
    except (OSError, ValueError):
        return False


def _saved(path: Path) -> list[str]:
    """The overrides that make the configuration of a run's config.yaml."""
    if path.parent.name == hints.EXPERIMENTS:
        raise ConfigError([f"{cut(str(path))}: {hints.on_experiment(path)}"])
    source = Source(path)
    if source.is_experiment:
        raise ConfigError([f"{source}: {hints.on_experiment(path)}"])
    try:
        values: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except Exception as error:  # whatever OmegaConf finds in it
        raise ConfigError([f"{source}: {summary(error)}"]) from None
    if not isinstance(values, dict):
        raise ConfigError([f"{source}: not a run's config.yaml"])
    try:
        records = taken_out(values)
    except ValueError as error:
        raise ConfigError([f"{source}:{source.line(KEY)}: {error}"]) from None
    if problems := list(missing(values, records)):
        raise ConfigError([f"{source}: {problem}" for problem in problems])
    for change in changed(values, records):
        told = f"{source}: {change}: it is trained as another run"
        print(for_terminal(told), file=sys.stderr)
    odd = [key for key, _ in leaves(values) if not re.fullmatch(r"\w[\w-]*(\.\w[\w-]*)*", key)]
    if odd:
        raise ConfigError([f"{source}: unknown key '{cut(key)}'" for key in odd])
    groups = {str(g): v["name"] for g, v in values.items() if isinstance(v, dict) and "name" in v}
    named = [f"{group}={quoted(name)}" for group, name in groups.items()]
    return named + [f"++{key}={quoted(value)}" for key, value in leaves(values)]


def quoted(value: Any) -> str:
    """A YAML value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, list):
        return "[" + ",".join(quoted(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!s}:{quoted(item)}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def values_of(sweep: Override) -> list[str]:
    """The values of an override that has several.

    Raises:
        ValueError: They cannot be enumerated, or there are none or too many.
    """
    try:
        found = list(islice(sweep.sweep_string_iterator(), MOST_RUNS + 1))
    except (
        AssertionError,
        HydraException,
        ValueError,
        ArithmeticError,
    ):  # glob(*), interval(0,1), ...
        found = []
    if len(found) > MOST_RUNS:
        raise ValueError(f"over {MOST_RUNS:,} values")
    if not found:
        key = sweep.key_or_group
        raise ValueError(
            f"a sweep needs the values themselves: {key}=1,2,3 or, for whole numbers, {key}=range(1,4)"
        )
    return found


def combinations(overrides: list[Override]) -> Iterator[list[str]]:
    """Every combination of the values of those overrides that have several.

    Raises:
        ConfigError: They are too many.
    """
    columns = [
        [f"{o.get_key_element()}={value}" for value in values_of(o)]
        if o.is_sweep_override()
        else [written(o)]
        for o in overrides
    ]
    if (runs := prod(map(len, columns))) > MOST_RUNS:
        raise ConfigError([f"a sweep of {runs:,} runs; {MOST_RUNS:,} are allowed"])
    return map(list, product(*columns))


def apply(config: DictConfig, override: Override) -> None:
    """Sets or deletes one value, as Hydra does with a `++` or `~` override.

    Raises:
        ConfigError: It cannot be set where it is.
    """
    key = override.key_or_group
    try:
        if override.is_delete():
            above, _, last = key.rpartition(".")
            node = OmegaConf.select(config, above) if above else config
            if not isinstance(node, DictConfig) or last not in node:
                raise ConfigError([f"{cut(written(override))}: there is no such key"])
            del node[last]
            return
        value = override.value()
        OmegaConf.update(config, key, value, merge=isinstance(value, dict), force_add=True)
    except ConfigError:
        raise
    except Exception as error:  # whatever OmegaConf has against it
        told = "nested too deep" if isinstance(error, RecursionError) else summary(error)
        raise ConfigError([f"{cut(written(override))}: {told}"]) from None
