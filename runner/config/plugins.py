"""What a run's config.yaml records of the options that are not the runner's own.

A record says where an option came from. It is compared with what the command line has loaded; nothing is
ever loaded because of it.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from runner.options.option import Option
from runner.options.registry import OPTIONS, SOURCES, Source

KEY = "plugins"


class Recorded(Option):
    """Where an option came from when its run was trained.

    Attributes:
        plugin: What --plugin named, or the installed package.
        file: The file that its class stood in.
        sha256: Of that file.
    """

    plugin: Annotated[str, Field(max_length=1000)]
    file: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def recorded(sources: Mapping[str, Source]) -> dict[str, Any]:
    """What to record of a run's options, by group; nothing if all are the runner's own."""
    found = {
        group: {"plugin": source.plugin, "file": source.path.name, "sha256": source.sha256}
        for group, source in sources.items()
    }
    return {KEY: found} if found else {}


def taken_out(values: dict[str, Any]) -> dict[str, Recorded]:
    """The records of a saved configuration by group, which are then no longer among its values.

    Raises:
        ValueError: They are not what the runner records.
    """
    try:
        return TypeAdapter(dict[str, Recorded]).validate_python(values.pop(KEY, {}))
    except ValidationError:
        raise ValueError(f"{KEY}: not as the runner writes it") from None


def missing(values: Mapping[str, Any], records: Mapping[str, Recorded]) -> Iterator[str]:
    """Which options of a saved configuration nobody has loaded, and from where they were loaded then."""
    for group, record in records.items():
        name = _name(values, group)
        if name not in OPTIONS.get(group, {}):
            yield (
                f"{group} '{name}' came from the plugin '{record.plugin}'; if you trust it:"
                f" --plugin {record.plugin}"
            )


def changed(values: Mapping[str, Any], records: Mapping[str, Recorded]) -> Iterator[str]:
    """Which options of a saved configuration have another source now."""
    for group, record in records.items():
        source = SOURCES.get(OPTIONS.get(group, {}).get(_name(values, group), Option))
        if source and source.sha256 != record.sha256:
            yield f"{group} '{_name(values, group)}': {source.path.name} has changed since this run"


def _name(values: Mapping[str, Any], group: str) -> str:
    given = values.get(group)
    return str(given.get("name")) if isinstance(given, dict) else ""
