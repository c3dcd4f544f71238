"""A run's curves, histograms and settings as TensorBoard events."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import yaml

# TensorBoard's own writer: torch's adds graphs, ONNX and a projector to it, and 0.03 times `import torch`.
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.plugins.custom_scalar.layout_pb2 import (
    Category,
    Chart,
    Layout,
    MultilineChartContent,
)
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from torch import Tensor

from runner.config.varying import leaves
from runner.foreign import for_markdown
from runner.runs.records import DUMPER
from runner.runs.split_curves import SplitCurves, scalars

HISTOGRAM_VALUES = 5000  # of a tensor go into its histogram, about
LIMITS = np.cumprod([1e-12, *[1.1] * 773])  # to 1e20, each a tenth larger, as in TensorFlow
BINS = np.concatenate([-LIMITS[::-1], [0.0], LIMITS])


class Curves:
    """Writes events.out.tfevents.* into a run folder; a step of the horizontal axis is an epoch, or with
    `evaluate_every` an update. Either is called an epoch here.

    Args:
        folder: The run folder.
        config: The run's settings, for the Text and HParams tabs.
        metrics: Those of every split; in the Custom Scalars tab each has a chart.
        resumed_after: The last epoch that an earlier process has finished; TensorBoard forgets what
            it wrote after that. None for a fresh start.
    """

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        metrics: Sequence[str],
        resumed_after: int | None,
    ) -> None:
        self.config = config
        self.writer = EventFileWriter(str(folder), flush_secs=5)
        self.splits = SplitCurves(folder, resumed_after)
        if resumed_after is None:
            self._add(charts(metrics))
            text = yaml.dump(config, Dumper=DUMPER, sort_keys=False, default_flow_style=None)
            self._add(text_value("config", "".join(f"    {line}\n" for line in text.splitlines())))
        else:
            begun = SessionLog(status=SessionLog.START)
            self.writer.add_event(
                Event(wall_time=time.time(), step=resumed_after + 1, session_log=begun)
            )

    def add_epoch(self, epoch: int, metrics: Mapping[str, float | None]) -> None:
        if summary := scalars(metrics):
            self.writer.add_event(Event(wall_time=time.time(), step=epoch, summary=summary))
        self.splits.add_epoch(epoch, metrics)

    def add_histograms(self, epoch: int, histograms: Mapping[str, Tensor]) -> None:
        for name, values in histograms.items():
            if values.isfinite().all():
                # Every k-th value: filling 1,500 bins with all of them takes longer than an epoch.
                values = values.flatten()[:: 1 + values.numel() // HISTOGRAM_VALUES]
                shown = histogram(values.double().cpu().numpy())
                self._add(Summary.Value(tag=name, histo=shown), epoch)

    def add_picture(self, epoch: int, name: str, png: bytes, size: tuple[int, int]) -> None:
        """A picture for the Images tab; its size is (width, height)."""
        image = Summary.Image(width=size[0], height=size[1], colorspace=3, encoded_image_string=png)
        self._add(Summary.Value(tag=name, image=image), epoch)

    def add_scores(self, epoch: int, rows: Sequence[Mapping[str, Any]] | None) -> None:
        """A table for the Text tab: a row for each class."""
        if rows:
            lines = ["| " + " | ".join(rows[0]) + " |", "| --- " * len(rows[0]) + "|"]
            for row in rows:
                cells = [for_markdown(cell(value)) for value in row.values()]
                lines.append("| " + " | ".join(cells) + " |")
            self._add(text_value("per_class", "\n".join(lines)), epoch)

    def add_result(self, epoch: int, metrics: Mapping[str, float | None]) -> None:
        """The final metrics and the HParams entry that refers to them.

        Which settings and metrics are shown is said by runner.runs.hparams.
        """
        self.add_epoch(epoch, metrics)
        start = SessionStartInfo()
        for key, value in leaves({k: v for k, v in self.config.items() if k != "trainer"}):
            match value:
                case None:
                    pass
                case bool():
                    start.hparams[key].bool_value = value
                case int() | float():
                    start.hparams[key].number_value = value
                case _:
                    start.hparams[key].string_value = str(value)
        end = SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
        for which, data in (
            ("start", HParamsPluginData(session_start_info=start)),
            ("end", HParamsPluginData(session_end_info=end)),
        ):
            tag = f"_hparams_/session_{which}_info"
            self._add(
                Summary.Value(tag=tag, metadata=metadata("hparams", data.SerializeToString()))
            )

    def flush(self) -> None:
        """Nothing added so far is lost when the process is killed."""
        self.writer.flush()
        self.splits.flush()

    def close(self) -> None:
        """What matters was flushed before: a disk that is full by now has failed the run already."""
        with suppress(OSError):
            self.writer.flush()
        with suppress(OSError):
            self.writer.close()

    def _add(self, value: Summary.Value, step: int = 0) -> None:
        summary = Summary(value=[value])
        self.writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))


def histogram(values: np.ndarray) -> HistogramProto:
    """How many values, float64 (n,), lie in each bin; of the bins those between the first and last used."""
    counts, limits = np.histogram(values, bins=BINS)
    used = counts.nonzero()[0]
    first, last = used[0], used[-1] + 1
    return HistogramProto(
        min=values.min(),
        max=values.max(),
        num=len(values),
        sum=values.sum(),
        sum_squares=values @ values,
        # TensorBoard knows a bin by its right limit: an empty one gives the first its left limit.
        bucket_limit=limits[first : last + 1].tolist(),
        bucket=[0, *counts[first:last].tolist()],
    )


def charts(metrics: Sequence[str]) -> Summary.Value:
    """The layout of the Custom Scalars tab: train and validation of a metric on one chart."""
    shown = [
        Chart(title=name, multiline=MultilineChartContent(tag=[f"train/{name}", f"val/{name}"]))
        for name in metrics
    ]
    layout = Layout(category=[Category(title="curves", chart=shown)])
    tensor = TensorProto(
        dtype="DT_STRING",
        string_val=[layout.SerializeToString()],
        tensor_shape=TensorShapeProto(),
    )
    tag = "custom_scalars__config__"
    return Summary.Value(tag=tag, tensor=tensor, metadata=metadata("custom_scalars"))


def text_value(name: str, text: str) -> Summary.Value:
    """Markdown for the Text tab."""
    tensor = TensorProto(
        dtype="DT_STRING",
        string_val=[text.encode()],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )
    return Summary.Value(tag=f"{name}/text_summary", tensor=tensor, metadata=metadata("text"))


def metadata(plugin: str, content: bytes = b"") -> SummaryMetadata:
    """Which of TensorBoard's tabs a value is for."""
    data = SummaryMetadata.PluginData(plugin_name=plugin, content=content)
    return SummaryMetadata(plugin_data=data)


def cell(value: object) -> str:
    """A value in a table."""
    if value is None:
        return "–"
    return f"{value:.2%}" if isinstance(value, float) else str(value)
