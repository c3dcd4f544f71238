"""The callback that records a run while it trains: metrics, curves, checkpoints."""

import time
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from runner.diagnostics import layer_statistics, update_ratios
from runner.layers import weights
from runner.module import Diverged, RunModule
from runner.results import RunFolder
from runner.tensorboard import Curves

PROBE = 500  # examples on which the layers are measured


class Recorder(Checkpoint):
    """Records every epoch, and epoch 0: the untrained network.

    A checkpoint holds everything that the rest of the run depends on, so that a resumed run ends with
    the same bits. It is written when the last one is `checkpoint_seconds` old, and by `save`.

    Args:
        folder: Where to.
        curves: TensorBoard's events.
        checkpoint: The checkpoint to go on from, or None.
        checkpoint_seconds: At most so much training is lost when the process is killed.
        diagnostics: Also measure the layers.
    """

    def __init__(
        self,
        folder: RunFolder,
        curves: Curves,
        checkpoint: dict[str, Any] | None,
        checkpoint_seconds: float,
        diagnostics: bool,
    ) -> None:
        self.folder = folder
        self.curves = curves
        self.checkpoint = checkpoint  # the state after the last finished epoch
        self.best: dict[str, Any] = checkpoint["best"] if checkpoint else {"val/accuracy": -1.0}
        self.checkpoint_seconds = checkpoint_seconds
        self.diagnostics = diagnostics
        self.written = time.monotonic()
        self.before_step: list[Tensor] = []

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, RunModule)
        if self.checkpoint:
            module.optimizer.load_state_dict(self.checkpoint["optimizer_states"][0])
        else:
            self._record(module, module.untrained_metrics())

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, block: list[int], index: int
    ) -> None:
        assert isinstance(module, RunModule)
        if self.diagnostics and block[-1] == module.steps_per_epoch - 1:
            self.before_step = [w.detach().clone() for w in weights(module.network)]

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, RunModule)
        if not all(p.isfinite().all() for p in module.network.parameters()):
            raise Diverged(module.epoch * module.steps_per_epoch)
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
        if self.diagnostics:
            metrics |= update_ratios(module.network, self.before_step)
        self._record(module, metrics)
        if metrics["val/accuracy"] > self.best["val/accuracy"]:
            self.best = {
                "epoch": module.epoch,
                "val/accuracy": metrics["val/accuracy"],
                "state_dict": copied(module.network.state_dict()),
            }
        self.checkpoint = self._state(module)
        if time.monotonic() - self.written >= self.checkpoint_seconds:
            self.save()

    def save(self) -> None:
        """Writes the state after the last finished epoch."""
        if self.checkpoint:
            self.folder.save_checkpoint("best", self.best)
            self.folder.save_checkpoint("last", self.checkpoint)
        self.written = time.monotonic()

    def _state(self, module: RunModule) -> dict[str, Any]:
        return {
            "epoch": module.epoch,
            "global_step": module.epoch * module.steps_per_epoch,
            "seconds": module.seconds,
            "state_dict": copied(module.network.state_dict()),
            "optimizer_states": [copied(module.optimizer.state_dict())],
            "best": self.best,
        }

    def _record(self, module: RunModule, metrics: dict[str, float]) -> None:
        """Writes the metrics of the epoch that has ended."""
        if self.diagnostics:
            train = module.data.train
            inputs, targets = module.batch_of(train, slice(0, PROBE))
            statistics, histograms = layer_statistics(module.network, module.loss, inputs, targets)
            metrics = metrics | statistics
            self.curves.add_histograms(module.epoch, histograms)
        finite = {name: finite_or_none(value) for name, value in metrics.items()}
        self.curves.add_epoch(module.epoch, finite)
        step = module.epoch * module.steps_per_epoch
        seconds = round(module.seconds, 6)
        self.folder.append_metrics(
            {"epoch": module.epoch, "step": step, "seconds": seconds, **finite}
        )


def finite_or_none(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if abs(value) < float("inf") else None


def copied(state: Any) -> Any:
    """A state dictionary on the CPU that further training does not change."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [copied(value) for value in state]
    return state
