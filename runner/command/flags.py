"""The options of the command line; what follows them are overrides, in Hydra's grammar."""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import hydra

from runner import __version__
from runner.command.interpolations import cut
from runner.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """Hydra's options as far as they have a use here, under Hydra's names.

    Raises:
        ConfigError: For a mistake, without argparse's list of usage.
    """

    def __init__(self) -> None:
        super().__init__(prog="python -m runner", add_help=False)
        self.add_argument("overrides", nargs="*", help="key=value, or a run's config.yaml")
        for names, told in (
            (("--help", "-h"), "what there is to choose and to set; of a group: --help optimizer"),
            (("--multirun", "-m"), "every combination of several values"),
            (("--resolve",), "with --cfg or --help: every ${key} by its value"),
            (("--hydra-help",), "Hydra's own help"),
            (("--shell-completion", "-sc"), "install=bash or uninstall=bash"),
        ):
            self.add_argument(*names, action="store_true", help=told)
        version = f"runner {__version__} (Hydra {hydra.__version__})"
        self.add_argument("--version", action="version", version=version, help="the version")
        told = "print a configuration instead of running it"
        self.add_argument("--cfg", "-c", choices=("job", "hydra", "all"), help=told)
        self.add_argument("--package", "-p", help="with --cfg: only this part of it")
        told = "a folder of your own YAML files; again for another"
        self.add_argument("--config-dir", "-cd", action="append", default=[], help=told)
        told = "a module or .py file with options of your own; again for another"
        self.add_argument("--plugin", action="append", default=[], metavar="MODULE", help=told)
        infos = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
        told = "what Hydra knows about a configuration"
        self.add_argument("--info", "-i", nargs="?", const="all", choices=infos, help=told)

    def error(self, message: str) -> NoReturn:
        if dashed := re.search(r" --?([\w.]+=\S+)", message):
            raise ConfigError([f"--{dashed[1]}: settings have no dashes; {dashed[1]}"])
        known = "--help --cfg --resolve --package --multirun (-m) --config-dir --plugin --info --hydra-help"
        raise ConfigError([f"{message}. Options: {known}; settings are key=value, without dashes"])


def folders_of(config_dirs: Sequence[str]) -> list[Path]:
    """The user's own folders of YAML files.

    Raises:
        ConfigError: There is no such folder.
    """
    for given in config_dirs:
        try:
            found = bool(given) and Path(given).is_dir() and os.access(given, os.R_OK | os.X_OK)
        except (OSError, ValueError):  # too long, or not even a path
            found = False
        if not found:
            raise ConfigError([f"--config-dir {cut(given) or repr(given)}: no such folder"])
    return [Path(given) for given in config_dirs]
