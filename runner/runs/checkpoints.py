"""The checkpoints of a run: at any moment one of them is intact, and none is trusted when it is read."""

import os
import sys
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from runner.errors import CheckpointError, DataError
from runner.runs.files import read_file, replacing, write_atomically
from runner.runs.records import Checkpoint

SUMS_KEPT = 8
NOT_INTACT = "not what SHA256SUMS says, or no checkpoint of this runner"


class Checkpoints:
    """last.ckpt, previous.ckpt (the one before it), best.ckpt and their SHA256SUMS."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, name: str, checkpoint: dict[str, Any]) -> None:
        """Writes <name>.ckpt; the last.ckpt before it stays as previous.ckpt."""
        import torch

        buffer = BytesIO()
        torch.save(checkpoint, buffer)
        data = buffer.getvalue()
        self.path.mkdir(exist_ok=True)
        path = self._file(name)
        with replacing(path, data):
            # The new file is on the disk. The sums list both it and the old one, so they are never wrong.
            sums = dict.fromkeys([sha256(data).hexdigest(), *self._sums()])
            lines = "".join(f"{s}\n" for s in [*sums][:SUMS_KEPT])
            write_atomically(self.path / "SHA256SUMS", lines.encode())
            if name == "last" and path.exists():
                os.replace(path, self._file("previous"))

    def load(self, name: str, up_to: int | None = None) -> dict[str, Any] | None:
        """The checkpoint of that name if there is an intact one; for last, otherwise the previous one.

        A damaged last.ckpt is renamed to damaged.ckpt when the previous one takes its place.

        Args:
            name: last or best.
            up_to: Go back to this epoch: a later last.ckpt gives way to the previous one.

        Raises:
            CheckpointError: There are such checkpoints, but all are damaged.
        """
        damaged: list[Path] = []
        later = False
        for candidate in ("last", "previous") if name == "last" else (name,):
            path = self._file(candidate)
            if not os.path.lexists(path):
                continue
            loaded = self._intact(path)
            if loaded is None:
                damaged.append(path)
            elif up_to is not None and loaded["epoch"] > up_to:
                later = True
            else:
                if later:
                    os.replace(path, self._file("last"))
                if damaged:
                    print(f"{damaged[0]} is damaged: going on from {path.name}", file=sys.stderr)
                    os.replace(self._file("last"), self._file("damaged"))
                return loaded
        if damaged and not later:
            raise CheckpointError(
                f"{damaged[0]} is damaged ({NOT_INTACT})"
                " and no older one is intact. resume=false trains afresh"
            )
        return None

    def peek(self) -> dict[str, Any] | None:
        """The state after the last saved epoch, or None; unlike `load` it changes no file.

        Raises:
            CheckpointError: last.ckpt is damaged.
        """
        path = self._file("last")
        if not os.path.lexists(path):
            return None
        loaded = self._intact(path)
        if loaded is None:
            raise CheckpointError(f"{path} is damaged: {NOT_INTACT}")
        return loaded

    def epochs(self) -> tuple[set[int], int]:
        """The epochs of the intact checkpoints, and the number of all, damaged ones included."""
        paths = [self._file(name) for name in ("last", "previous")]
        there = [path for path in paths if os.path.lexists(path)]
        return {found["epoch"] for path in there if (found := self._intact(path))}, len(there)

    def _file(self, name: str) -> Path:
        return self.path / f"{name}.ckpt"

    def _intact(self, path: Path) -> dict[str, Any] | None:
        """A checkpoint, unless its sum is not known or it is anything but tensors and plain values."""
        import torch

        try:
            data = read_file(path)
            if data is None or sha256(data).hexdigest() not in self._sums():
                return None
            loaded: dict[str, Any] = torch.load(BytesIO(data), weights_only=True)
            if path.stem != "best":
                Checkpoint.model_validate(loaded)
        except Exception:  # torch raises many kinds for a forged file
            return None
        return loaded if isinstance(loaded, dict) else None

    def _sums(self) -> list[str]:
        try:
            data = read_file(self.path / "SHA256SUMS", limit=10_000)
        except DataError:  # then no checkpoint counts as intact
            return []
        return (data or b"").decode(errors="replace").split()
