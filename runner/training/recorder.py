"""Lightning callbacks: one records a run while it trains, one shows its progress."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from runner.options.layers import weights
from runner.runs.writer import RunRecord
from runner.training.diagnostics import layer_statistics, update_ratios
from runner.training.module import Diverged, RunModule
from runner.training.progress import Bar

PROBE = 500  # examples on which the layers are measured


class Recorder(Checkpoint):
    """Hands every epoch's metrics and state to the run's record, and those of the untrained network.

    A `Checkpoint`, because Lightning calls those last: when the module has logged its metrics.

    Args:
        record: Where to.
        diagnostics: Also measure the layers.
    """

    def __init__(self, record: RunRecord, diagnostics: bool) -> None:
        self.record = record
        self.diagnostics = diagnostics
        self.before_step: list[Tensor] = []

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, RunModule)
        if self.record.checkpoint:
            module.optimizer.load_state_dict(self.record.checkpoint["optimizer_states"][0])
        else:
            self._add_epoch(module, module.untrained_metrics())

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, block: list[int], index: int
    ) -> None:
        assert isinstance(module, RunModule)
        if self.diagnostics and block[-1] == module.steps_per_epoch - 1:
            self.before_step = [w.detach().clone() for w in weights(module.network)]

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, RunModule)
        self.record_epoch(module)
        if self.record.due:
            self.record.save()

    def record_epoch(self, module: RunModule) -> None:
        """The end of an epoch, as the module has measured it.

        Raises:
            Diverged: A weight is not finite.
        """
        if not all(p.isfinite().all() for p in module.network.parameters()):
            raise Diverged(module.epoch * module.steps_per_epoch)
        metrics = module.metrics
        if self.diagnostics:
            metrics |= update_ratios(module.network, self.before_step)
        self._add_epoch(module, metrics)
        self.record.add_checkpoint(module.training_state(), metrics["val/accuracy"])

    def _add_epoch(self, module: RunModule, metrics: dict[str, float]) -> None:
        histograms: dict[str, Tensor] = {}
        if self.diagnostics:
            inputs, targets = module.batch_of(module.data.train, slice(0, PROBE))
            statistics, histograms = layer_statistics(module.network, module.loss, inputs, targets)
            metrics = metrics | statistics
        step = module.epoch * module.steps_per_epoch
        self.record.add_epoch(module.epoch, step, module.seconds, metrics, histograms)


class ProgressBar(pl.Callback):
    """Shows one run's progress.

    Args:
        label: What to call the run.
        epochs: Its epochs, those done before a resumption counted.
    """

    def __init__(self, label: str, epochs: int) -> None:
        self.label = label[:40]
        self.epochs = epochs
        self.bar: Bar | None = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, RunModule)
        self.bar = Bar(self.label, self.epochs, begun=module.epoch)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: object,
        block: list[int],
        _: int,
    ) -> None:
        assert isinstance(module, RunModule)
        assert self.bar
        self.bar.advance(len(block) / module.steps_per_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, RunModule)
        assert self.bar
        loss, accuracy = (module.metrics[f"val/{name}"] for name in ("loss", "accuracy"))
        self.bar.epoch_ended(module.epoch + 1, f"val loss {loss:.4f}  accuracy {accuracy:.2%}")

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        if self.bar:
            self.bar.close()
