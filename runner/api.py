"""The runner from Python: train, load and compare runs.

import runner

(run,) = runner.train("optimizer=adam", "epochs=5")
run.result["test/accuracy"]
run.predict(images)
runner.results("outputs")
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.config.schema import Config
from runner.errors import DataError, RunError, Stopped
from runner.runs.folder import FINISHED, OUTPUTS, RunFolder
from runner.runs.listing import is_run, row_of, run_at, runs_in

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from runner.command.request import Request


class Run:
    """A run in its folder, to be read: nothing here changes a file.

    Args:
        folder: outputs/<name>/<run>, or a folder in which it is the only one.
        plugin: Modules or .py files with options of your own.

    Raises:
        DataError: There is no such run; or, when something is read, a file is damaged.
    """

    def __init__(self, folder: str | Path, plugin: str | Sequence[str] = ()) -> None:
        self.folder = run_at(Path(folder))
        self._plugin = plugin
        self._files = RunFolder(self.folder)

    def __repr__(self) -> str:
        return f"<Run {self.folder}: {self.status}>"

    @property
    def name(self) -> str:
        """The name of its folder: what varies, and the digits of its identity."""
        return self.folder.name

    @property
    def status(self) -> str:
        """running, complete, diverged, failed, interrupted or pruned."""
        return str(self._files.status)

    @property
    def reason(self) -> str:
        """Why the run did not complete."""
        return self._files.reason

    @property
    def config(self) -> Config:
        """All its settings: run.config.optimizer.lr."""
        with loaded(self._plugin):
            config = self._files.config()
        if config is None:
            raise DataError(f"{self.folder}/config.yaml: missing")
        return config

    @property
    def result(self) -> dict[str, Any]:
        """The final numbers by name; empty before the run has ended."""
        return self._files.result or {}

    @property
    def metrics(self) -> Any:
        """The metrics of every epoch, epoch 0 is the untrained network: a DataFrame, or a list of dictionaries.

        With `evaluate_every` also those between the ends of epochs; their `epoch` has a fraction.
        """
        return as_frame(self._files.curve())

    @property
    def predictions(self) -> "dict[str, np.ndarray]":
        """What the run says of the test split, by name: probabilities (n, classes) and labels (n,), for classes."""
        from runner.runs.predictions import read_arrays  # imports numpy

        return read_arrays(self.folder / "predictions.npz")

    def network(self) -> "nn.Module":
        """The trained network in eval mode: from raw images (n, channels, height, width) to what its task says.

        That is probabilities (n, classes), values (n,) or images. It scales images by itself: they are in the units of
        the data set, uint8 or float. `.outputs(images)` gives the outputs before any activation, `.network` is the bare network, `.inputs` what it takes.
        """
        from runner.training.trained import trained_network  # imports torch

        with loaded(self._plugin):
            return trained_network(self._files)

    def predict(self, images: Any) -> "np.ndarray":
        """Probabilities (n, classes), values (n,) or reconstructions of raw images, in the units of the data set; nothing is scaled before.

        Args:
            images: An array, tensor or list: (n, channels, height, width), (n, height, width) where there is one
                channel, or flat, (n, channels·height·width).

        Raises:
            ValueError: They have another shape, or were scaled before.
        """
        from runner.training.trained import TrainedNetwork, predict

        network = self.network()
        assert isinstance(network, TrainedNetwork)
        return predict(network, images)


def load(folder: str | Path, plugin: str | Sequence[str] = ()) -> Run:
    """The run in a folder.

    Raises:
        DataError: There is none, or more than one.
    """
    return Run(folder, plugin)


def results(folder: str | Path = OUTPUTS, plugin: str | Sequence[str] = ()) -> Any:
    """A row for each run at or below a folder: status, settings by dotted key, final numbers by name.

    A DataFrame, or a list of dictionaries without pandas. A damaged run has status "unreadable" and the reason.

    Raises:
        DataError: There is no such folder.
    """
    with loaded(plugin):
        return as_frame([row_of(path) for path in runs_in(Path(folder))])


def train(
    *overrides: str,
    multirun: bool = False,
    config_dir: str | Path | Sequence[str | Path] = (),
    plugin: str | Sequence[str] = (),
) -> list[Run]:
    """Trains what the same words on the command line would, below outputs/ in the working directory.

    What is finished is found and not trained again. A study is carried out and its report written.

    Args:
        overrides: As on the command line: "optimizer=adam", "optimizer.lr=0.001,0.01", "+experiment=adam_bn".
        multirun: Trains every combination of several values.
        config_dir: Folders of your own YAML files.
        plugin: Modules or .py files with options of your own.

    Returns:
        The runs in the order of their values; of a study those that its claims compare, of a search all trials.

    Raises:
        ConfigError, DataError, LockedError, CheckpointError: What the command line would say with exit code 2,
            before anything is trained.
        RunError: Runs failed; its `runs` are all of them. A run that diverged is a result.
        KeyboardInterrupt: The same call goes on from there.
    """
    if not all(isinstance(word, str) for word in overrides):
        raise TypeError('runner.train takes words: runner.train("optimizer=adam", "epochs=5")')
    from runner.__main__ import train_and_tell
    from runner.command.compose import composing
    from runner.command.flags import folders_of
    from runner.command.request import read_request

    given = [config_dir] if isinstance(config_dir, (str, Path)) else config_dir
    folders = folders_of([str(folder) for folder in given])
    try:
        with interruptible(), loaded(plugin), composing(folders):
            request = read_request(overrides, folders, multirun)
            train_and_tell(request)
    except Stopped as stopped:
        raise RunError(str(stopped), trained(request, plugin)) from None
    runs = trained(request, plugin)
    failed = [run for run in runs if run.status not in FINISHED]
    if failed:
        lines = [f"{run.folder}: {run.status}: {run.reason}" for run in failed]
        raise RunError("\n".join(lines), runs)
    return runs


def loaded(plugin: str | Sequence[str]) -> AbstractContextManager[None]:
    """A block in which there are the options of plugins."""
    from runner.command.plugins import plugins

    return plugins([plugin] if isinstance(plugin, str) else plugin)


def trained(request: "Request", plugin: str | Sequence[str]) -> list[Run]:
    """The runs of a request that have been started; of a study the final ones, of a search all."""
    config = request.jobs[0].config
    if config.search:
        return [Run(folder) for folder in runs_in(OUTPUTS / config.name)]
    folders = [job.folder for job in request.jobs]
    if request.jobs[0].config.study:
        from runner.studies.evidence import Evidence

        evidence = Evidence.read(OUTPUTS / request.jobs[0].config.name)
        runs = [
            arm.runs[seed] for seed in evidence.study.seed_list for arm in evidence.arms.values()
        ]
        folders = [evidence.folder_of(run).path for run in dict.fromkeys(runs)]
    return [Run(folder, plugin) for folder in folders if is_run(folder)]


def as_frame(rows: list[dict[str, Any]]) -> Any:
    """The rows as a DataFrame where pandas is installed."""
    try:
        import pandas as pd
    except ImportError:
        return rows
    return pd.DataFrame(rows)


@contextmanager
def interruptible() -> Iterator[None]:
    """A block that a signal ends once what was trained is saved; afterwards signals mean what they did before.

    Raises:
        KeyboardInterrupt: For a signal.
    """
    import signal
    import threading

    from runner.interrupts import SIGNALS, Interrupted, raise_on_signals

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    raise_on_signals()
    try:
        yield
    except Interrupted as interrupted:
        raise KeyboardInterrupt(str(interrupted)) from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
