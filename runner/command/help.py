"""What --help prints: groups and options, and of each setting its value, meaning and range.

Meanings stand in the docstrings of the options, ranges in the types of their fields, values in the YAML
files; here they are only put side by side.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from runner.command.compose import Composer
from runner.config.defaults import CONF
from runner.config.mistakes import nearest, option_of
from runner.config.schema import Config
from runner.errors import ConfigError
from runner.foreign import for_terminal
from runner.options.option import Option, meanings, told
from runner.options.registry import OPTIONS, defaults_of

WIDTH = 79
COLUMN = 32  # where meanings begin


def help_text(composer: Composer, words: Sequence[str], config: Config) -> str:
    """All groups, and all settings with the values that they have in a configuration.

    Args:
        composer: Knows the YAML files.
        words: The overrides.
        config: What they make.
    """
    composed = composer.composed(words)
    choices = composed.hydra.runtime.choices
    lines = [composed.hydra.help.header, "== Groups and their options (group=option) ==", ""]
    for group in groups(composer):
        names = composer.loader.get_group_options(group)
        lines += wrapped(f"{group}: {', '.join(names)}", indent="  ")
    lines += ["", "== Settings (key=value), as they are now ==", ""]
    values = config.model_dump(mode="json")
    plain = [key for key in values if not isinstance(getattr(config, key), Option)]
    lines += settings(Config, {key: values[key] for key in plain}, "")
    for group in (key for key in values if key not in plain and key != "study"):
        option = getattr(config, group)
        lines += ["", *wrapped(f"{group}={choices[group]}: {sentence(option)}", indent="  ")]
        lines += settings(type(option), values[group], f"{group}.")
    return for_terminal("\n".join([*lines, "", composed.hydra.help.footer]))


def group_help(composer: Composer, names: Sequence[str]) -> str:
    """The options of some groups with their settings.

    Raises:
        ConfigError: There is no such group.
    """
    known = groups(composer)
    for name in names:
        if name not in known:
            hint = nearest(name, known) or "."
            raise ConfigError([f"--help {name}: no such group{hint} Known: {', '.join(known)}"])
    blocks = [block for name in names for block in _options(composer, name)]
    return for_terminal("\n\n".join(blocks) + "\n")


def groups(composer: Composer) -> list[str]:
    return sorted(composer.loader.groups - {"hydra/launcher"})


def _options(composer: Composer, group: str) -> Iterator[str]:
    explained = set()
    for name in composer.loader.get_group_options(group):
        text = _text(composer.folders, group, name)
        if group == "experiment":
            yield "\n".join(wrapped(f"{group}={name}: {header(text)}", indent="  "))
            continue
        kind = OPTIONS.get(group, {}).get(name)
        values: Any = yaml.safe_load(text) if text else kind and defaults_of(kind)
        values = values or {}
        values = values.get(group, values)  # a file may choose for other groups, too
        kind = option_of(Config.model_fields[group], values.get("name", "")) or kind
        about = header(text) or (told(kind) if kind else "")
        lines = wrapped(f"{group}={name}: {about}", indent="  ")
        if kind in explained:
            words = [f"{group}.{key}={shown(value)}" for key, value in values.items()]
            lines += wrapped(f"  {' '.join(words)}", indent="  ")
        elif kind:
            explained.add(kind)
            lines += settings(kind, dict.fromkeys(kind.model_fields, ...) | values, f"{group}.")
        yield "\n".join(lines)


def _text(folders: Sequence[Path], group: str, name: str) -> str:
    """The YAML file of an option, if it has one."""
    paths = [folder / group / f"{name}.yaml" for folder in (*folders, CONF)]
    return next((path.read_text(encoding="utf-8") for path in paths if path.is_file()), "")


def header(text: str) -> str:
    """The comment that a YAML file begins with, up to its first empty line."""
    found: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#") or (found and not line.strip("# ")):
            break
        if not line.startswith(("# @package", "# yaml-language-server:")):
            found.append(line.strip("# "))
    return " ".join(found)


def sentence(option: Option) -> str:
    """The first line of an option's docstring."""
    return told(type(option)).split("\n")[0]


def settings(kind: type[Option], values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Of each setting its value, meaning and range; the name of an option is its heading."""
    schema = kind.model_json_schema()
    about = meanings(kind)
    for key, value in values.items():
        if (key == "name" and prefix) or key not in schema["properties"]:
            continue
        word = f"  {prefix}{key}={'' if value is ... else shown(value)}"
        allowed = range_of(schema["properties"][key])
        meaning = about.get(key, "")
        text = f"{meaning} {allowed[:1].upper()}{allowed[1:]}." if allowed else meaning
        if len(word) + 1 >= COLUMN:
            yield word
            word = ""
        yield from wrapped(f"{word:{COLUMN}}{text.strip()}", indent=" " * COLUMN)


def shown(value: Any) -> str:
    """A value as the command line takes it."""
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    plain = {True: "true", False: "false", None: "null"}
    return plain[value] if value is None or isinstance(value, bool) else str(value)


def range_of(schema: Mapping[str, Any]) -> str:
    """What a JSON Schema allows, in words; nothing where it is a structure of its own."""
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        parts = [range_of(part) for part in schema["anyOf"]]
        return " or ".join(parts) if all(parts) else ""
    match schema.get("type"):
        case "null":
            return "null"
        case "boolean":
            return "true or false"
        case "string":
            return "text"
        case "array":
            items, least = schema.get("items", {}), schema.get("minItems", 0)
            kind = {"integer": " integers", "number": " numbers"}.get(items.get("type", ""), "")
            kind = kind or (" items" if least else "")
            size = f" of at least {least}" if least else " of" if kind else ""
            return f"a list{size}{kind}{bounds(items)}" if items else "an empty list"
        case "integer":
            return f"an integer{bounds(schema)}"
        case "number":
            return f"a number{bounds(schema)}"
    return ""


def bounds(schema: Mapping[str, Any]) -> str:
    """The range of a number, as an interval where it has two ends."""
    least, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    most, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if below is not None and below >= 2**62:
        below = None
    low, high = least if above is None else above, most if below is None else below
    if low is not None and high is not None:
        left, right = "[" if above is None else "(", "]" if below is None else ")"
        return f" in {left}{low:g}, {high:g}{right}"
    if low is not None:
        return f" of at least {low:g}" if above is None else f" above {low:g}"
    if high is not None:
        return f" of at most {high:g}" if below is None else f" below {high:g}"
    return ""


def wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
