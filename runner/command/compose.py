"""From the command line to checked runs: Hydra composes, the schema checks, every run gets its folder.

All of it happens before Hydra's own main function starts and without importing torch, so that a
mistake anywhere (in one of a thousand combinations, say) is told within a second, in the user's terms,
and leaves nothing behind.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.command.overrides import apply, written
from runner.command.yaml_files import PACKAGE_HEADER, RESOLVER, HarmlessFiles, Source, shown
from runner.config.mistakes import nearest, problems_of
from runner.config.schema import Config
from runner.errors import ConfigError
from runner.runs.job import Job

HERE = Path(__file__).parents[1]
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"

# What a user may set of Hydra's own configuration. The rest could run code or write elsewhere.
HYDRA_KEYS = (
    "hydra.mode",
    "hydra.verbose",
    "hydra/launcher",
    "hydra.launcher.width",
    "hydra.launcher.max_width",
)
LAUNCHERS = {
    "basic": "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "stacked": "hydra_plugins.stacked_launcher.StackedLauncher",
}
# What Hydra itself writes into its configuration, for a job or for this command line.
HYDRA_OWN = ("runtime", "overrides", "mode", "verbose", "launcher")


@dataclass(frozen=True)
class Request:
    """What one command line asks for."""

    arguments: argparse.Namespace  # Hydra's own flags
    jobs: list[Job]

    @property
    def folders(self) -> list[Path]:
        """The user's own folders of YAML files."""
        return [Path(self.arguments.config_dir)] if self.arguments.config_dir else []

    @property
    def multirun(self) -> bool:
        return bool(self.arguments.multirun)


def read_command_line(arguments: argparse.Namespace) -> Request:
    """Composes and checks every run that a command line asks for.

    Raises:
        ConfigError: With all mistakes of all runs, each told once.
    """
    if arguments.experimental_rerun:
        raise ConfigError(
            ["--experimental-rerun unpickles a file; give a run's config.yaml instead"]
        )
    if arguments.config_path or arguments.config_name:
        raise ConfigError(["--config-path and --config-name: give a run's config.yaml instead"])
    folders = [Path(arguments.config_dir)] if arguments.config_dir else []
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError([f"--config-dir {folder}: no such folder"])
    with composing(folders) as composer:
        return Request(arguments, composer.jobs(arguments.overrides, arguments.multirun))


@contextmanager
def composing(folders: Sequence[Path] = ()) -> Iterator["Composer"]:
    """A composer over the runner's YAML files and those in further folders."""
    version.setbase("1.3")
    search_path = create_config_search_path(str(CONF))
    for folder in folders:
        anchor = SearchPathQuery(provider="schema")
        search_path.prepend("command-line", f"file://{folder.absolute()}", anchor)
    Hydra.create_main_hydra2(task_name="runner", config_search_path=search_path)
    try:
        yield Composer(folders)
    finally:
        GlobalHydra.instance().clear()


