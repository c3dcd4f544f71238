"""Mean curves over the seeds of each arm, for the figures and for TensorBoard."""

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from runner.runs.folder import RunFolder
from runner.studies.evidence import Evidence
from runner.studies.measuring import numbers_of

MEANS = "mean"  # outputs/<name>/mean/<arm>: what TensorBoard shows


@dataclass(frozen=True)
class MeanCurve:
    """A metric over training: arrays of the same length, an entry wherever runs were measured.

    Attributes:
        epochs, steps: Where the values lie.
        mean: The mean of the runs that have a value there.
        spread: Their standard deviation; 0 where there is only one.
    """

    epochs: np.ndarray
    steps: np.ndarray
    mean: np.ndarray
    spread: np.ndarray


def metrics_of(evidence: Evidence, arm: str) -> list[str]:
    """The names of all metrics that the runs of an arm record every epoch."""
    names: dict[str, None] = {}
    for seed in evidence.arms[arm].runs:
        for line in numbers_of(evidence.run(arm, seed)).by_epoch[:2]:
            names |= dict.fromkeys(line)
    return [name for name in names if name not in ("epoch", "step", "seconds")]


def mean_curve(evidence: Evidence, arm: str, metric: str) -> MeanCurve:
    """The mean of one metric over the seeds of an arm."""
    return mean_of([evidence.run(arm, seed) for seed in evidence.arms[arm].runs], metric)


def mean_of(folders: Iterable[RunFolder], metric: str) -> MeanCurve:
    """The mean of one metric over runs."""
    found: dict[float, tuple[int, list[float]]] = {}
    for folder in folders:
        for line in numbers_of(folder).curve:
            value = line.get(metric)
            if value is not None:
                found.setdefault(line["epoch"], (line["step"], []))[1].append(value)
    epochs = sorted(found)
    values = [found[epoch][1] for epoch in epochs]
    return MeanCurve(
        np.array(epochs),
        np.array([found[epoch][0] for epoch in epochs]),
        np.array([np.mean(v) for v in values]),
        np.array([np.std(v, ddof=1) if len(v) > 1 else 0.0 for v in values]),
    )


def write_mean_curves(evidence: Evidence) -> None:
    """Writes the mean curves of every arm as a TensorBoard run of its own."""
    # TensorBoard's own writer: importing torch's would take seconds.
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    means = evidence.folder / f"{MEANS}{evidence.suffix}"
    shutil.rmtree(means, ignore_errors=True)
    for arm in evidence.arms:
        writer = EventFileWriter(str(means / f"arm={arm}"))
        lines = {metric: mean_curve(evidence, arm, metric) for metric in metrics_of(evidence, arm)}
        between = any((line.epochs % 1 != 0).any() for line in lines.values())
        for metric, line in lines.items():
            places = line.steps if between else line.epochs  # TensorBoard knows whole numbers only
            for place, mean in zip(places, line.mean, strict=True):
                value = Summary.Value(tag=metric, simple_value=float(mean))
                event = Event(
                    wall_time=time.time(), step=int(place), summary=Summary(value=[value])
                )
                writer.add_event(event)
        writer.close()
