"""Hydra's sweeper for grids: hands the runs that are not yet finished to the launcher.

Which runs there are is decided, checked and compared with the finished ones before Hydra starts
(runner.command.compose), so there is nothing to expand here.
"""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from runner.command import launch


class RunnerSweeper(Sweeper):
    """Launches the jobs of runner.launch.sweep, each in its own folder."""

    launcher: Launcher

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> object:
        overrides = [
            [*job.overrides, f"hydra.sweep.subdir='{job.config.name}/{job.folder.name}'"]
            for job in launch.sweep
        ]
        returns = self.launcher.launch(overrides, initial_job_idx=0)
        # A run that fails says so in its folder; an exception here is a fault of the program.
        return [job_return.return_value for job_return in returns]


@dataclass
class RunnerSweeperConf:
    _target_: str = "hydra_plugins.runner_sweeper.RunnerSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="runner", node=RunnerSweeperConf)
