"""The only reader and writer of a run folder.

Importing this does not import torch, so that a finished run is found and shown in a moment.
"""

import json
import os
import re
import shutil
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runner.config.schema import Config
from runner.errors import CheckpointError, DataError, summary
from runner.runs.checkpoints import Checkpoints
from runner.runs.files import append, check_no_link, read_file, write_atomically
from runner.runs.lock import Identity, identity_of, locked
from runner.runs.records import (
    DUMPER,
    MAX_BYTES,
    MAX_METRICS_BYTES,
    Epoch,
    Result,
    Status,
    parsed,
    read_config,
)

if TYPE_CHECKING:
    import numpy as np

OUTPUTS = Path("outputs")
HYDRA = ".hydra"  # how the run was composed, in Hydra's files
CURVES = ("train", "val")  # TensorBoard's curves once more, by split
FINISHED = ("complete", "diverged")
NUMBERS = ("result.json", "metrics.jsonl")  # of a finished run; their sums stand in status.json
DELETED = "{} was deleted while its run was being trained"
ROW = re.compile(r"\[[\d,\s]+\]")  # of a matrix: on one line
MAX_PICTURE_BYTES, MAX_PIXELS = 1 << 24, 1 << 25
PNG = re.compile(
    rb"\x89PNG\r\n\x1a\n\0\0\0\rIHDR(.{4})(.{4})", re.DOTALL
)  # and its width and height
TEMPORARY = re.compile(r"\..+\.\d+")  # what `write_atomically` writes before it renames


