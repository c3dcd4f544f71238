"""What is wrong with a configuration, in the terms of whoever wrote it."""

from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from runner.config.schema import Config
from runner.options.option import Option
from runner.options.registry import ByName, fault_in, names_of


def check(values: dict[str, Any]) -> Config | dict[str, str]:
    """A composed configuration, validated; or what is wrong with it, by dotted key."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        return explained(error, values, Config)
    except Exception as error:
        if fault := fault_in(error):  # of an option of the user's
            return {"": fault}
        raise


def explained(
    error: ValidationError, values: dict[str, Any], model: type[Option]
) -> dict[str, str]:
    """What a model found wrong with values, by dotted key."""
    found: dict[str, list[str]] = {}
    for mistake in error.errors(include_url=False):
        key, message = _explain(mistake, values, model)
        found.setdefault(key, []).append(message)
    # The alternatives of one value (a number, or "full") come as a mistake each.
    return {key: ", or ".join(dict.fromkeys(messages)) for key, messages in found.items()}


def nearest(word: str, known: list[str]) -> str:
    """ "; did you mean 'x'?" where something close to `word` is known, else nothing."""
    matches = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def _explain(mistake: Any, values: dict[str, Any], model: type[Option]) -> tuple[str, str]:
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
    if mistake["type"] == "extra_forbidden" and key in ("plugin", "plugins"):
        return key, f"unknown key '{key}'; a plugin is named on the command line: --plugin"
    if mistake["type"] == "extra_forbidden":
        return key, f"unknown key '{path[-1]}'{nearest_key(path, values, model)}"
    if mistake["type"] == "missing":
        return key, f"the key '{key}' is missing; {key}=... sets it"
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
        .replace("a valid tuple", "a list")
        .replace("a valid ", "a ")
    )
    return key, f"{message}, found {mistake['input']!r}"


def nearest_key(path: list[str], values: dict[str, Any], model: type[Option]) -> str:
    """The known key closest to a misspelt one: first beside it, then anywhere."""
    known = _known_keys(values, model)
    *above, word = path
    beside = [key.rsplit(".", 1)[-1] for key in known if key.split(".")[:-1] == above]
    if hint := nearest(word, beside):
        return hint
    leaves = {key.rsplit(".", 1)[-1]: key for key in known}
    matches = get_close_matches(word, list(leaves), n=1, cutoff=0.6)
    return f"; did you mean '{leaves[matches[0]]}'?" if matches else f". Known: {', '.join(beside)}"


def _known_keys(values: dict[str, Any], model: type[Option]) -> list[str]:
    """The dotted keys that the schema allows, given the chosen options."""
    keys = []
    for group, field in model.model_fields.items():
        keys.append(group)
        given = values.get(group)
        option = option_of(field, given.get("name", "") if isinstance(given, dict) else "")
        keys += [f"{group}.{key}" for key in (option.model_fields if option else ())]
    return keys


def option_of(field: FieldInfo, name: object) -> type[Option] | None:
    """The class of the options that a field takes: the one of that name where it takes several."""
    for marker in field.metadata:
        if isinstance(marker, ByName):
            return marker.members().get(str(name))
    kinds = [k for k in (*get_args(field.annotation), field.annotation) if isinstance(k, type)]
    options = [k for k in kinds if issubclass(k, Option)]
    return next((k for k in options if len(options) == 1 or name in names_of(k)), None)
