"""What somebody probably meant by a word, a path or a file that is not what it stands for."""

import re
from collections.abc import Callable
from pathlib import Path

from runner.config.defaults import CONF, chosen
from runner.config.mistakes import nearest, settings_that_take
from runner.config.schema import Config

FORM = "not of the form key=value"
EXPERIMENTS = "experiment"  # the config group, and the folder of its files
NUMBER = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?,?", re.IGNORECASE)


def on_word(word: str, options: Callable[[str], list[str]]) -> str:
    """Why a word is no override, and what to type instead.

    Args:
        word: As it was typed.
        options: The options of a config group.
    """
    key, stem = word.rstrip(":="), Path(word).name
    if word in ("help", "version"):
        return f"the option is --{word}"
    if EXPERIMENTS in Path(word).parts[:-1]:
        return on_experiment(Path(word))
    if stem in options(EXPERIMENTS):
        return f"an experiment is chosen by +experiment={stem}"
    for group in chosen():
        if stem in options(group):
            return f"an option of {group} is chosen by {group}={stem}"
    if key in Config.model_fields or re.fullmatch(rf"({'|'.join(chosen())})(\.\w+)+", key):
        return f"{FORM}, without spaces: {key}=..."
    if len(several := re.split(r"\s+(?=[\w@.]+=)", word)) > 1:
        return f"{FORM}; several words in one: each has quotes of its own, '{several[0]}' ..."
    if re.search(r"\s=|=\s", word):
        return f"{FORM}, without spaces: " + re.sub(r"\s*=\s*", "=", word)
    if NUMBER.fullmatch(word):
        return f"{FORM}; several values are joined by commas, without spaces: key=0.1,0.01"
    if word.endswith((",", ";")) and "=" in word:
        return f"{FORM}; only a space stands between two settings"
    if "=~" in word:
        return f"{FORM}; ~ is not replaced here: write $HOME/... or the whole path"
    if word.count("[") != word.count("]"):
        return f"{FORM}; a list is written in brackets without spaces: [100,100]"
    hint = (
        nearest(stem, options(EXPERIMENTS)).replace("'", "").replace("mean ", "mean +experiment=")
    )
    return f"{FORM}{hint or ' (quote values with special signs)'}"


def on_folder(path: str) -> str:
    """What to type instead of the path of a folder."""
    folder = Path(path)
    if (folder / "config.yaml").is_file():
        return f"a run's folder; {folder}/config.yaml trains it again, python -m runner.report {folder} shows it"
    if (folder / EXPERIMENTS).is_dir():
        return f"a folder of YAML files; --config-dir {folder} makes its files known"
    return f"a folder; python -m runner.report {folder} shows the runs in it"


def on_experiment(path: Path) -> str:
    """What to type instead of the path of an experiment's file."""
    if path.parent.name != EXPERIMENTS:
        return (
            f"an experiment; put it into a folder named {EXPERIMENTS}, mine/{EXPERIMENTS}/{path.name}, then"
            f" --config-dir mine +experiment={path.stem}"
        )
    own = path.stem in {file.stem for file in (CONF / EXPERIMENTS).glob("*.yaml")}
    where = "" if own else f"--config-dir {path.parent.parent} "
    return f"an experiment is chosen by its name: {where}+experiment={path.stem}"


def on_option(group: str, option: str, known: list[str]) -> str:
    """What to type instead of an option that a group does not have."""
    settings = settings_that_take(group, option)
    if settings:
        return f"; did you mean {' or '.join(f'{key}={option}' for key in settings)}?"
    return nearest(Path(option).stem if group == EXPERIMENTS else option, known)