class Composer:
    """Composes configurations with Hydra and collects what is wrong with them.

    Args:
        folders: Folders of the user's own YAML files, which come after the runner's.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self.folders = [CONF, *folders]
        self.loader = GlobalHydra.instance().config_loader()
        assert isinstance(self.loader, ConfigLoaderImpl)
        self.loader.repository = HarmlessFiles(self.loader.get_search_path())
        self.groups = set(self.loader.list_groups("")) - {"hydra"}
        self.parser = OverridesParser.create(config_loader=self.loader)
        self.problems: dict[str, None] = {}  # an ordered set: a sweep repeats its mistakes
        self.bases: dict[tuple[str, ...], tuple[DictConfig, list[Source]] | None] = {}

    def jobs(self, words: list[str], multirun: bool) -> list[Job]:
        """A job for each combination of values, runs that come out the same told once."""
        overrides = self._parse(words)
        if not multirun:
            for override in overrides:
                if override.is_sweep_override():
                    self._problem(f"{override.input_line}: several values need --multirun (-m)")
        self._raise_problems()
        combinations = [[written(o) for o in overrides]]
        if multirun:
            combinations = BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]
        swept = [o.get_key_element() for o in overrides if o.is_sweep_override()]
        jobs: dict[tuple[str, str], Job] = {}
        for combination in combinations:
            config = self.config(combination)
            if config:
                values = dict(word.split("=", 1) for word in combination if "=" in word)
                named = tuple((key.lstrip("+"), values[key]) for key in swept)
                job = Job(tuple(combination), config, named)
                jobs.setdefault((config.name, config.hash), job)
        self._raise_problems()
        return list(jobs.values())

    def config(self, words: Sequence[str]) -> Config | None:
        """One checked configuration, or None where there were problems."""
        overrides = self.parser.parse_overrides(list(words))
        permitted = [self._is_permitted(override) for override in overrides]  # tells all mistakes
        if not all(permitted):
            return None
        groups = [o for o in overrides if self._is_group(o) or self._is_hydra(o)]
        values = [o for o in overrides if o not in groups]
        known = [o for o in groups if self._known_option(o)]
        base = self._base(tuple(written(o) for o in known))
        if base is None or len(known) < len(groups):
            return None
        composed, sources = base
        composed = composed.copy()
        for override in values:
            # Misspelt keys are set too: the schema then tells all mistakes at once.
            try:
                apply(composed, override)
            except (OmegaConfBaseException, ConfigCompositionException) as error:
                self._problem(f"{override.input_line}: {str(error).splitlines()[0]}")
                return None
        if not self._interpolations_are_plain(composed, sources):
            return None
        try:
            container = OmegaConf.to_container(composed, resolve=True)
        except OmegaConfBaseException as error:
            self._problem(str(error).splitlines()[0])
            return None
        assert isinstance(container, dict)
        found = list(problems_of({str(k): v for k, v in container.items()}))
        for key, message in found:
            self._problem(self._located(key, message, values, sources))
        return None if found else Config.model_validate(container)

    def _parse(self, words: list[str]) -> list[Override]:
        overrides = []
        for word in words:
            try:
                overrides += self.parser.parse_overrides([word])
            except OverrideParseException:
                self._problem(
                    f"{word}: not of the form key=value (quote values with special signs)"
                )
        for override in overrides:
            self._is_permitted(override)
        return overrides

    def _is_permitted(self, override: Override) -> bool:
        """Whether an override keeps to the runs' own settings; a problem if not."""
        key, text = override.key_or_group, written(override)
        if self._is_hydra(override) and key not in HYDRA_KEYS:
            self._problem(f"{text}: the runner sets this itself")
        elif key.startswith("hydra.launcher.") and not is_width(override.value()):
            self._problem(f"{text}: must be an integer of at least 1")
        elif override.package is not None:
            self._problem(f"{text}: @ has no use here")
        elif RESOLVER.search(text):
            self._problem(f"{text}: only ${{key}} is allowed")
        else:
            return True
        return False

    def _is_hydra(self, override: Override) -> bool:
        return override.key_or_group.split(".")[0].split("/")[0] == "hydra"

    def _is_group(self, override: Override) -> bool:
        return override.key_or_group in self.groups

    def _known_option(self, override: Override) -> bool:
        """Whether the chosen option of a group exists; a problem if not."""
        if override.is_delete() or override.key_or_group.startswith("hydra."):
            return True
        group, value = override.key_or_group, override.value()
        launcher = group == "hydra/launcher"
        options = list(LAUNCHERS) if launcher else self.loader.get_group_options(group)
        wanted = value if isinstance(value, list) else [value]
        for option in wanted:
            if option not in options:
                self._problem(
                    f"{override.input_line}: unknown {group} '{option}'"
                    f"{nearest(str(option), options) or '.'} Known: {', '.join(options)}"
                )
                return False
        return True

    def _base(self, groups: tuple[str, ...]) -> tuple[DictConfig, list[Source]] | None:
        """What the chosen options compose to before single values are set, and from which files."""
        if groups not in self.bases:
            self.bases[groups] = self._composed(groups)
        return self.bases[groups]

    def _composed(self, groups: tuple[str, ...]) -> tuple[DictConfig, list[Source]] | None:
        try:
            composed = compose("config", overrides=list(groups), return_hydra_config=True)
        except ConfigError as error:
            for problem in error.problems:
                self._problem(problem)
            return None
        except (
            HydraException,
            RecursionError,
            OmegaConfBaseException,
            yaml.YAMLError,
            UnicodeDecodeError,
        ) as error:
            self._problem(self._explained(error))
            return None
        sources = list(self._sources(composed))
        for source in sources:
            for line, text in source.octals():
                decimal = int(text.replace("_", ""), 8) if re.fullmatch("[0-7_+-]+", text) else None
                reading = f"YAML reads it as octal, {decimal}" if decimal else "no number"
                self._problem(
                    f"{source}:{line}: {text}: {reading}; write it without the leading zero"
                )
            if "/experiment/" in source.path.as_posix() and not source.has_package_header():
                self._problem(f"{source}:1: the first line must be '{PACKAGE_HEADER}'")
                return None
        if changed := self._changed_hydra(composed):
            self._problem(f"{changed}: the runner sets this itself; an experiment cannot")
            return None
        OmegaConf.set_struct(composed, False)
        del composed["hydra"]
        return composed, sources

    def _sources(self, composed: DictConfig) -> Iterator[Source]:
        """The files of a composition: the more special ones first."""
        choices = {g: o for g, o in composed.hydra.runtime.choices.items() if "/" not in g}
        for group, options in sorted(choices.items(), key=lambda item: item[0] != "experiment"):
            for option in options if isinstance(options, list) else [options]:
                prefix = "" if group == "experiment" else group
                for folder in self.folders:
                    path = folder / group / f"{option}.yaml"
                    if path.is_file():
                        yield Source(path, prefix)
                        break
        yield Source(CONF / "config.yaml", "")

    def _changed_hydra(self, composed: DictConfig) -> str | None:
        """A key of Hydra's own configuration that a YAML file has changed, if any."""
        if "experiment" not in composed.hydra.runtime.choices and len(self.folders) == 1:
            return None
        if composed.hydra.get("callbacks"):
            return "hydra.callbacks"
        before, after = (
            OmegaConf.to_container(config.hydra, resolve=False) for config in (self.plain, composed)
        )
        assert isinstance(before, dict)
        assert isinstance(after, dict)
        for hydra in (before, after):
            del hydra["job"]["override_dirname"]
        launcher = after["launcher"]
        if launcher["_target_"] not in LAUNCHERS.values() or RESOLVER.search(str(launcher)):
            return "hydra.launcher"
        changed = [k for k in after if k not in HYDRA_OWN and after[k] != before.get(k)]
        changed += [k for k in ("mode", "verbose") if "${" in str(after[k])]
        return f"hydra.{changed[0]!s}" if changed else None

    @cached_property
    def plain(self) -> DictConfig:
        """What composes without any override."""
        return compose("config", return_hydra_config=True)

    def _interpolations_are_plain(self, composed: DictConfig, sources: list[Source]) -> bool:
        """Whether ${...} only names other keys: a resolver could read the environment."""
        container = OmegaConf.to_container(composed, resolve=False)
        bad = [(k, v) for k, v in _strings(container) if RESOLVER.search(v)]
        for key, value in bad:
            self._problem(self._located(key, f"{value}: only ${{key}} is allowed", [], sources))
        return not bad

    def _located(
        self, key: str, message: str, overrides: Sequence[Override], sources: list[Source]
    ) -> str:
        """A problem with the place that set the key: an override, else file and line."""
        for override in overrides:
            if override.key_or_group == key or key.startswith(override.key_or_group + "."):
                return f"{override.input_line}: {message}"
        for source in sources:
            if line := source.line(key):
                return f"{source}:{line}: {key}: {message}"
        return f"{key}: {message}" if key else message

    def _explained(self, error: Exception) -> str:
        """One line on why Hydra could not compose."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, yaml.MarkedYAMLError) and cause.problem_mark:
                mark = cause.problem_mark
                path = shown(Path(mark.name)) if Path(mark.name).is_absolute() else mark.name
                return f"{path}:{mark.line + 1}: {cause.problem}"
            if isinstance(cause, (yaml.YAMLError, UnicodeDecodeError)):
                return next(self._unreadable(), str(cause).splitlines()[0])
            cause = cause.__cause__ or cause.__context__
        return " ".join(str(error).split("Config search path")[0].split())

    def _unreadable(self) -> Iterator[str]:
        """The files that are not UTF-8 or hold signs that YAML forbids."""
        for folder in self.folders:
            for path in sorted(folder.rglob("*.yaml")):
                try:
                    Source(path, "")
                except UnicodeDecodeError as error:
                    line = path.read_bytes()[: error.start].count(b"\n") + 1
                    yield f"{shown(path)}:{line}: not UTF-8"
                except yaml.YAMLError as error:
                    yield f"{shown(path)}: {str(error).splitlines()[0]}"

    def _problem(self, text: str) -> None:
        self.problems[text] = None

    def _raise_problems(self) -> None:
        if self.problems:
            raise ConfigError(list(self.problems))


def is_width(value: object) -> bool:
    """Whether a stacked launcher can train so many runs as one; null leaves it to a measurement."""
    return value is None or (type(value) is int and value >= 1)


def _strings(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield path, node
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, value in items:
        yield from _strings(value, f"{path}.{key}" if path else str(key))
