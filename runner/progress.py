"""The progress bar: epoch, loss, accuracy, time left."""

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from runner.module import RunModule


class ProgressBar(pl.Callback):
    """Shows one run's progress on a terminal, and nothing elsewhere.

    Args:
        label: What to call the run.
        epochs: Its epochs, those done before a resumption counted.
    """

    def __init__(self, label: str, epochs: int) -> None:
        self.epochs = epochs
        console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("epoch {task.fields[epoch]}/{task.total:g}  {task.fields[metrics]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task(label[:40], total=epochs, epoch=0, metrics="")

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, RunModule)
        self.bar.update(self.task, completed=module.epoch, epoch=module.epoch)
        self.bar.start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: object,
        block: list[int],
        _: int,
    ) -> None:
        assert isinstance(module, RunModule)
        done = module.epoch + (block[-1] + 1) / module.steps_per_epoch
        self.bar.update(self.task, completed=done)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, RunModule)
        metrics = trainer.callback_metrics
        if "val/accuracy" in metrics:
            self.bar.update(
                self.task,
                epoch=module.epoch + 1,
                metrics=f"val loss {metrics['val/loss']:.4f}  accuracy {metrics['val/accuracy']:.2%}",
            )

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        self.bar.stop()
