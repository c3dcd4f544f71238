"""What a report says of how its runs were made: settings in few words, versions, device, date, commit."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from runner.config.defaults import default
from runner.config.schema import Config
from runner.reporting.words import shown
from runner.runs.folder import RunFolder

Fact = tuple[str, str]


def facts_of(folders: Sequence[RunFolder]) -> list[Fact]:
    """(what, in words) of runs; where they differ, all there is.

    Raises:
        DataError: A run is damaged.
    """
    configs = [folder.config() for folder in folders]
    results = [folder.result for folder in folders]
    found: dict[str, list[str]] = {"runs": [_counted(folders)]}
    for config in configs:
        for what, text in _settings(config) if config else ():
            found.setdefault(what, []).append(text)
    for folder, result in zip(folders, results, strict=True):
        for what, text in _origin(folder, result) if result else ():
            found.setdefault(what, []).append(text)
    seconds = [result["train_seconds"] or 0.0 for result in results if result]
    if any(seconds):
        found["training time"] = [f"{sum(seconds):.3g} s in all"]
    return [(what, "; ".join(_distinct(texts))) for what, texts in found.items()]


def _counted(folders: Sequence[RunFolder]) -> str:
    statuses = [folder.status or "not started" for folder in folders]
    counts = [f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses)]
    return f"{len(folders)}: {', '.join(counts)}" if len(counts) > 1 else " ".join(counts)


def _distinct(texts: Sequence[str], most: int = 4) -> list[str]:
    different = list(dict.fromkeys(texts))
    rest = len(different) - most
    return different[:most] + ([f"{rest} more"] if rest > 0 else [])


def _settings(config: Config) -> Iterator[Fact]:
    yield "data", option(config, "data")
    yield "architecture", option(config, "architecture")
    yield "batch size", str(config.batch_size.size)
    yield "epochs", str(config.epochs)


def option(config: Config, group: str) -> str:
    """A group's option, and those of its settings that are not the option's own: digits, train_size=256."""
    values: dict[str, Any] = getattr(config, group).model_dump(mode="json")
    name = str(values.pop("name", group))
    other = [
        f"{key}={shown(value)}"
        for key, value in values.items()
        if key != "root" and value != default(f"{group}.{key}", {group: name})
    ]
    return ", ".join([name, *other])


def _origin(folder: RunFolder, result: dict[str, Any]) -> Iterator[Fact]:
    if data := result["data"]:
        yield "data fingerprint", data["fingerprint"][:12]
    yield "device", f"{result['device']}, {result['precision']}"
    yield "versions", ", ".join(f"{name} {text}" for name, text in result["versions"].items())
    yield "git commit", result["git_commit"] or "none"
    finished = (folder.path / "result.json").stat().st_mtime
    yield "date", time.strftime("%Y-%m-%d", time.gmtime(finished))
