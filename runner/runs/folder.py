"""The only reader and writer of a run folder.

Files are replaced atomically: written beside their final place, flushed to the disk, then renamed, so
that a process killed at any moment leaves the old file or the new one, never a part. Importing this
needs no torch: a finished run is found and told in a moment.
"""

import fcntl
import json
import os
import re
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runner.errors import CheckpointError, DataError, LockedError, summary

if TYPE_CHECKING:
    import numpy as np

OUTPUTS = Path("outputs")
FINISHED = ("complete", "diverged")
TEMPORARY = re.compile(r"\..+\.\d+")  # what `write_atomically` writes before it renames
STATE = ("epoch", "seconds", "state_dict", "optimizer_states", "best")  # in last.ckpt


class RunFolder:
    """One run's files.

    status.json       {"status": "running" | "complete" | "diverged" | "failed" | "interrupted", ...}
    config.yaml       the whole checked configuration
    metrics.jsonl     an object for each epoch: epoch, step, seconds and every metric
    result.json       the final numbers, written last
    predictions.npz   test split: probabilities (n, classes) float32 and labels (n,) int64
    checkpoints/      last.ckpt, previous.ckpt (the one before it), best.ckpt and their SHA256SUMS
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def status(self) -> str | None:
        """The status, or None for a folder in which nothing was started."""
        status = self._read_json("status.json")
        return None if status is None else str(status.get("status"))

    @property
    def reason(self) -> str:
        """Why the run did not complete."""
        return str((self._read_json("status.json") or {}).get("reason", ""))

    @property
    def stack(self) -> object:
        """With which runs it was trained as one when it was interrupted, and by how many workers."""
        return (self._read_json("status.json") or {}).get("stack")

    def write_status(self, status: str, **details: Any) -> None:
        self._write_json("status.json", {"status": status, "pid": os.getpid(), **details})

    def write_failure(self, error: BaseException) -> None:
        """The traceback goes to error.txt, one line to the status; to the screen if nothing can be written."""
        reason = summary(error)
        try:
            self.write_status("failed", reason=reason)
            (self.path / "error.txt").write_text("".join(traceback.format_exception(error)))
        except OSError as another:
            print(f"{self.path}: {reason}; this cannot be kept: {another}", file=sys.stderr)

    def write_config(self, values: dict[str, Any]) -> None:
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None)
        write_atomically(self.path / "config.yaml", text.encode())

    @property
    def result(self) -> dict[str, Any] | None:
        """The final numbers, or None before the run has ended."""
        return self._read_json("result.json")

    def write_result(self, result: dict[str, Any]) -> None:
        self._write_json("result.json", result)

    def metrics(self) -> list[dict[str, Any]]:
        """The metrics of every finished epoch, in order."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        # A process killed while it wrote leaves half a line at the end.
        lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [json.loads(line) for line in lines]

    def append_metrics(self, metrics: dict[str, Any]) -> None:
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(metrics, allow_nan=False) + "\n")

    def sync_metrics(self) -> None:
        """The metrics are on the disk before the checkpoint that goes on after them."""
        with (self.path / "metrics.jsonl").open("a") as file:
            os.fsync(file.fileno())

    def keep_metrics(self, last_epoch: int) -> None:
        """Drops what was written after the epoch from which a run goes on."""
        kept = [json.dumps(line) + "\n" for line in self.metrics() if line["epoch"] <= last_epoch]
        write_atomically(self.path / "metrics.jsonl", "".join(kept).encode())

    def write_predictions(self, probabilities: "np.ndarray", labels: "np.ndarray") -> None:
        import numpy as np

        buffer = BytesIO()
        np.savez(buffer, probabilities=probabilities, labels=labels)
        write_atomically(self.path / "predictions.npz", buffer.getvalue())

    def predictions(self) -> tuple["np.ndarray", "np.ndarray"]:
        """Probabilities (n, classes) and labels (n,) of the test split.

        Raises:
            DataError: The file is missing or damaged, or holds anything but these two arrays.
        """
        from runner.runs.predictions import read_predictions

        return read_predictions(self.path / "predictions.npz")

    def save_checkpoint(self, name: str, checkpoint: dict[str, Any]) -> None:
        """Writes checkpoints/<name>.ckpt; the last but one stays as previous.ckpt."""
        import torch

        buffer = BytesIO()
        torch.save(checkpoint, buffer)
        data = buffer.getvalue()
        folder = self.path / "checkpoints"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.ckpt"
        with replacing(path, data):
            # It is on the disk. The sums hold the old and the new file's, so that they are never wrong.
            sums = dict.fromkeys([sha256(data).hexdigest(), *self._sums()])
            write_atomically(folder / "SHA256SUMS", "".join(f"{s}\n" for s in [*sums][:8]).encode())
            if name == "last" and path.exists():
                os.replace(path, folder / "previous.ckpt")

    def load_checkpoint(self, name: str, up_to: int | None = None) -> dict[str, Any] | None:
        """The checkpoint of that name if it is there and intact; for last, else the previous one.

        A damaged last.ckpt is renamed to damaged.ckpt when the previous one takes its place.

        Args:
            name: last or best.
            up_to: Go back to this epoch: a later last.ckpt gives way to the previous one.

        Raises:
            CheckpointError: There are such checkpoints, but all are damaged.
        """
        folder = self.path / "checkpoints"
        damaged: list[str] = []
        later = False
        for candidate in ("last", "previous") if name == "last" else (name,):
            path = folder / f"{candidate}.ckpt"
            if not path.exists():
                continue
            loaded = self._intact(path)
            if loaded is not None:
                if up_to is not None and loaded["epoch"] > up_to:
                    later = True
                    continue
                if later:
                    os.replace(path, folder / "last.ckpt")
                if damaged:
                    print(f"{damaged[0]}: going on from {path.name}", file=sys.stderr)
                    os.replace(folder / "last.ckpt", folder / "damaged.ckpt")
                return loaded
            damaged.append(f"{path} is damaged")
        if damaged and not later:
            raise CheckpointError(
                f"{damaged[0]} (not what SHA256SUMS says, or no checkpoint of this runner) and no"
                " older one is intact. resume=false trains afresh"
            )
        return None

    def epochs_kept(self) -> set[int]:
        """The epochs from which the run can go on: those of its intact checkpoints.

        Also 0, the start, if it was killed before it had saved twice.
        """
        folder = self.path / "checkpoints"
        paths = [folder / f"{name}.ckpt" for name in ("last", "previous")]
        there = [path for path in paths if path.exists()]
        kept = {found["epoch"] for path in there if (found := self._intact(path))}
        status = self._read_json("status.json") or {}
        begun = status.get("status") == "running" and status.get("epoch") == 0
        return kept | {0} if begun and len(there) < 2 else kept

    def _intact(self, path: Path) -> dict[str, Any] | None:
        """A checkpoint, unless its sum is not known or it is anything but tensors and plain values."""
        import torch

        data = path.read_bytes()
        if sha256(data).hexdigest() not in self._sums():
            return None
        try:
            loaded = torch.load(BytesIO(data), weights_only=True)
        except Exception:  # whatever a forged file makes torch stumble over
            return None
        keys = STATE if path.stem != "best" else ()
        return loaded if isinstance(loaded, dict) and all(key in loaded for key in keys) else None

    def _sums(self) -> list[str]:
        path = self.path / "checkpoints" / "SHA256SUMS"
        return path.read_text(errors="replace").split() if path.exists() else []

    def clear(self) -> None:
        """Removes what an earlier training left: first, and at once, what a resumption would go on from."""
        (self.path / "status.json").unlink(missing_ok=True)
        checkpoints, doomed = self.path / "checkpoints", self.path / f".checkpoints.{os.getpid()}"
        if checkpoints.exists():
            os.replace(checkpoints, doomed)
            shutil.rmtree(doomed, ignore_errors=True)
        for name in ("result.json", "metrics.jsonl", "predictions.npz", "error.txt"):
            (self.path / name).unlink(missing_ok=True)
        for events in self.path.glob("events.out.tfevents.*"):
            events.unlink()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes out; the lock of a process that is dead does not count.

        Raises:
            LockedError: Another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise LockedError(
                    f"{self.path}: process {file.read().strip()} is training this run"
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            self._remove_leftovers()
            yield

    def _remove_leftovers(self) -> None:
        """What a killed process had begun to write."""
        for path in [*self.path.iterdir(), *(self.path / "checkpoints").glob(".*")]:
            if TEMPORARY.fullmatch(path.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _read_json(self, name: str) -> dict[str, Any] | None:
        path = self.path / name
        if not path.exists():
            return None
        try:
            values = json.loads(path.read_text())
        except ValueError as error:
            raise DataError(f"{path}: not JSON: {one_line(error)}") from None
        if not isinstance(values, dict):
            raise DataError(f"{path}: expected a JSON object, found {values!r:.40}")
        return values

    def _write_json(self, name: str, values: dict[str, Any]) -> None:
        text = json.dumps(values, indent=2, allow_nan=False) + "\n"
        write_atomically(self.path / name, text.encode())


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces a file as a whole: a reader, or a crash, finds the old content or the new."""
    with replacing(path, data):
        pass


@contextmanager
def replacing(path: Path, data: bytes) -> Iterator[None]:
    """Writes beside a file and takes its place at the end of the block."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def one_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
