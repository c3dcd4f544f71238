"""A run's curves, histograms and settings as TensorBoard events."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

CHARTS = {  # train and validation of a metric on one chart, in the Custom Scalars tab
    "curves": {
        "loss": ["Multiline", ["train/loss", "val/loss"]],
        "accuracy": ["Multiline", ["train/accuracy", "val/accuracy"]],
    }
}

HISTOGRAM_VALUES = 5000  # of a tensor go into its histogram, about


class Curves:
    """Writes events.out.tfevents.* into a run folder; a step of the horizontal axis is an epoch.

    Args:
        folder: The run folder.
        config: The run's settings, for the Text and HParams tabs.
        resumed_after: The last epoch that an earlier process has finished; TensorBoard forgets what
            it wrote after that. None for a fresh start.
    """

    def __init__(self, folder: Path, config: dict[str, Any], resumed_after: int | None) -> None:
        self.config = config
        purge = None if resumed_after is None else resumed_after + 1
        self.writer = SummaryWriter(str(folder), purge_step=purge, flush_secs=5)
        if resumed_after is None:
            self.writer.add_custom_scalars(CHARTS)
            text = yaml.safe_dump(config, sort_keys=False, default_flow_style=None)
            self.writer.add_text("config", "".join(f"    {line}\n" for line in text.splitlines()))

    def add_epoch(self, epoch: int, metrics: Mapping[str, float | None]) -> None:
        for name, value in metrics.items():
            if value is not None:
                self.writer.add_scalar(name, value, epoch)

    def add_histograms(self, epoch: int, histograms: Mapping[str, Tensor]) -> None:
        for name, values in histograms.items():
            if values.isfinite().all():
                # Every k-th value: filling 1,500 bins with all of them takes longer than an epoch.
                values = values.flatten()[:: 1 + values.numel() // HISTOGRAM_VALUES]
                self.writer.add_histogram(name, values, epoch)

    def add_result(self, epoch: int, metrics: Mapping[str, float | None]) -> None:
        """The final metrics and the HParams entry that refers to them."""
        self.add_epoch(epoch, metrics)
        settings = dict(flat({k: v for k, v in self.config.items() if k != "trainer"}))
        # Without the experiment summary TensorBoard finds settings and metrics in all the runs.
        _, start, end = hparams(settings, {})
        assert self.writer.file_writer is not None
        self.writer.file_writer.add_summary(start)
        self.writer.file_writer.add_summary(end)

    def flush(self) -> None:
        """Nothing added so far is lost when the process is killed."""
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted keys with values that the HParams tab can show."""
    pairs: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            pairs += flat(value, f"{prefix}{key}.")
        elif value is not None:
            shown = value if isinstance(value, (bool, int, float, str)) else str(value)
            pairs.append((f"{prefix}{key}", shown))
    return pairs
