"""What is wrong with a configuration, in the terms of whoever wrote it."""

import re
from contextlib import suppress
from difflib import get_close_matches
from typing import Annotated, Any, get_args

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from runner.config.defaults import chosen
from runner.config.schema import Config
from runner.options.option import Option
from runner.options.registry import ByName, fault_in, names_of

MISSING = "is missing"
STRICT = ConfigDict(strict=True, allow_inf_nan=False)
# What people coming from other programs call keys and options.
KEYS = {
    **dict.fromkeys(("learning_rate", "eta", "step_size"), "optimizer.lr"),
    **dict.fromkeys(("weight_decay", "lambda", "lmbda", "wd", "l2_penalty"), "regularizer.l2"),
    **dict.fromkeys(("drop", "dropout_rate", "p"), "regularizer.dropout"),
    **dict.fromkeys(("bs", "batch", "batchsize", "batch_size"), "batch_size.size"),
    **dict.fromkeys(("layers", "units", "hidden_sizes", "widths"), "architecture.hidden"),
    **dict.fromkeys(("num_epochs", "max_epochs", "n_epochs", "epoch"), "epochs"),
    **dict.fromkeys(("eval_every", "eval_steps", "val_check_interval"), "evaluate_every"),
    **dict.fromkeys(("model", "network", "net", "arch"), "architecture"),
    **dict.fromkeys(("device", "accelerator", "gpu", "gpus"), "trainer"),
    **dict.fromkeys(("scheduler", "lr_scheduler", "lr_schedule"), "schedule"),
    **dict.fromkeys(("initialization", "initialisation", "initializer"), "init"),
    "dataset": "data",
    "criterion": "loss",
    "optim": "optimizer",
    "random_seed": "seed",
}
OPTIONS = {
    **dict.fromkeys(("mse", "squared_error", "l2_loss"), "mean_squared_error"),
    **dict.fromkeys(("ce", "nll", "softmax", "log_loss"), "cross_entropy"),
    **dict.fromkeys(("bce", "binary_cross_entropy"), "sigmoid_cross_entropy"),
    **dict.fromkeys(("he", "kaiming"), "he_normal"),
    **dict.fromkeys(("xavier", "glorot"), "glorot_normal"),
    **dict.fromkeys(("cnn", "conv"), "convnet"),
    **dict.fromkeys(("bn", "batchnorm"), "batch_norm"),
    **dict.fromkeys(("cuda", "mps"), "gpu"),
}


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
        if mistake["type"] == "too_short" and _is_long_enough(mistake):
            continue
        key, message = _explain(mistake, values, model)
        found.setdefault(key, []).append(message)
    return {key: _joined(list(dict.fromkeys(messages))) for key, messages in found.items()}


def _is_long_enough(mistake: Any) -> bool:
    """Whether a list lacks only those of its items that are wrong, each of which is told."""
    given = mistake["input"]
    return isinstance(given, (list, tuple)) and len(given) >= mistake["ctx"]["min_length"]


def _joined(messages: list[str]) -> str:
    """The alternatives of one value (a number, or "full"), which come as a mistake each, in one sentence."""
    parts = [part for m in messages if (part := re.fullmatch(r"must be (.*?)(, found .*)", m))]
    if len(messages) == 1 or len(parts) < len(messages) or len({part[2] for part in parts}) > 1:
        return ", or ".join(messages)
    *first, last = [part[1] for part in parts]
    return f"must be {', '.join(first)} or {last}{parts[0][2]}"


def nearest(word: str, known: list[str]) -> str:
    """ "; did you mean 'x'?" where something close to `word` is known, else nothing."""
    folded = {name.lower(): name for name in known}
    meant = word.lower()
    meant = meant if meant in folded else OPTIONS.get(meant, meant)
    matches = get_close_matches(meant, list(folded), n=1, cutoff=0.5)
    matches += [name for name in folded if meant and name.startswith(meant)]
    return f"; did you mean '{folded[matches[0]]}'?" if matches else ""


