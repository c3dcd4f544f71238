"""What one run writes from its first epoch to its result. It does not know who trains it."""

import time
from collections.abc import Mapping
from io import BytesIO
from operator import gt, lt
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from runner.config.plugins import recorded
from runner.config.schema import Config
from runner.data.fingerprint import fingerprint
from runner.interrupts import uninterrupted
from runner.options.task import Findings
from runner.runs.folder import RunFolder
from runner.runs.provenance import device_name, git_commit, versions
from runner.runs.tensorboard import Curves

if TYPE_CHECKING:
    from PIL.Image import Image


class RunRecord:
    """Metrics, curves, checkpoints and results of a run; finds out where an earlier process stopped.

    A checkpoint is a dictionary with all that the rest of the run depends on, so that a resumed run
    ends with the same bits: `epoch`, `global_step`, `seconds`, `state_dict`, `optimizer_states`, and
    `best`: the epoch, the task's criterion (`val/accuracy`) and `state_dict` of the best epoch so far.

    Args:
        config: The run.
        folder: Where to; locked by the caller.
        up_to: Go on from no later epoch than this.
        stack: With which runs it is trained as one, by how many workers; see runner.training.groups.

    Attributes:
        checkpoint: The state after the last finished epoch, or None before the first.
        epoch: The number of finished epochs.

    Raises:
        CheckpointError: All checkpoints of an interrupted run are damaged.
    """

    def __init__(
        self,
        config: Config,
        folder: RunFolder,
        up_to: int | None = None,
        stack: dict[str, Any] | None = None,
    ) -> None:
        self.config = config
        self.folder = folder
        self.stack = {"stack": stack} if stack else {}
        self.checkpoint = folder.load_checkpoint("last", up_to) if config.resume else None
        if self.checkpoint:
            self.epoch: int = self.checkpoint["epoch"]
            folder.keep_metrics(self.epoch)
        else:
            self.epoch = 0
            folder.clear()
        self.best: dict[str, Any] = (self.checkpoint or {}).get("best", {})
        values = config.model_dump(mode="json")
        folder.write_config(config.record())
        names = [metric.name for metric in config.task.metrics]
        resumed = self._place(self.epoch, folder.metrics()[-1]["step"]) if self.epoch else None
        self.curves = Curves(folder.path, values, names, resumed)
        self.saved_at = time.monotonic()

    def start(self) -> None:
        """The run is being trained."""
        self.folder.write_status("running", epoch=self.epoch, **self.stack)

    def interrupted(self) -> None:
        """The run stops here for now."""
        with uninterrupted():
            self.save()
            self.folder.write_status("interrupted", epoch=self.epoch, **self.stack)

    def add_epoch(
        self,
        epoch: float,
        step: int,
        seconds: float,
        metrics: Mapping[str, float],
        histograms: Mapping[str, Tensor] | None = None,
    ) -> None:
        """The metrics at the end of an epoch or inside one; epoch 0 is the untrained network.

        Args:
            epoch: Finished epochs, an int at the end of one.
            step: Finished updates.
            seconds: Spent in training steps so far.
            metrics: By name; what is not finite is written as null.
            histograms: For TensorBoard, by name.
        """
        shown = {name: finite_or_none(value) for name, value in metrics.items()}
        at = self._place(epoch, step)
        self.curves.add_epoch(at, shown)
        self.curves.add_histograms(at, histograms or {})
        place = {"epoch": epoch, "step": step, "seconds": round(seconds, 6)}
        self.folder.append_metrics({**place, **shown})

    def _place(self, epoch: float, step: int) -> int:
        """Where it stands on TensorBoard's axis, which knows whole numbers only."""
        return step if self.config.evaluate_every else int(epoch)

    def add_checkpoint(self, state: dict[str, Any], metrics: Mapping[str, float]) -> None:
        """Keeps the state at the end of an epoch for `save`.

        Args:
            state: A checkpoint without `best`; kept, not copied.
            metrics: Of the epoch. Its task's criterion on the validation split decides; the first of
                equally good epochs is the best.
        """
        self.epoch = state["epoch"]
        task = self.config.task
        name = f"val/{task.criterion}"
        value = metrics[name]
        better = gt if task.metric(name).higher_is_better else lt
        if not self.best or better(value, self.best[name]):
            self.best = {"epoch": self.epoch, name: value, "state_dict": state["state_dict"]}
        self.checkpoint = {**state, "best": self.best}

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self.saved_at >= self.config.trainer.checkpoint_seconds

    def save(self) -> None:
        """Writes the kept state as last.ckpt and best.ckpt, after all curves up to it."""
        if self.checkpoint:
            self.curves.flush()
            self.folder.sync_metrics()
            self.folder.save_checkpoint("best", self.best)
            self.folder.save_checkpoint("last", self.checkpoint)
        self.saved_at = time.monotonic()

    def complete(
        self,
        test: Mapping[str, float],
        findings: Findings,
        parameters: int,
        batch_size: int,
        device: torch.device,
    ) -> None:
        """The run is trained and tested: writes predictions, then the result, then the status."""
        shown = {name: finite_or_none(value) for name, value in test.items()}
        last = self.folder.metrics()[-1]
        at = self._place(self.epoch, last["step"])
        self.folder.write_predictions(findings.arrays)
        for name, picture in findings.pictures.items():
            png = as_png(picture)
            self.folder.write_picture(name, png)
            self.curves.add_picture(at, name, png, picture.size)
        self.curves.add_scores(at, findings.scores.get("per_class"))
        self.curves.add_result(at, shown)
        self.curves.flush()
        result = self._result("complete", last, parameters, batch_size, device)
        self.folder.write_result(result | shown | findings.scores)
        self.folder.write_status("complete", epoch=self.epoch)

    def diverged(self, step: int, parameters: int, batch_size: int, device: torch.device) -> None:
        """The run ended at a step whose outcome is not finite: a result without numbers.

        What is saved is the state after the last epoch, which was finite.
        """
        self.save()
        last = self.folder.metrics()[-1]
        result = self._result("diverged", dict.fromkeys(last), parameters, batch_size, device)
        self.folder.write_result(result | {"epochs": self.epoch, "steps": step})
        reason = f"the loss or the weights are not finite at step {step}"
        self.folder.write_status("diverged", step=step, reason=reason)

    def pruned(self, reason: str) -> None:
        """The run, which is saved, is given up: asked for again, it goes on from here."""
        self.folder.write_status("pruned", epoch=self.epoch, reason=reason)

    def close(self) -> None:
        self.curves.close()

    def _result(
        self,
        status: str,
        last: dict[str, Any],
        parameters: int,
        batch_size: int,
        device: torch.device,
    ) -> dict[str, Any]:
        metrics = {k: v for k, v in last.items() if k not in ("epoch", "step", "seconds")}
        rate = last["step"] / last["seconds"] if last["seconds"] else None
        data = self.config.data
        return {
            "name": self.config.name,
            "run": self.folder.path.name,
            "status": status,
            "seed": self.config.seed,
            "epochs": last["epoch"],
            "steps": last["step"],
            "best_epoch": self.best.get("epoch"),
            "parameters": parameters,
            "device": device_name(device),
            "precision": self.config.trainer.precision,
            "threads": torch.get_num_threads(),
            "train_seconds": last["seconds"],
            "samples_per_second": rate and rate * batch_size,
            "updates_per_second": rate,
            "config_hash": self.config.hash,
            "data": {"name": data.name, "fingerprint": fingerprint(data)},
            "git_commit": git_commit(),
            "versions": versions(),
            **recorded(self.config.sources),
            **metrics,
            **dict.fromkeys(self.config.task.names("test")),
        }


def as_png(picture: "Image") -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format="PNG", compress_level=3)  # 2 ms; 6 takes 3
    return buffer.getvalue()


def finite_or_none(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if abs(value) < float("inf") else None
