"""From words to checked runs: Hydra composes, the schema checks, every run gets its folder.

All of it happens before anything is trained and without importing torch, so that a mistake anywhere
(in one of a thousand combinations, say) is reported within a second, in the user's terms, and leaves
nothing behind.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.command import hints
from runner.command.hydra_internals import Loader, hydra_over
from runner.command.interpolations import cut, problems_in
from runner.command.overrides import apply, combinations, values_of, written
from runner.command.permitted import CHOICE, LAUNCHERS, HydraSettings, problem_with, settings_of
from runner.command.yaml_files import Source
from runner.config.defaults import CONF, chosen
from runner.config.mistakes import MISSING, check
from runner.config.schema import Config
from runner.data.fingerprint import forget
from runner.errors import ConfigError, summary
from runner.runs.job import Job

# Hydra's parser takes up to a second for such a word, and for a longer one more than in proportion.
LONGEST_WORD = 10_000
MOST_INTERPOLATIONS = 100
MOST_LISTED = 12  # options of a group in a message


@contextmanager
def composing(folders: Sequence[Path] = ()) -> Iterator["Composer"]:
    """A composer over the runner's YAML files and those in further folders.

    Inside another one over the same folders it is that one, with all that it has read.
    """
    composer = _open.get()
    if composer and composer.folders == list(folders):
        yield composer
        return
    with hydra_over(CONF, folders) as loader:
        token = _open.set(Composer(loader, folders))
        try:
            yield _open.get()  # type: ignore[misc]
        finally:
            _open.reset(token)


class Composer:
    """Composes configurations with Hydra and collects what is wrong with them.

    Args:
        loader: Hydra's part.
        folders: Folders of the user's own YAML files, which come after the runner's.
    """

    def __init__(self, loader: Loader, folders: Sequence[Path]) -> None:
        self.loader = loader
        self.folders = list(folders)
        self.problems: dict[str, None] = {}  # an ordered set: a sweep repeats its mistakes
        self.bases: dict[
            tuple[str, ...], tuple[DictConfig, HydraSettings, list[Source]] | None
        ] = {}

    def jobs(self, words: Sequence[str], multirun: bool) -> list[Job]:
        """A job for each combination of values; combinations that come out as the same run give one.

        Raises:
            ConfigError: With all mistakes of all runs, each once.
        """
        overrides = self._parsed(words)
        swept = [override for override in overrides or () if override.is_sweep_override()]
        for override in swept if not multirun else ():
            self._problem(f"{cut(written(override))}: {self._of_several_values(override)}")
        if overrides is None or (swept and not multirun):
            raise ConfigError(list(self.problems))
        keys = [override.get_key_element() for override in swept]
        jobs: list[Job] = []
        for combination in combinations(overrides):
            config = self.config(combination)
            if config:
                chosen = dict(word.split("=", 1) for word in combination if "=" in word)
                named = tuple((key.lstrip("+"), chosen[key]) for key in keys)
                jobs.append(Job(tuple(combination), config, named))
        self._raise_problems()
        forget()
        if len(jobs) == 1:  # to be shown, it needs no data
            return jobs
        runs: dict[tuple[str, str], Job] = {}
        for job in jobs:
            runs.setdefault((job.config.name, job.config.hash), job)
        return list(runs.values())

    def config(self, words: Sequence[str]) -> Config | None:
        """One checked configuration, or None where there were problems."""
        overrides = self._parsed(words)
        if overrides is None:
            return None
        if swept := [written(o) for o in overrides if o.is_sweep_override()]:
            self._problem(f"{cut(swept[0])}: one value is needed here, not several")
            return None
        choices = [o for o in overrides if self.loader.is_choice(o)]
        known = [o for o in choices if self._known_option(o)]
        base = self._base(known)
        if base is None or len(known) < len(choices):
            return None
        composed, _, sources = base
        composed = deepcopy(composed)
        settings = [o for o in overrides if o not in choices]
        try:
            for override in settings:
                # Misspelt keys are set too: the schema then reports all mistakes at once.
                apply(composed, override)
            raw = OmegaConf.to_container(composed, resolve=False)
            found = dict(problems_in(raw))
            checked = found or check(self._resolved(composed))
        except ConfigError as error:
            self._tell(error)
            return None
        except RecursionError:
            self._problem("the configuration is nested too deep")
            return None
        if isinstance(checked, Config):
            return checked
        for key, message in checked.items():
            self._problem(self._located(key, message, settings, sources))
        return None

    def located(self, words: Sequence[str], key: str, message: str) -> str:
        """A problem that is found later, with the place that set its key."""
        overrides = self._parsed(words) or []
        choices = [o for o in overrides if self.loader.is_choice(o)]
        base = self._base(choices)
        settings = [o for o in overrides if o not in choices]
        return self._located(key, message, settings, base[2] if base else [])

    def settings(self, words: Sequence[str]) -> HydraSettings | None:
        """What the words, the first value of each, and their files set of Hydra itself."""
        for first in combinations(self._parsed(words) or []):
            choices = [o for o in self._parsed(first) or [] if self.loader.is_choice(o)]
            base = self._base(choices) if all(map(self._known_option, choices)) else None
            return base[1] if base else None
        return None

    def composed(self, words: Sequence[str]) -> DictConfig:
        """A configuration as Hydra composes it, with Hydra's own part; it was checked before."""
        return self.loader.load_configuration("config", list(words), RunMode.RUN)

    def parts(self, words: Sequence[str]) -> tuple[Any, dict[str, Any]]:
        """What `composed` gives, as plain values: the configuration, and Hydra's own part."""
        overrides = self._parsed(words) or []
        choices = [o for o in overrides if self.loader.is_choice(o)]
        base = self._base(choices)
        assert base
        config = deepcopy(base[0])
        for override in overrides:
            if override not in choices:
                apply(config, override)
        return OmegaConf.to_container(config, enum_to_str=True), self.loader.own_part(overrides)

    def _parsed(self, words: Sequence[str]) -> list[Override] | None:
        """The words as overrides, or None where one of them is a problem."""
        overrides = []
        for word in words:
            try:
                if len(word) > LONGEST_WORD:
                    raise ValueError(f"longer than {LONGEST_WORD:,} characters")
                if word.count("${") > MOST_INTERPOLATIONS:
                    raise ValueError(f"over {MOST_INTERPOLATIONS} interpolations")
                override = self.loader.parsed(word)
                if problem := problem_with(override):
                    raise ValueError(problem)
                if override.is_sweep_override():
                    values_of(override)
                overrides.append(override)
            except ValueError as error:  # also a number of thousands of digits
                self._problem(f"{cut(word)}: {str(error).split(';')[0]}")
            except HydraException:
                told = hints.on_word(cut(word), self.loader.get_group_options)
                self._problem(f"{cut(word)}: {told}")
            except RecursionError:
                self._problem(f"{cut(word)}: nested too deep")
        return overrides if len(overrides) == len(words) else None

    def _known_option(self, override: Override) -> bool:
        """Whether the chosen option of a group exists; a problem if not."""
        if override.is_delete() or override.key_or_group.startswith("hydra."):
            return True
        group, value = override.key_or_group, override.value()
        word = cut(written(override))
        options = list(LAUNCHERS) if group == CHOICE else self.loader.get_group_options(group)
        if group in chosen() and word.startswith("+"):
            self._problem(f"{word}: {group} is chosen already; without +: {word.lstrip('+')}")
            return False
        several = value if isinstance(value, list) and group != CHOICE else None
        if several and group in chosen():
            hint = hints.on_option(group, word.partition("=")[2], options)
            told = hint.removeprefix("; ") or "one option; what is set in several of them differs"
            self._problem(f"{word}: {told}")
            return False
        for option in [value] if several is None else several:
            if option not in options:
                self._problem(f"{word}: {self._unknown(group, str(option), options)}")
                return False
        return True

    def _unknown(self, group: str, option: str, known: list[str]) -> str:
        hint = hints.on_option(group, cut(option), known)
        listed = f"Known: {', '.join(known)}"
        if len(known) > MOST_LISTED:
            listed = f"--help lists all {len(known)}"
        if not hint and group != CHOICE:
            listed += "; --config-dir" if group == hints.EXPERIMENTS else "; --plugin"
            listed += " names your own"
        return f"unknown {group} '{cut(option)}'{hint or '.'} {listed}"

    def _of_several_values(self, override: Override) -> str:
        """What to type instead of several values where one run is asked for."""
        base, key = self._base([]), override.key_or_group
        if base and OmegaConf.is_list(OmegaConf.select(base[0], key)):
            return f"a list is written in brackets: {key}=[{written(override).partition('=')[2]}]"
        return "several values need --multirun (-m)"

    def _base(
        self, choices: Sequence[Override]
    ) -> tuple[DictConfig, HydraSettings, list[Source]] | None:
        """What the chosen options compose to before single values are set, and from which files."""
        key = tuple(written(choice) for choice in choices)
        if key not in self.bases:
            self.bases[key] = self._composed_base(choices)
        return self.bases[key]

    def _composed_base(
        self, choices: Sequence[Override]
    ) -> tuple[DictConfig, HydraSettings, list[Source]] | None:
        try:
            composed, sources = self.loader.base(choices)
        except ConfigError as error:
            self._tell(error)
            return None
        except RecursionError:
            self._problem("a defaults list leads back to itself")
            return None
        except MissingConfigException as error:
            self._problem(self._missing(error))
            return None
        except Exception as error:  # whatever Hydra and OmegaConf find in somebody's files
            self._problem(_explained(error))
            return None
        settings = settings_of(composed)
        if isinstance(settings, dict):
            for key, message in settings.items():
                self._problem(self._located(key, message, choices, sources))
            return None
        composed = composed.copy()
        OmegaConf.set_struct(composed, False)
        del composed["hydra"]
        return composed, settings, sources

    def _missing(self, error: MissingConfigException) -> str:
        """Which entry of a defaults list names a file that there is not."""
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        for source in self.loader.repository.read.values():
            if line := source.line_of_default(group, option):
                known = self.loader.get_group_options(group) if group else []
                return f"{source}:{line}: {self._unknown(group or 'file', option, known)}"
        return _explained(error)

    def _resolved(self, composed: DictConfig) -> dict[str, Any]:
        try:
            values = OmegaConf.to_container(composed, resolve=True)
        except RecursionError:
            raise
        except Exception as error:  # an interpolation that leads nowhere
            raise ConfigError([_explained(error)]) from None
        assert isinstance(values, dict)
        return {str(key): value for key, value in values.items()}

    def _located(
        self, key: str, message: str, overrides: Sequence[Override], sources: Sequence[Source]
    ) -> str:
        """A problem with the place that set the key: an override, else file and line."""
        for override in overrides:
            if override.key_or_group == key or key.startswith(override.key_or_group + "."):
                return f"{cut(written(override))}: {cut(message, 300)}"
        above = key.rpartition(".")[0] if MISSING in message else ""  # it stands nowhere itself
        for source in sources:
            if line := source.line(key) or (above and source.line(above)):
                return f"{source}:{line}: {key}: {cut(message, 300)}"
        return f"{key}: {message}" if key else message

    def _tell(self, error: ConfigError) -> None:
        for problem in error.problems:
            self._problem(problem)

    def _problem(self, text: str) -> None:
        self.problems[cut(text, 1000)] = None

    def _raise_problems(self) -> None:
        if self.problems:
            raise ConfigError(list(self.problems))


_open: ContextVar[Composer | None] = ContextVar("_open", default=None)


def _explained(error: Exception) -> str:
    """One line on why Hydra could not compose."""
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return summary(error)
    said = [str(error).split("Config search path")[0]]
    if isinstance(error.__cause__, OmegaConfBaseException):  # passed on almost without a word
        said.append(str(error.__cause__).splitlines()[0])
    return cut(" ".join(" ".join(said).split()), 300)