def settings_that_take(group: str, text: str) -> list[str]:
    """The keys of a group's default option, three at most, that could have this value; none for a word."""
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return []
    if isinstance(value, str) or value is None or group not in chosen():
        return []
    found = []
    default = option_of(Config.model_fields[group], chosen()[group])
    for key, field in (default.model_fields if default else {}).items():
        annotation = Annotated[field.annotation, field]  # type: ignore[name-defined]
        checked: TypeAdapter[Any] = TypeAdapter(annotation, config=STRICT)
        with suppress(ValidationError):
            checked.validate_python(value)
            found.append(f"{group}.{key}")
    return found[:3]


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
        if "=" in path[-1]:
            return key, "a YAML file has key: value, not key=value"
        if "." in path[-1]:
            above, _, last = path[-1].rpartition(".")
            return key, f"keys do not take dots here; {above}: {{{last}: {node}}}"
        return key, f"unknown key '{path[-1]}'{nearest_key(path, values, model)}"
    if mistake["type"] == "missing" and path[0] == "study" and "question" not in values["study"]:
        first = next(iter(values["study"]), None)
        told = "there is no study here to change; seeds of a sweep are -m seed=0,1,2"
        return ".".join(filter(None, ("study", first))), told
    if mistake["type"] == "missing":
        option = above.get("name") if isinstance(above := _at(values, path[:-1]), dict) else None
        hint = (
            f"; `- override /{path[0]}: {option}` in the defaults list gives it a value"
            if option
            else f"; {key}=... sets it"
        )
        return key, f"the key '{key}' {MISSING}{hint}"
    if hint := _shape(path, node):
        return key, hint
    if mistake["type"] == "value_error":
        return key, str(mistake["ctx"]["error"])
    if mistake["type"] == "union_tag_invalid":
        tag, tags = str(mistake["ctx"]["tag"]), mistake["ctx"]["expected_tags"]
        known = [t.strip("' ") for t in tags.split(",")]
        return (
            f"{key}.name",
            f"unknown name '{tag}'{nearest(tag, known) or '.'} Known: {', '.join(known)}",
        )
    if mistake["type"] == "model_type":
        return key, f"holds keys of its own, {key}.<key>=..., found {mistake['input']!r}"
    if mistake["type"] == "too_short":
        return (
            key,
            f"needs at least {mistake['ctx']['min_length']} items, found {mistake['input']!r}",
        )
    if mistake["type"] == "too_long":
        most = mistake["ctx"]["max_length"]
        takes = f"takes at most {most} items" if most else "must be empty, []"
        return key, f"{takes}, found {mistake['input']!r}"
    if mistake["type"] == "string_pattern_mismatch" and key == "name":
        return key, f"letters, digits and _ . = - make a name, found {mistake['input']!r}"
    hint = ""
    if mistake["type"] == "tuple_type" and isinstance(mistake["input"], (int, float)):
        hint = f"; a list is written [{mistake['input']}]"
    if mistake["type"] == "literal_error" and isinstance(mistake["input"], str):
        hint = nearest(mistake["input"], re.findall(r"'([^']*)'", mistake["ctx"]["expected"]))
    message = (
        mistake["msg"]
        .replace("Input should be", "must be")
        .replace("Input should", "must")
        .replace("a valid integer", "an integer")
        .replace("a valid tuple", "a list")
        .replace("a valid ", "a ")
    )
    return key, f"{message}, found {mistake['input']!r}{hint}"


def _shape(path: list[str], value: Any) -> str:
    """How a value should be written that is a scalar where YAML wants a mapping or list, or the reverse."""
    if len(path) == 1 and path[0] in chosen() and not isinstance(value, dict):
        group, text = path[0], str(value)
        if keys := settings_that_take(group, text):
            return f"holds settings, found {value!r}; {group}: {{{keys[0].split('.')[-1]}: {text}}}"
        return (
            f"holds settings, found {value!r}; an option is chosen by `- override /{group}: {text}` in the"
            " defaults list"
        )
    if path == ["seed"] and isinstance(value, list):
        return f"a run has one seed, found {value!r}; -m seed={','.join(map(str, value))}, or a study's seeds"
    if path[:2] == ["study", "arms"] and len(path) == 2 and not isinstance(value, dict):
        return "each arm has a name; arms: {without: [regularizer=none], with: [regularizer=l2]}"
    if path[:2] == ["study", "arms"] and len(path) == 3 and not isinstance(value, list):
        return f"an arm is a list of overrides, found {value!r}; {path[2]}: [{_as_word(value)}]"
    if path[:2] == ["study", "arms"] and len(path) == 4 and isinstance(value, dict):
        return f"an override is a text, found {value!r}; {_as_word(value)}"
    return ""


def _as_word(value: Any) -> str:
    """What should be an override, written as one."""
    return (
        ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
    )


def _at(values: Any, path: list[str]) -> Any:
    for part in path:
        values = values.get(part) if isinstance(values, dict) else None
    return values


def nearest_key(path: list[str], values: dict[str, Any], model: type[Option]) -> str:
    """The known key that is meant by another: a name from elsewhere, or the closest beside it, then anywhere."""
    known = _known_keys(values, model)
    *above, word = path
    if KEYS.get(word) in known:
        return f"; did you mean '{KEYS[word]}'?"
    beside = [key.rsplit(".", 1)[-1] for key in known if key.split(".")[:-1] == above]
    if hint := nearest(word, beside or _keys_within(above, model)):
        return hint
    leaves = {key.rsplit(".", 1)[-1]: key for key in known}
    matches = get_close_matches(word, list(leaves), n=1, cutoff=0.6)
    if not matches and (others := _options_with(word, above, model)):
        return f"; a setting of {others}"
    return f"; did you mean '{leaves[matches[0]]}'?" if matches else f". Known: {', '.join(beside)}"


def _keys_within(path: list[str], model: type[Option]) -> list[str]:
    """The keys of a node that lies deeper, such as study.search; [] where the path names none."""
    for key in path:
        field = model.model_fields.get(key)
        inner = option_of(field, "") if field else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _options_with(key: str, above: list[str], model: type[Option]) -> str:
    """The options not chosen that have a key: `optimizer=momentum, nesterov`."""
    for group, field in model.model_fields.items():
        if above in ([], [group]):
            having = [kind for kind in options_of(field).values() if key in kind.model_fields]
            if names := [name for kind in dict.fromkeys(having) for name in names_of(kind)]:
                return f"{group}={', '.join(names)}"
    return ""


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
    options = options_of(field)
    return next(iter(options.values())) if len(options) == 1 else options.get(str(name))


def options_of(field: FieldInfo) -> dict[str, type[Option]]:
    """The classes of the options that a field takes, by name; the one without a name as ""."""
    for marker in field.metadata:
        if isinstance(marker, ByName):
            return marker.members()
    kinds = [k for k in (*get_args(field.annotation), field.annotation) if isinstance(k, type)]
    options = [k for k in kinds if issubclass(k, Option)]
    return {name: kind for kind in options for name in names_of(kind) or ("",)}
