"""A run before it is trained."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runner.config.defaults import chosen, default
from runner.config.schema import Config
from runner.data.fingerprint import fingerprint
from runner.errors import DataError
from runner.runs.folder import OUTPUTS, RunFolder

# Settings that decide how a run is computed or what it is called, not its numbers.
UNNAMED = ("experiment", "name", "resume", "fail_fast", "trainer", "data.root", "hydra")
LONGEST_VALUE, LONGEST_NAME = 32, 120
FORMER_DIGITS = (16, 8)  # of the former digest, in the folders' names of versions 0.2 and 0.1


@dataclass(frozen=True)
class Job:
    """One run: what the user asked for, the checked configuration, and the folder that it goes to."""

    overrides: tuple[str, ...]  # as Hydra composes them
    config: Config
    # What varies: a grid's swept settings, or a study's arm, tuned values and seed.
    named: tuple[tuple[str, str], ...] = ()

    @cached_property
    def settings(self) -> dict[str, str]:
        """What tells this run from others: the settings that vary, else the overrides in order."""
        if self.named:
            return dict(self.named)
        settings: dict[str, str] = {}
        for override in self.overrides:
            key, _, value = override.lstrip("+~").partition("=")
            value = value.strip("'")  # of the override grammar
            hidden = key.split(".")[0] in UNNAMED or key in UNNAMED or "/" in key
            if not (hidden or self._in_a_saved_default(override)):
                settings.pop(key, None)
                settings[key] = value
        return settings

    def _in_a_saved_default(self, override: str) -> bool:
        """Whether an override comes from a saved config.yaml, which lists all settings, and is a default."""
        words = dict(w.replace("'", "").split("=", 1) for w in self.overrides if "=" in w)
        key = override.partition("=")[0]
        if "++name" not in words:
            return False
        if not key.startswith("++"):
            return chosen().get(key) == words.get(key)
        found: Any = self.config.model_dump(mode="json")
        for part in key.lstrip("+").split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return bool(found == default(key.lstrip("+"), words))

    @cached_property
    def folder(self) -> Path:
        """outputs/<name>/<settings>-<hash>; if this run has a folder already, that one.

        Raises:
            DataError: The existing folder is damaged, or the data are not where they should be.
        """
        above = OUTPUTS / self.config.name
        for path in ending(above, self.config.hash):
            if self.config.resume:
                self._check(RunFolder(path))
            return path
        former = self.config.former_digest or ""
        for digits in FORMER_DIGITS if former else ():
            for path in ending(above, former[:digits]):
                config = RunFolder(path).config()
                if config and config.former_digest == former:
                    if self.config.resume:
                        self._check(RunFolder(path))
                    return path
        settings = ",".join(
            f"{key}={shortened(v, LONGEST_VALUE)}" for key, v in self.settings.items()
        )
        readable = re.sub(r"[^\w.,=+~-]+", "_", settings or "default").strip("_.")
        return above / f"{shortened(readable, LONGEST_NAME)}-{self.config.hash}"

    def _check(self, folder: RunFolder) -> None:
        """Checks that a folder holds this run, and all of it if it is finished."""
        try:
            folder.check_finished()
            config, data = folder.config(), fingerprint(self.config.data)
            # Where its data lay then does not matter, nor whether they are still there.
            if config and config.identity(data) != self.config.identity(data):
                raise DataError(
                    f"{folder}/config.yaml: other settings than the folder's name stands for"
                )
        except DataError as error:
            raise DataError(f"{error}; resume=false trains afresh") from None


def ending(above: Path, digits: str) -> Iterator[Path]:
    """The run folders whose names end in these digits."""
    try:
        names = sorted(os.listdir(above))
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from (above / name for name in names if name.endswith(f"-{digits}"))


def shortened(text: str, longest: int) -> str:
    """The text, its middle replaced by ~ if it is too long; more is kept of its end than of its start."""
    start = longest // 3
    return text if len(text) <= longest else f"{text[:start]}~{text[start + 1 - longest :]}"
