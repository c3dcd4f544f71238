"""Experiments as a JSON Schema, for editors that complete and check YAML.

    python -m runner.json_schema > schema.json
    python -m runner.json_schema --config-dir mine --plugin my_options > schema.json

The second knows the user's own YAML files and options, too.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.command import terminal
from runner.command.compose import composing
from runner.command.flags import folders_of
from runner.command.permitted import LAUNCHERS
from runner.command.plugins import plugins
from runner.config.claims import (
    BEST,
    LARGEST,
    LAYER,
    RANGE,
    RESULTS,
    SMALLEST,
    TARGETS,
    learning,
    tested,
)
from runner.config.defaults import default
from runner.config.expectations import REPLICATES
from runner.config.schema import Config
from runner.config.study import RESERVED
from runner.errors import MISTAKES
from runner.options.option import meanings

DRAFT = "https://json-schema.org/draft/2020-12/schema"
NUMBER = r"-?\d+(\.\d*)?([eE][-+]?\d+)?"
GLOBAL_KEYS = ("defaults", "hydra")

Schema = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the schema and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m runner.json_schema", description=__doc__)
    parser.add_argument("--config-dir", action="append", default=[], metavar="FOLDER")
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE")
    flags = parser.parse_args(argv)
    try:
        with plugins(flags.plugin):
            schema = json_schema(folders_of(flags.config_dir))
    except MISTAKES as error:
        terminal.tell_problems(error)
        return 2
    print(json.dumps(schema, indent=2, ensure_ascii=False))
    return 0


def json_schema(folders: Sequence[Path] = ()) -> Schema:
    """The JSON Schema of experiments, which may leave any key out.

    Args:
        folders: The user's own folders of YAML files.
    """
    with composing(folders) as composer:
        groups = sorted(composer.loader.groups - {"hydra/launcher"})
        options = {group: composer.loader.get_group_options(group) for group in groups}
    schema = _optional(Config.model_json_schema())
    properties = schema["properties"]
    for key, meaning in meanings(Config).items():
        properties[key]["description"] = meaning
    keys = _name_keys(schema)
    _patch_study(schema["$defs"], options, keys)
    return {
        "$schema": DRAFT,
        "title": "Experiment",
        "description": "What an experiment of the runner sets; the rest are defaults.",
        **{key: value for key, value in schema.items() if key not in ("title", "description")},
        "properties": {"defaults": _defaults_list(options), **properties, "hydra": _hydra()},
    }


def _optional(node: Any) -> Any:
    """The schema with no key required, except those of a claim: a list is never merged with another."""
    if isinstance(node, list):
        return [_optional(item) for item in node]
    if not isinstance(node, dict):
        return node
    optional = node.get("title") != "Claim"
    return {k: _optional(v) for k, v in node.items() if k != "required" or not optional}


def _name_keys(schema: Schema) -> list[str]:
    """Gives every setting its dotted key as title, and the default of its YAML file; the keys."""
    keys = []
    for group, node in schema["properties"].items():
        node["title"] = group
        keys.append(group)
        if (value := default(group, {})) is not None:
            node["default"] = value
        for option in _members(schema, node):
            name = option["properties"].get("name", {})
            names = [name["const"]] if "const" in name else name.get("enum", [])
            choices = [{group: name} for name in names] or [{}]
            for key, setting in option["properties"].items():
                setting["title"] = dotted = f"{group}.{key}"
                if group == "study":
                    continue
                keys.append(dotted)
                values = [default(dotted, choice) for choice in choices]
                same = all(value == values[0] for value in values)
                if same and (values[0] is not None or "null" in str(setting)):
                    setting["default"] = values[0]
    return list(dict.fromkeys(keys))


def _members(schema: Schema, node: Schema) -> list[Schema]:
    """The options that a group takes."""
    found = []
    for member in node.get("anyOf", [node]):
        name = member.get("$ref", "").rpartition("/")[2]
        found.append(schema["$defs"][name] if name else member)
    return [member for member in found if "properties" in member]


def _defaults_list(options: Mapping[str, list[str]]) -> Schema:
    choices = {
        f"override /{group}": {"enum": names, "title": f"the {group}"}
        for group, names in options.items()
        if group != "experiment"
    }
    inherited = {"enum": ["_self_", *options["experiment"]], "title": "an experiment to inherit"}
    override = {
        "type": "object",
        "properties": choices,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {
        "type": "array",
        "title": "defaults",
        "description": "Which options to choose: `- override /optimizer: adam`; an experiment to inherit.",
        "items": {"anyOf": [override, inherited]},
    }


def _patch_study(
    definitions: dict[str, Schema], options: Mapping[str, list[str]], keys: Sequence[str]
) -> None:
    """Says of the texts of a study what they may be."""
    allowed = [key for key in keys if key.split(".")[0] not in RESERVED]
    settings = _one_of(map(re.escape, allowed))
    chosen = _one_of(
        f"{group}={_one_of(map(re.escape, names))}"
        for group, names in options.items()
        if group not in RESERVED
    )
    values = _one_of(re.escape(key) for key in allowed if key not in options)
    override = rf"^\+?\+?({chosen}|{values}=.*)$|^~{settings}(=.*)?$"
    study, claim = definitions["Study"]["properties"], definitions["Claim"]["properties"]
    (words,) = study["arms"]["patternProperties"].values()
    words["items"]["pattern"] = override
    tuned = {"pattern": f"^{settings}$"}
    for swept in ("tune", "sweep"):
        study[swept]["propertyNames"] = tuned
    definitions["Refine"]["properties"]["ranges"]["propertyNames"] = tuned
    for text in (study["tune_by"], claim["measure"]):
        text["pattern"] = _measure(allowed)
    claim["expect"]["pattern"] = _expectation()


def _measure(keys: Iterable[str]) -> str:
    """A regular expression for the grammar of measures in runner.config.claims.

    Args:
        keys: Settings that a study may sweep.
    """
    key = _one_of(map(re.escape, keys))
    metrics = map(re.escape, (*learning(), "lr", *tested(), *RESULTS))
    metric = _one_of([*metrics, rf"{_one_of(LAYER)}/[1-9]\d*"])
    at = rf"{metric}( ?@ ?(\d+|last))?"
    reached = rf"{_one_of(TARGETS)} ?\( ?{metric} ?[<>]= ?{NUMBER} ?\)"
    quantity = _one_of([at, rf"{RANGE} ?\( ?{at} ?\)", reached])
    where = rf"{_one_of([LARGEST, SMALLEST])} ?\( ?{key} where {quantity} ?[<>]= ?{NUMBER} ?\)"
    best = rf"{BEST} ?\( ?{_one_of([f'{quantity}( by {quantity})?', f'{key} by {quantity}'])} ?\)"
    of_a_run = f"{quantity}(( / | ?- ?){quantity})?"
    return rf"^\s*{_one_of([of_a_run, where, best])}\s*$"


def _expectation() -> str:
    """A regular expression for the grammar of expectations in runner.config.expectations."""
    name = r"[A-Za-z]\w*"
    arm = rf"({NUMBER} ?\* ?)?{_one_of([name, rf'members ?[(] ?{name} ?[)]'])}"
    term = _one_of([arm, NUMBER])
    side = rf"(- ?)?{term}( ?[+-] ?{term})*"
    replicates = rf"{side} {REPLICATES} ?\( ?{NUMBER}( of \d+)? ?\)"
    chain = rf"{side}(\s*[<>~]\s*{side})+"
    return rf"^\s*{_one_of([chain, replicates])}\s*$"


def _one_of(patterns: Iterable[str]) -> str:
    return f"({'|'.join(patterns)})"


def _hydra() -> Schema:
    """What an experiment may set of Hydra's own configuration."""
    launcher: Schema = {}
    for kind in LAUNCHERS.values():
        launcher |= _optional(kind.model_json_schema())["properties"]
    launcher.pop("name")
    inner = {
        "mode": {"enum": ["RUN", "MULTIRUN", None], "title": "MULTIRUN makes it a sweep"},
        "verbose": {"title": "what goes to run.log in full: true, or names of loggers"},
        "launcher": {"type": "object", "properties": launcher, "additionalProperties": False},
    }
    return {"type": "object", "properties": inner, "additionalProperties": False}


if __name__ == "__main__":
    sys.exit(main())