class RunFolder:
    """One run's files.

    status.json       {"status": "running" | "complete" | "diverged" | "failed" | "interrupted"
                       | "pruned", ...}
    config.yaml       the whole checked configuration
    metrics.jsonl     an object for each epoch: epoch, step, seconds and every metric; and with
                      `evaluate_every` those between, whose epoch has a fraction
    result.json       the final numbers, written last
    predictions.npz   what it says of the test split; see runner.runs.predictions
    *.png             pictures, by the task: confusion_matrix, mistakes, reconstructions, ...
    checkpoints/      see runner.runs.checkpoints

    Reading raises DataError for a file that is not what a run leaves.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = Checkpoints(path / "checkpoints")
        self.locked: Identity | None = None  # while this object holds the lock

    def __str__(self) -> str:
        return str(self.path)

    # Status

    @property
    def status(self) -> str | None:
        """The status, or None if nothing was started in this folder."""
        status = self._status()
        return None if status is None else status.status

    @property
    def reason(self) -> str:
        """Why the run did not complete."""
        status = self._status()
        return "" if status is None else status.reason

    @property
    def epoch(self) -> int:
        """The finished epochs that the status names; 0 where it names none."""
        status = self._status()
        return 0 if status is None else status.epoch or 0

    @property
    def stack(self) -> dict[str, Any] | None:
        """The runs that it was trained with when it was interrupted, and the number of workers."""
        status = self._status()
        return None if status is None else status.stack

    def _status(self) -> Status | None:
        path = self.path / "status.json"
        data = read_file(path, MAX_BYTES)
        return None if data is None else parsed(Status, data, path)

    def write_status(self, status: str, **details: Any) -> None:
        """Writes the status, and the sums of the numbers if the run has ended."""
        if status in FINISHED:
            paths = [self.path / name for name in NUMBERS]
            details["sha256"] = {path.name: sum_of(path) for path in paths if path.exists()}
        self._write_json("status.json", {"status": status, "pid": os.getpid(), **details})

    def write_failure(self, error: BaseException) -> None:
        """Writes the traceback to error.txt and one line to the status; prints it if neither is possible."""
        reason = summary(error)
        try:
            if self.locked and identity_of(self.path) is None:
                # Deleted, and no other process has made it anew.
                reason = DELETED.format(self)
                self.path.mkdir(parents=True, exist_ok=True)
                self.locked = None
            self.write_status("failed", reason=reason)
            self._write("error.txt", "".join(traceback.format_exception(error)))
        except OSError as another:
            print(f"{self.path}: {reason}; this cannot be kept: {another}", file=sys.stderr)

    # Settings and numbers

    def config(self) -> Config | None:
        """The settings of the run, or None before they are written."""
        return read_config(self.path / "config.yaml")

    def write_config(self, values: dict[str, Any]) -> None:
        text = yaml.dump(
            values, Dumper=DUMPER, sort_keys=False, allow_unicode=True, default_flow_style=None
        )
        self._write("config.yaml", text)

    @property
    def result(self) -> dict[str, Any] | None:
        """The final numbers, or None before the run has ended."""
        data = self._numbers("result.json", MAX_BYTES)
        if data is None:
            return None
        return parsed(Result, data, self.path / "result.json").model_dump()

    def write_result(self, result: dict[str, Any]) -> None:
        self._write_json("result.json", result)

    def metrics(self) -> list[dict[str, Any]]:
        """The metrics of every finished epoch, in order, from epoch 0, the untrained network."""
        return [line for line in self.curve() if isinstance(line["epoch"], int)]

    def curve(self) -> list[dict[str, Any]]:
        """The metrics of every finished epoch, and what was measured between them, in order."""
        return [line.model_dump() for _, line in self._lines()]

    def _lines(self) -> Iterator[tuple[bytes, Epoch]]:
        """The lines of metrics.jsonl. A process killed while writing leaves half a line at the end."""
        path = self.path / "metrics.jsonl"
        *lines, _ = (self._numbers(path.name, MAX_METRICS_BYTES) or b"").split(b"\n")
        last: float = 0
        expected = 0  # the next whole one
        for number, line in enumerate(lines):
            place = f"{path}:{number + 1}"
            epoch = parsed(Epoch, line, place)
            whole = isinstance(epoch.epoch, int)
            if epoch.epoch != expected if whole else not last < epoch.epoch < expected:
                raise DataError(f"{place}: epoch {epoch.epoch} where epoch {expected} is expected")
            last, expected = epoch.epoch, expected + whole
            yield line, epoch

    def append_metrics(self, metrics: dict[str, Any]) -> None:
        line = json.dumps(metrics, allow_nan=False) + "\n"
        append(self._mine("metrics.jsonl"), line.encode())

    def sync_metrics(self) -> None:
        """Flushes the metrics to the disk; a checkpoint of the same epoch is written only afterwards."""
        append(self._mine("metrics.jsonl"), b"", sync=True)

    def keep_metrics(self, last_epoch: int) -> None:
        """Drops what was written after the epoch from which a run goes on.

        Raises:
            CheckpointError: Epochs before it are missing. The run could go on, but it would end with half
                its curves, and a study would read off them when a target was reached.
        """
        try:
            kept = [(line, epoch) for line, epoch in self._lines() if epoch.epoch <= last_epoch]
            if not kept or kept[-1][1].epoch < last_epoch:
                path = self.path / "metrics.jsonl"
                raise DataError(f"{path}: ends before epoch {last_epoch}, which last.ckpt is of")
        except DataError as error:
            raise CheckpointError(f"{error}; resume=false trains afresh") from None
        self._write("metrics.jsonl", b"".join(line + b"\n" for line, _ in kept))

    def check_finished(self) -> None:
        """Checks that a finished run has its settings and all its numbers.

        Raises:
            DataError: A file is missing, damaged, or was changed since the run ended.
        """
        if self.status in FINISHED:
            if not (self.path / "config.yaml").exists():
                raise DataError(
                    f"{self.path}/config.yaml: missing, though the run is {self.status}"
                )
            result, epochs = self.result, len(self.metrics()) - 1
            if result is None or (self.status, epochs) != (result["status"], result["epochs"]):
                raise DataError(
                    f"{self.path}: status.json, result.json, metrics.jsonl do not agree"
                )

    def _numbers(self, name: str, limit: int) -> bytes | None:
        """A file with a run's numbers; that of a finished run must be as it was when the run ended."""
        path = self.path / name
        data = read_file(path, limit)
        status = self._status()
        if status and status.status in FINISHED:
            if data is None:
                raise DataError(f"{path}: missing, though the run is {status.status}")
            if sha256(data).hexdigest() != status.sha256.get(name, sha256(data).hexdigest()):
                raise DataError(f"{path}: changed since the run ended")
        return data

    def write_predictions(self, arrays: Mapping[str, "np.ndarray"]) -> None:
        """Writes what the run says of the test split, as runner.runs.predictions reads it."""
        import numpy as np

        buffer = BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        self._write("predictions.npz", buffer.getvalue())

    def write_picture(self, name: str, png: bytes) -> None:
        write_atomically(self._mine(f"{name}.png"), png, sync=False)

    def pictures(self) -> dict[str, bytes]:
        """Its pictures as PNG, by name."""
        found = {}
        for path in sorted(self.path.glob("*.png")):
            png = read_file(path, MAX_PICTURE_BYTES) or b""
            size = PNG.match(png)
            if not size or prod(int.from_bytes(side) for side in size.groups()) > MAX_PIXELS:
                raise DataError(f"{path}: no PNG of at most {MAX_PIXELS:,} pixels")
            found[path.stem] = png
        return found

    def predictions(self) -> tuple["np.ndarray", "np.ndarray"]:
        """Probabilities (n, classes) and labels (n,) of the test split.

        Raises:
            DataError: The file is missing or damaged, or its run has learnt no classes.
        """
        from runner.runs.predictions import read_predictions

        return read_predictions(self.path / "predictions.npz")

    # Checkpoints

    def save_checkpoint(self, name: str, checkpoint: dict[str, Any]) -> None:
        """See Checkpoints.save."""
        self._mine("checkpoints")
        self.checkpoints.save(name, checkpoint)

    def load_checkpoint(self, name: str, up_to: int | None = None) -> dict[str, Any] | None:
        """See Checkpoints.load."""
        return self.checkpoints.load(name, up_to)

    def epochs_kept(self) -> set[int]:
        """The epochs from which the run can go on: those of its intact checkpoints.

        Also 0, the start, if it was killed before it had saved twice.
        """
        kept, number = self.checkpoints.epochs()
        status = self._status()
        begun = status is not None and (status.status, status.epoch) == ("running", 0)
        return kept | {0} if begun and number < 2 else kept

    def clear(self) -> None:
        """Removes what an earlier training left, first of all what a resumed run would go on from."""
        (self.path / "status.json").unlink(missing_ok=True)
        checkpoints, doomed = self.checkpoints.path, self.path / f".checkpoints.{os.getpid()}"
        if checkpoints.exists():
            os.replace(checkpoints, doomed)
            shutil.rmtree(doomed, ignore_errors=True)
        for name in ("result.json", "predictions.npz", "error.txt"):
            (self.path / name).unlink(missing_ok=True)
        for folder in ("", *CURVES):
            for events in (self.path / folder).glob("events.out.tfevents.*"):
                events.unlink()
        for picture in self.path.glob("*.png"):
            picture.unlink()
        write_atomically(self._mine("metrics.jsonl"), b"", sync=False)

    # Lock and writing

    @contextmanager
    def lock(self, timeout: float = 0) -> Iterator[None]:
        """Keeps other processes out; the lock of a dead process does not count.

        Args:
            timeout: Seconds to wait for another process; negative waits for ever.

        Raises:
            LockedError: Another process holds it.
            DataError: .lock is not a regular file, or a folder is a link.
        """
        self.check_folders()
        with locked(self.path, timeout) as self.locked:
            try:
                self._remove_leftovers()
                yield
            finally:
                self.locked = None

    def check_folders(self) -> None:
        """Raises DataError if a link would lead what is written to another place."""
        for name in ("", self.checkpoints.path.name, HYDRA, *CURVES):
            check_no_link(self.path / name)

    def _mine(self, name: str) -> Path:
        """Where to write a file.

        Raises:
            FileNotFoundError: The folder was deleted since it was locked, or replaced by another.
        """
        if self.locked and self.locked != identity_of(self.path):
            raise FileNotFoundError(DELETED.format(self))
        return self.path / name

    def _remove_leftovers(self) -> None:
        """Removes what a killed process had begun to write."""
        for path in [*self.path.iterdir(), *self.checkpoints.path.glob(".*")]:
            if TEMPORARY.fullmatch(path.name):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def _write_json(self, name: str, values: dict[str, Any]) -> None:
        text = json.dumps(values, indent=2, allow_nan=False)
        self._write(name, ROW.sub(lambda row: " ".join(row[0].split()), text) + "\n")

    def _write(self, name: str, content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        write_atomically(self._mine(name), data)


def sum_of(path: Path) -> str:
    return sha256(read_file(path) or b"").hexdigest()
