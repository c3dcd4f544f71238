"""Hydra's launcher that trains the runs of a sweep in stacks (runner.stacking).

Each run then becomes a Hydra job of its own: its .hydra/ files, run.log and JobReturn are those that
the basic launcher leaves.
"""

import logging
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from runner.command import launch, terminal
from runner.config.schema import Config
from runner.runs.folder import RunFolder

log = logging.getLogger("runner")


class StackedLauncher(Launcher):
    """Trains the jobs of runner.launch.sweep.

    Args:
        width: Runs per stack; null measures which is fastest.
        max_width: The largest width to try.
    """

    config: DictConfig
    hydra_context: HydraContext

    def __init__(self, width: int | None, max_width: int) -> None:
        self.width = width
        self.max_width = max_width

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context = hydra_context
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        from runner.training import train as stacking  # imports torch

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        composer = Composer(self.hydra_context, self.config)
        returns: list[JobReturn] = []

        def finished(number: int, how: str) -> None:
            job = launch.sweep[number]

            def task(composed: DictConfig) -> None:
                log.info(how)
                values = OmegaConf.to_container(composed, resolve=True)
                assert Config.model_validate(values).hash == job.config.hash
                place = len(returns) + 1
                terminal.tell_finished(job, RunFolder(job.folder), place, len(launch.sweep))

            config = composer.job(job_overrides[number], initial_job_idx + number)
            returned = run_job(
                task_function=task,
                config=config,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
                hydra_context=self.hydra_context,
            )
            configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
            returns.append(returned)
            launch.stop_if_failed(job)

        def refused(number: int, error: Exception) -> None:
            terminal.tell_problems(error)
            launch.stop_if_failed(launch.sweep[number])

        stacking.train_all(
            [(job.config, job.folder) for job in launch.sweep],
            tell=lambda line: terminal.out.print(line, markup=False),
            finished=finished,
            refused=refused,
            width=self.width,
            max_width=self.max_width,
        )
        return returns


class Composer:
    """Composes the jobs' configurations as Hydra's load_sweep_config does, ten times as fast.

    Hydra reads every YAML file anew for each job. Here jobs that choose the same options share what
    these options compose to, and Hydra's own function sets the single values.
    """

    def __init__(self, context: HydraContext, master: DictConfig) -> None:
        self.loader = context.config_loader
        self.master = master
        self.parser = OverridesParser.create(config_loader=self.loader)
        self.groups = set(self.loader.list_groups(""))
        self.bases: dict[tuple[str, ...], DictConfig] = {}

    def job(self, words: Sequence[str], number: int) -> DictConfig:
        overrides = self.parser.parse_overrides(list(words))
        options = tuple(
            o.input_line or ""
            for o in overrides
            if o.key_or_group in self.groups or "/" in o.key_or_group
        )
        if options not in self.bases:
            self.bases[options] = self.loader.load_sweep_config(self.master, list(options))
        config = deepcopy(self.bases[options])
        values = [o for o in overrides if o.input_line not in options]
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        names = config.hydra.job.config.override_dirname
        task = [o for o in overrides if not o.is_hydra_override()]
        with open_dict(config):
            config.hydra.overrides.task = [o.input_line for o in task]
            config.hydra.overrides.hydra = [
                *self.master.hydra.overrides.hydra,
                *(o.input_line for o in overrides if o.is_hydra_override()),
            ]
            config.hydra.job.override_dirname = get_overrides_dirname(
                task, kv_sep=names.kv_sep, item_sep=names.item_sep, exclude_keys=names.exclude_keys
            )
            config.hydra.job.id = number
            config.hydra.job.num = number
        return config


@dataclass
class StackedLauncherConf:
    _target_: str = "hydra_plugins.stacked_launcher.StackedLauncher"
    width: int | None = None
    max_width: int = 256


ConfigStore.instance().store(group="hydra/launcher", name="stacked", node=StackedLauncherConf)
