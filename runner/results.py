"""The only reader and writer of a run folder.

Files are replaced atomically: written beside their final place, flushed to the disk, then renamed, so
that a process killed at any moment leaves the old file or the new one, never a part. Importing this
needs no torch: a finished run is found and told in a moment.
"""

import fcntl
import json
import os
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runner.errors import CheckpointError, LockedError

if TYPE_CHECKING:
    import numpy as np

OUTPUTS = Path("outputs")


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
        return None if status is None else str(status["status"])

    @property
    def reason(self) -> str:
        """Why the run did not complete."""
        return str((self._read_json("status.json") or {}).get("reason", ""))

    def write_status(self, status: str, **details: Any) -> None:
        self._write_json("status.json", {"status": status, "pid": os.getpid(), **details})

    def write_failure(self, error: BaseException) -> None:
        """The traceback goes to error.txt, one line to the status."""
        (self.path / "error.txt").write_text("".join(traceback.format_exception(error)))
        first_line = (str(error).splitlines() or [""])[0]
        self.write_status("failed", reason=f"{type(error).__name__}: {first_line}")

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
        """Probabilities (n, classes) and labels (n,) of the test split."""
        import numpy as np

        with np.load(self.path / "predictions.npz", allow_pickle=False) as arrays:
            return arrays["probabilities"], arrays["labels"]

    def save_checkpoint(self, name: str, checkpoint: dict[str, Any]) -> None:
        """Writes checkpoints/<name>.ckpt; the last but one stays as previous.ckpt."""
        import torch

        buffer = BytesIO()
        torch.save(checkpoint, buffer)
        data = buffer.getvalue()
        folder = self.path / "checkpoints"
        folder.mkdir(exist_ok=True)
        # The sums are written first and hold the old and the new file's, so that they are never wrong.
        sums = [sha256(data).hexdigest(), *self._sums()][:8]
        write_atomically(folder / "SHA256SUMS", "".join(f"{s}\n" for s in sums).encode())
        path = folder / f"{name}.ckpt"
        if name == "last" and path.exists():
            os.replace(path, folder / "previous.ckpt")
        write_atomically(path, data)

    def load_checkpoint(self, name: str) -> dict[str, Any] | None:
        """The checkpoint of that name if it is there and intact; for last, else the previous one.

        Raises:
            CheckpointError: There are such checkpoints, but all are damaged.
        """
        import torch

        damaged: list[Path] = []
        for candidate in ("last", "previous") if name == "last" else (name,):
            path = self.path / "checkpoints" / f"{candidate}.ckpt"
            if not path.exists():
                continue
            data = path.read_bytes()
            if sha256(data).hexdigest() in self._sums():
                for bad in damaged:
                    print(f"{bad} is damaged: going on from {path.name}")
                loaded: dict[str, Any] = torch.load(BytesIO(data), weights_only=True)
                return loaded
            damaged.append(path)
        if damaged:
            raise CheckpointError(
                f"{damaged[0]} is damaged (its sha256 is not in SHA256SUMS) and no older one is intact."
                " resume=false trains afresh"
            )
        return None

    def _sums(self) -> list[str]:
        path = self.path / "checkpoints" / "SHA256SUMS"
        return path.read_text().split() if path.exists() else []

    def clear(self) -> None:
        """Removes what an earlier training left."""
        for name in ("status.json", "result.json", "metrics.jsonl", "predictions.npz", "error.txt"):
            (self.path / name).unlink(missing_ok=True)
        for events in self.path.glob("events.out.tfevents.*"):
            events.unlink()
        shutil.rmtree(self.path / "checkpoints", ignore_errors=True)

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
            yield

    def _read_json(self, name: str) -> dict[str, Any] | None:
        path = self.path / name
        if not path.exists():
            return None
        values: dict[str, Any] = json.loads(path.read_text())
        return values

    def _write_json(self, name: str, values: dict[str, Any]) -> None:
        text = json.dumps(values, indent=2, allow_nan=False) + "\n"
        write_atomically(self.path / name, text.encode())


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces a file as a whole: a reader, or a crash, finds the old content or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
