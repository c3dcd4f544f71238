"""What one command line asks for."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.command.compose import Composer, composing
from runner.command.overrides import expanded
from runner.command.permitted import HydraSettings, is_hydra_key
from runner.errors import ConfigError
from runner.runs.job import Job


@dataclass(frozen=True)
class Request:
    """Checked runs, and how they are to be trained.

    Attributes:
        words: The overrides as they were typed.
        folders: The user's own folders of YAML files.
        jobs: The runs.
        multirun: Whether they are a sweep.
        settings: What is used of Hydra's own configuration.
    """

    words: tuple[str, ...]
    folders: list[Path]
    jobs: list[Job]
    multirun: bool
    settings: HydraSettings

    @property
    def command(self) -> str:
        """The command line, to be typed again in the same working directory."""
        dirs = [word for folder in self.folders for word in ("--config-dir", str(folder))]
        flags = [*dirs, *(["--multirun"] if self.multirun else [])]
        return shlex.join(["python", "-m", "runner", *flags, *self.words])

    @property
    def plain(self) -> bool:
        """Whether it runs an experiment just as its file has it."""
        keys = [word.lstrip("+").partition("=")[0] for word in self.words]
        return all(key == "experiment" or is_hydra_key(key) for key in keys)


def read_request(
    words: Sequence[str], folders: Sequence[Path] = (), multirun: bool = False
) -> Request:
    """Composes and checks every run that the words of a command line ask for.

    Raises:
        ConfigError: With all mistakes of all runs, each once.
    """
    overrides = [override for word in words for override in expanded(word)]
    with composing(folders) as composer:
        settings = composer.settings(overrides)
        multirun = multirun or (settings is not None and settings.mode == "MULTIRUN")
        jobs = composer.jobs(overrides, multirun)
        assert settings
        _same_for_all(composer)
    return Request(tuple(words), list(folders), jobs, multirun, settings)


def _same_for_all(composer: Composer) -> None:
    found = {base[1] for base in composer.bases.values() if base}
    if len(found) > 1:
        raise ConfigError(["hydra: mode, verbose and launcher must be the same in a whole sweep"])
