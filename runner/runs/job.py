"""A run before it is trained."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from runner.config.schema import Config
from runner.runs.folder import OUTPUTS

# Settings that say how to compute and what to call a run, not what is computed.
UNNAMED = ("experiment", "name", "resume", "fail_fast", "trainer", "data.root", "hydra")


@dataclass(frozen=True)
class Job:
    """One run: what the user asked for, the checked configuration, and the folder that it goes to."""

    overrides: tuple[str, ...]  # as Hydra composes them
    config: Config
    # What varies: a grid's swept settings, or a study's arm, tuned values and seed.
    named: tuple[tuple[str, str], ...] = ()

    @cached_property
    def settings(self) -> dict[str, str]:
        """What tells this run from others: what varies, else the overrides."""
        if self.named:
            return dict(self.named)
        pairs = (override.lstrip("+~").partition("=") for override in self.overrides)
        return {
            key: value
            for key, _, value in pairs
            if key.split(".")[0] not in UNNAMED and key not in UNNAMED and "/" not in key
        }

    @cached_property
    def folder(self) -> Path:
        """outputs/<name>/<settings>-<hash>: the one with this hash if there is one already."""
        above = OUTPUTS / self.config.name
        for existing in sorted(above.glob(f"*-{self.config.hash}")):
            return existing
        settings = ",".join(f"{key}={value}" for key, value in self.settings.items()) or "default"
        readable = re.sub(r"[^\w.,=+-]+", "_", settings).strip("_.")[:120]
        return above / f"{readable}-{self.config.hash}"
