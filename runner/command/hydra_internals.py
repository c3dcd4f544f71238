"""Hydra's names that it does not promise to keep, and why each is needed.

- ConfigRepository: the only place that every YAML file passes before Hydra reads it.
- ConfigLoaderImpl: the only place that every composition passes, also that of --cfg, --info and --help.
- Hydra's own show_cfg, show_info, hydra_help and shell_completion: what these options print. Hydra
  calls them only from hydra.main, which reads sys.argv and would run what it composes.
"""

import argparse
import io
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from runner.command.completion import script
from runner.command.overrides import apply
from runner.command.permitted import LAUNCHERS, NOT_FROM_YAML, changed_key, is_hydra, problem_with
from runner.command.yaml_files import PACKAGE_HEADER, Source
from runner.errors import ConfigError, one_line, summary
from runner.foreign import for_terminal
from runner.options.registry import defaults_of, plugged_in


@contextmanager
def hydra_over(conf: Path, folders: Sequence[Path]) -> Iterator["Loader"]:
    """Hydra, as compose() uses it, over the runner's YAML files and those in further folders."""
    with initialize_config_dir(str(conf), job_name="runner", version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra
        for name, launcher in LAUNCHERS.items():
            node = {key: field.default for key, field in launcher.model_fields.items()}
            ConfigStore.instance().store(group="hydra/launcher", name=name, node=node)
        options = _without_file(conf, folders)
        for (group, name), node in options.items():
            ConfigStore.instance().store(group=group, name=name, node=node)
        search_path = hydra.config_loader.get_search_path()
        for folder in folders:
            anchor = SearchPathQuery(provider="schema")
            search_path.prepend("command-line", f"file://{folder.absolute()}", anchor)
        hydra.config_loader = loader = Loader(search_path)
        try:
            yield loader
        finally:
            for group, name in options:
                del ConfigStore.instance().repo[group][f"{name}.yaml"]


def _without_file(conf: Path, folders: Sequence[Path]) -> dict[tuple[str, str], dict[str, Any]]:
    """The defaults of those of the user's options, by group and name, that no YAML file has.

    Raises:
        ConfigError: The runner's own YAML files have one of that name.
    """
    found = {}
    for group, name, kind in plugged_in():
        if (conf / group / f"{name}.yaml").exists():
            place = f"{group} {kind.__name__}: the runner has '{group}={name}' itself"
            raise ConfigError([f"{place}; choose another name"])
        if not any((folder / group / f"{name}.yaml").exists() for folder in folders):
            found[group, name] = {**defaults_of(kind), "name": name}
    return found


class Files(ConfigRepository):
    """Hydra's access to YAML files, which looks at each before Hydra makes anything of it.

    Raises:
        ConfigError: There is something wrong with the file, or it is none that an experiment may choose.
    """

    read: dict[str, Source]  # by their names in Hydra's words

    def __deepcopy__(self, memo: dict[int, Any]) -> "Files":
        return (
            self  # Hydra copies it for every composition, because it could change the search path
        )

    def load_config(self, config_path: str) -> ConfigResult | None:
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        if source is None or source.scheme() != "file":
            return super().load_config(config_path)
        path = Path(source.path, config_path.removesuffix(".yaml") + ".yaml")
        group = config_path.rpartition("/")[0]
        if ".." in path.parts or Path(config_path).is_absolute():
            raise ConfigError([f"{config_path}: not in a folder of YAML files"])
        own = source.provider == "main"
        if not own and group.split("/")[0] == "hydra":
            raise ConfigError([f"{Source(path)}: Hydra is the runner's to configure"])
        file = Source(path, group, own=own and config_path == "config")
        try:
            result = super().load_config(config_path)
        except Exception as error:  # whatever Hydra and OmegaConf find in it
            raise ConfigError([f"{file}: {summary(error)}"]) from None
        assert result
        package = result.header["package"]
        if group.split("/")[0] == "experiment" and package != "_global_":
            raise ConfigError([f"{file}:1: the first line must be '{PACKAGE_HEADER}'"])
        if package not in (None, "_global_"):
            raise ConfigError([f"{file}:1: @package {package}: only _global_ has a use here"])
        file.prefix = "" if package else group
        self.read[config_path] = file
        return result


class Loader(ConfigLoaderImpl):
    """Composes what the words of a command line choose; reads the files of equal choices only once.

    Raises:
        ConfigError: A word or a file reaches beyond the runs' own settings.
    """

    def __init__(self, search_path: Any) -> None:
        super().__init__(search_path)
        self.repository: Files = Files(search_path)
        self.repository.read = {}  # completion reads files without composing
        self.parser = OverridesParser.create(config_loader=self)
        self.groups = {*self.list_groups(""), "hydra/launcher"} - {"hydra"}
        self.words: dict[str, Override] = {}
        self.bases: dict[tuple[str, ...], tuple[DictConfig, list[Source]]] = {}
        self.own_parts: dict[tuple[str, ...], Any] = {}  # Hydra's, of the bases

    def is_choice(self, override: Override) -> bool:
        """Whether it decides which files are composed, or what Hydra does."""
        return override.key_or_group in self.groups or is_hydra(override)

    def parsed(self, word: str) -> Override:
        """A word as an override, parsed only once: that takes up to 30 µs for each character."""
        if word not in self.words:
            (self.words[word],) = self.parser.parse_overrides([word])
        return self.words[word]

    def base(self, choices: Sequence[Override]) -> tuple[DictConfig, list[Source]]:
        """What chosen options compose to, and from which files, the more special ones first."""
        words = [choice.input_line or "" for choice in choices]
        if tuple(words) not in self.bases:
            files = self.repository.read = {}
            composed = super().load_configuration("config", words, RunMode.RUN)
            if choices and (changed := changed_key(self.base([])[0], composed, choices)):
                raise ConfigError([f"{changed}: {NOT_FROM_YAML}"])
            special = sorted(files, key=lambda name: (name == "config", files[name].prefix != ""))
            self.bases[tuple(words)] = composed, [files[name] for name in special]
        return self.bases[tuple(words)]

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """The whole configuration of one run, Hydra's own part included."""
        words = [self.parsed(word) for word in overrides]
        if problems := [f"{w.input_line}: {found}" for w in words if (found := problem_with(w))]:
            raise ConfigError(problems)
        if config_name is None:  # for --hydra-help
            return super().load_configuration(None, overrides, run_mode)
        choices = [word for word in words if self.is_choice(word)]
        composed = deepcopy(self.base(choices)[0])
        OmegaConf.set_struct(composed, False)
        for word in words:
            if word not in choices:
                apply(composed, word)
        for key, value in of_run(words).items():
            OmegaConf.update(composed.hydra, key, value)
        return composed

    def own_part(self, words: Sequence[Override]) -> dict[str, Any]:
        """Hydra's part of `load_configuration` as plain values; what is not of the run itself is shared."""
        choices = [word for word in words if self.is_choice(word)]
        key = tuple(word.input_line or "" for word in choices)
        if key not in self.own_parts:
            node = self.base(choices)[0].hydra
            self.own_parts[key] = OmegaConf.to_container(node, enum_to_str=True)
        part = dict(self.own_parts[key])
        for place, value in of_run(words).items():
            above, _, name = place.partition(".")
            part[above] = part[above] | {name: value}
        return part


def of_run(words: Sequence[Override]) -> dict[str, Any]:
    """What Hydra's own part says of a run's words, by key."""
    tasks = [word for word in words if not word.is_hydra_override()]
    return {
        "overrides.task": [word.input_line for word in tasks],
        "job.override_dirname": get_overrides_dirname(tasks, [], ",", "="),
    }


def show(flags: argparse.Namespace, parser: argparse.ArgumentParser, words: list[str]) -> None:
    """Prints what --hydra-help, --cfg, --info or --shell-completion ask for.

    Raises:
        ConfigError: There is no such thing to print.
    """
    with redirect_stdout(io.StringIO()) as said:
        _show(flags, parser, words)
    # Names of files and folders, and what stands in them, are foreign; only Hydra writes tabs.
    sys.stdout.write("\t".join(map(for_terminal, said.getvalue().split("\t"))))


def _show(flags: argparse.Namespace, parser: argparse.ArgumentParser, words: list[str]) -> None:
    hydra = GlobalHydra.instance().hydra
    assert hydra
    flags.overrides = words
    try:
        if flags.hydra_help:
            hydra.hydra_help(None, parser, flags)
        elif flags.shell_completion:
            if text := script(" ".join(words), parser):
                print(text)
            else:
                hydra.shell_completion("config", words)
        elif flags.cfg:
            _check_package(hydra.config_loader, flags, words)
            hydra.show_cfg("config", words, flags.cfg, flags.package, flags.resolve)
        else:
            with logging_restored():  # --info logs to the screen
                hydra.show_info(flags.info, "config", words)
    except (ValueError, KeyError, YAMLError) as error:  # of --shell-completion
        raise ConfigError([one_line(error)]) from None


def _check_package(loader: ConfigLoader, flags: argparse.Namespace, words: list[str]) -> None:
    """Raises ConfigError where Hydra would end the process with a code of its own."""
    composed = loader.load_configuration("config", words, RunMode.RUN)
    if flags.cfg == "job":
        del composed["hydra"]
    if (
        flags.package not in (None, "_global_")
        and OmegaConf.select(composed, flags.package) is None
    ):
        raise ConfigError([f"--package {flags.package}: no such key in the configuration"])


@contextmanager
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
