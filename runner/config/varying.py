"""Settings by dotted key, and which of them tell runs from one another."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def leaves(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested mappings."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key!s}.")
        else:
            yield f"{prefix}{key!s}", value


def varying(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys in which runs differ.

    A setting of an option varies only if it does so among the runs with that option: β₁ does not because
    Adam is one of several optimizers.

    Args:
        runs: Settings by dotted key; `<group>.name` is a group's option.
    """
    keys = dict.fromkeys(key for run in runs for key in run)
    return [key for key in keys if _varies(key, runs)]


def _varies(key: str, runs: Sequence[Mapping[str, Any]]) -> bool:
    option = f"{key.split('.')[0]}.name"
    values: dict[str, set[str]] = {}
    for run in runs:
        of_option = "" if key == option else str(run.get(option))
        values.setdefault(of_option, set()).add(str(run.get(key)))
    return any(len(found) > 1 for found in values.values())
