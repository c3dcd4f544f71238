"""A run's curves of the training and of the validation split, once more as TensorBoard draws them in one chart.

One chart is one tag, and a colour is a folder of events: so train/loss is also Curves/loss of the folder train/, and
val/loss that of val/. TensorBoard shows groups by the alphabet, capitals first: all of a task's metrics come before
the learning rate and the diagnostics of layers.
"""

import socket
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from runner.runs.files import append, make_folder
from runner.runs.folder import CURVES


def scalars(metrics: Mapping[str, float | None]) -> Summary | None:
    """Numbers of one epoch, as one record: its checksum takes as long as all the rest of it."""
    found = [Summary.Value(tag=k, simple_value=v) for k, v in metrics.items() if v is not None]
    return Summary(value=found) if found else None


class SplitCurves:
    """Writes <run>/train/ and <run>/val/, a few times in a run: no file stays open.

    Args:
        folder: The run folder.
        resumed_after: As for `runner.runs.tensorboard.Curves`.
    """

    def __init__(self, folder: Path, resumed_after: int | None) -> None:
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"
        self.paths = {split: folder / split / name for split in CURVES}
        first = [Event(wall_time=time.time(), file_version="brain.Event:2")]
        if resumed_after is not None:
            begun = SessionLog(status=SessionLog.START)
            first.append(Event(wall_time=time.time(), step=resumed_after + 1, session_log=begun))
        self.waiting = {split: list(first) for split in CURVES}

    def add_epoch(self, epoch: int, metrics: Mapping[str, float | None]) -> None:
        for split, events in self.waiting.items():
            own = {
                f"Curves/{name.removeprefix(f'{split}/')}": value
                for name, value in metrics.items()
                if name.startswith(f"{split}/")
            }
            if summary := scalars(own):
                events.append(Event(wall_time=time.time(), step=epoch, summary=summary))

    def flush(self) -> None:
        """Writes what was added so far."""
        for split, path in self.paths.items():
            records = BytesIO()
            writer = RecordWriter(records)
            for event in self.waiting[split]:
                writer.write(event.SerializeToString())
            make_folder(path.parent)
            append(path, records.getvalue(), create=True)
            self.waiting[split].clear()
