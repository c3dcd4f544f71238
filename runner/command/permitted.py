"""What may be set of Hydra's own configuration: a white list. The rest could run code or write elsewhere."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Union

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from pydantic import Field, ValidationError

from runner.command.interpolations import problem_in, strings_of
from runner.config.mistakes import explained
from runner.launch.launcher import launchers
from runner.options.option import Option

LAUNCHERS = launchers()
CHOICE = "hydra/launcher"  # only on the command line
_LAUNCHERS_KEYS = {key for kind in LAUNCHERS.values() for key in kind.model_fields} - {"name"}
SETTINGS = (
    "hydra.mode",
    "hydra.verbose",
    *(f"hydra.launcher.{key}" for key in sorted(_LAUNCHERS_KEYS)),
)
NOT_FROM_YAML = f"the runner sets this itself; a YAML file may set {', '.join(SETTINGS)}"


class HydraSettings(Option):
    """All that is used of Hydra's own configuration.

    Attributes:
        mode: MULTIRUN is --multirun.
        verbose: What goes to run.log in full: everything, or the loggers of these names.
        launcher: Who trains the runs.
    """

    mode: Literal["RUN", "MULTIRUN"] | None
    verbose: bool | str | Annotated[tuple[str, ...], Field(strict=False)]
    launcher: Annotated[Union[tuple(LAUNCHERS.values())], Field(discriminator="name")]  # type: ignore[valid-type]  # noqa: UP007


def problem_with(override: Override) -> str | None:
    """Why an override reaches beyond the runs' own settings, if it does."""
    key = override.key_or_group
    if is_hydra(override) and key not in SETTINGS and (key != CHOICE or override.is_delete()):
        return "the runner sets this itself"
    if is_hydra(override) and override.is_sweep_override():
        return "one value for all runs of a sweep"
    if override.package is not None:
        return "@ has no use here"
    value = None if override.is_sweep_override() else override.value()
    return next(filter(None, (problem_in(text) for _, text in strings_of({key: value}))), None)


def is_hydra(override: Override) -> bool:
    return is_hydra_key(override.key_or_group)


def is_hydra_key(key: str) -> bool:
    return key.split(".")[0].split("/")[0] == "hydra"


def settings_of(composed: DictConfig) -> HydraSettings | dict[str, str]:
    """What is used of a composed configuration's hydra node, or what is wrong with it by dotted key."""
    hydra = _container(composed)
    used = {key: hydra[key] for key in HydraSettings.model_fields}
    try:
        return HydraSettings.model_validate(used)
    except ValidationError as error:
        found = explained(error, used, HydraSettings)
        return {f"hydra.{key}": message for key, message in found.items()}


def _container(composed: DictConfig) -> dict[str, Any]:
    values = OmegaConf.to_container(composed.hydra, resolve=False, enum_to_str=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def changed_key(plain: DictConfig, composed: DictConfig, words: Sequence[Override]) -> str | None:
    """A key of the hydra node that is neither as without any file or override, nor permitted to change.

    Args:
        plain: What the runner's config.yaml composes to.
        composed: What files and overrides compose to.
        words: The overrides.
    """
    before, after = _container(plain), _container(composed)
    chosen = [word.value() for word in words if word.key_or_group == CHOICE]
    before["launcher"]["name"] = before["runtime"]["choices"][CHOICE] = (
        chosen[-1] if chosen else before["launcher"]["name"]
    )
    before["overrides"] = {
        "hydra": [word.input_line for word in words if word.is_hydra_override()],
        "task": [word.input_line for word in words if not word.is_hydra_override()],
    }
    for hydra in (before, after):
        for setting in ("mode", "verbose"):
            del hydra[setting]
        hydra["launcher"] = {"name": hydra["launcher"].get("name")}
        choices = hydra["runtime"]["choices"]  # which YAML files; those of the runs may be any
        hydra["runtime"]["choices"] = {k: v for k, v in choices.items() if k.startswith("hydra/")}
        del hydra["job"]["override_dirname"]  # of these overrides
    return next(_differences(before, after, "hydra"), None)


def _differences(before: Any, after: Any, path: str) -> Iterator[str]:
    """Dotted keys that are not the same in both."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from _differences(before.get(key), after.get(key), f"{path}.{key}")
    elif before != after:
        yield path
