"""A finished network tested again: on its own data, or on others. It changes no file.

python -m runner.test outputs/adam_bn/default-2d81ddf79636a93e
python -m runner.test outputs/mnist/default-0123456789abcdef data=fashion_mnist
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.command.compose import composing
from runner.command.flags import folders_of
from runner.command.outcome import exit_code
from runner.command.overrides import expanded
from runner.command.terminal import out
from runner.config.schema import Config
from runner.errors import ConfigError, DataError
from runner.listing import aligned, cell, change
from runner.runs.folder import RunFolder
from runner.runs.listing import run_at

IDLE = (
    "data.standardize",
    "data.augment",
    "data.train_size",
)  # a network scales as it was trained to


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0; 2 no such run, a mistake, or data that the network cannot take."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.test",
        description="Tests a finished network again, or on other data.",
    )
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("overrides", nargs="*", help="other data: data=... data.<key>=...")
    told = "a folder of your own YAML files; again for another"
    parser.add_argument("--config-dir", "-cd", action="append", default=[], help=told)
    options = parser.parse_args(arguments)
    return exit_code(lambda: tell_test(options.run, options.overrides, options.config_dir))


def tell_test(run: Path, words: Sequence[str], config_dirs: Sequence[str]) -> None:
    """Prints the metrics of a run's network on a test split, beside those that the run has noted.

    Raises:
        ConfigError: A word is no setting of data, or wrong.
        DataError: No such run, or data that the network cannot take.
    """
    folder = RunFolder(run_at(run))
    config = with_other_data(folder, words, config_dirs)
    from runner.data.examples import load  # these import torch
    from runner.training.evaluation import evaluate
    from runner.training.facts import facts_of
    from runner.training.trained import trained_network

    network, data = trained_network(folder), load(config.data)
    found = evaluate(network, data, facts_of(config.data), config.seed)
    noted = folder.result or {}
    lines = [["", "here", "in the run", "difference"]]
    lines += [[key, cell(found, key), cell(noted, key), change(noted, found, key)] for key in found]
    out.print(f"{folder}: {folder.status}")
    out.print(f"Tested on the {len(data.test):,} test examples of {config.data.name}")
    if data.class_names != network.inputs.class_names:
        shown = [
            ", ".join(names or ())[:200] for names in (network.inputs.class_names, data.class_names)
        ]
        out.print(f"Note: the network's classes are {shown[0]}; those of the data {shown[1]}")
    out.print(aligned(lines))


def with_other_data(folder: RunFolder, words: Sequence[str], config_dirs: Sequence[str]) -> Config:
    """The checked settings of a run with those of its data replaced that the words name."""
    config = folder.config()
    if config is None:
        raise DataError(f"{folder}/config.yaml: missing")
    if not words:
        return config
    idle = [word for word in words if word.lstrip("+").split("=")[0] in IDLE]
    if idle:
        raise ConfigError([f"{word}: has no effect on a test" for word in idle])
    other = [word for word in words if word.lstrip("+").split("=")[0].split(".")[0] != "data"]
    if other:
        raise ConfigError(
            [f"{word}: only data=... and data.<key>=... make a test" for word in other]
        )
    own = expanded(str(folder.path / "config.yaml"))
    if any(word.startswith("data=") for word in words):  # its keys are another option's
        own = [word for word in own if not word.lstrip("+").startswith(("data=", "data."))]
    folders = folders_of(config_dirs)
    with composing(folders) as composer:
        (job,) = composer.jobs([*own, *words], multirun=False)
    return job.config


if __name__ == "__main__":
    sys.exit(main())
