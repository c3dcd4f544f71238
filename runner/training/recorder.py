"""What happens to the runs of a module, written into each run's own folder; and Lightning's calls of it."""

from collections.abc import Callable, Collection, Mapping
from statistics import median
from threading import Event

from torch import Tensor

from runner.interrupts import uninterrupted
from runner.options.task import Task
from runner.runs.writer import RunRecord
from runner.training.diagnostics import layer_statistics, update_ratios
from runner.training.lightning import pl
from runner.training.module import RunsModule
from runner.training.progress import Bar
from runner.training.run import Run

PROBE = 500  # examples on which the layers are measured

# Given the runs after an epoch, with their metrics: those that are to be trained no further, and why.
Prune = Callable[[Collection[Run]], Mapping[Run, str]]


class Recorder:
    """Writes the epochs, checkpoints and ends of a module's runs.

    Args:
        records: Of each run.
        prune: Chooses the runs that are given up; None gives up none.
    """

    def __init__(self, records: Mapping[Run, RunRecord], prune: Prune | None = None) -> None:
        self.records = records
        self.prune = prune
        self.measured = [run for run in records if records[run].config.diagnostics.layers]
        self.before_step: list[Tensor] = []
        self.ended: list[Run] = []  # diverged or given up

    def begin(self, module: RunsModule) -> None:
        """The untrained networks are an epoch of their own, number 0."""
        fresh = [run for run in module.runs if not self.records[run].checkpoint]
        if fresh:
            module.measure_untrained()
            for run in fresh:
                self._add_epoch(module, run)

    def add_between(self, module: RunsModule) -> None:
        """Records what was measured inside the epoch since the last call."""
        with uninterrupted():
            for run, steps, seconds, metrics in module.between:
                epoch = round(run.epoch + steps / module.steps_per_epoch, 9)
                step = run.epoch * module.steps_per_epoch + steps
                self.records[run].add_epoch(epoch, step, seconds, metrics)
            module.between.clear()

    def before_last_step(self, module: RunsModule) -> None:
        """Keeps the weights, to compare them with those after the step."""
        if self.measured:
            self.before_step = [w.clone() for w in module.networks.logical_weights]

    def end_epoch(self, module: RunsModule) -> None:
        """Records the epoch of every run; those that are not finite or are given up have ended."""
        with uninterrupted():  # or some would stand an epoch before the others
            sound = [run for run in module.runs if run.broken_at is None]
            for run, state in zip(module.runs, module.states(), strict=True):
                if run in sound:
                    self._add_epoch(module, run)
                    self.records[run].add_checkpoint(state, run.metrics)
            given_up = self.prune(sound) if self.prune else {}
            if self.prune and (given_up or len(sound) < len(module.runs)):
                # Before the first has ended, so that a process killed here goes on with this stack.
                for run in sound:
                    self.records[run].save()
            for run in module.runs:
                if run.broken_at is not None:
                    self.records[run].diverged(run.broken_at, *module.described)
                    self.ended.append(run)
            self._give_up(given_up)
        going_on = [self.records[run] for run in module.runs if run not in self.ended]
        if any(record.due for record in going_on):
            for record in going_on:
                record.save()

    def give_up_begun(self) -> None:
        """Gives up the runs that already stand where they are to stop: their process was killed there."""
        begun = [run for run, record in self.records.items() if record.checkpoint]
        self._give_up(self.prune(begun) if self.prune else {})

    def _give_up(self, runs: Mapping[Run, str]) -> None:
        for run, why in runs.items():
            self.records[run].pruned(why)
            self.ended.append(run)

    def complete(self, module: RunsModule) -> None:
        """The runs are trained and tested."""
        for row, run in enumerate(module.runs):
            findings = module.task.findings(module.evaluated(row))
            self.records[run].complete(run.metrics, findings, *module.described)

    def _add_epoch(self, module: RunsModule, run: Run) -> None:
        metrics = run.metrics
        histograms: dict[str, Tensor] = {}
        if run in self.measured:
            row = module.runs.index(run)
            inputs, targets = module.feed.first(module.data.train, PROBE, row)
            network = module.networks.network(row)
            more = self.records[run].config.diagnostics.of_layer
            statistics, histograms = layer_statistics(network, module.loss, inputs, targets, more)
            ratios = update_ratios(module.networks.logical_weights, self.before_step, row)
            metrics = metrics | ratios | statistics
        step = run.epoch * module.steps_per_epoch
        self.records[run].add_epoch(run.epoch, step, run.seconds, metrics, histograms)


class RecorderCallback(pl.callbacks.Checkpoint):
    """Lightning's calls of a recorder: a `Checkpoint`, because Lightning calls those last.

    Args:
        recorder: Of the module's runs.
        bar: Shows the progress.
        stopped: Set when the training is to stop at the next block of steps.
    """

    def __init__(self, recorder: Recorder, bar: Bar, stopped: Event) -> None:
        self.recorder = recorder
        self.bar = bar
        self.stopped = stopped

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, RunsModule)
        self.recorder.begin(module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, block: list[int], index: int
    ) -> None:
        assert isinstance(module, RunsModule)
        if self.stopped.is_set():
            raise Halted
        if block[-1] == module.steps_per_epoch - 1:
            self.recorder.before_last_step(module)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: object,
        block: list[int],
        index: int,
    ) -> None:
        assert isinstance(module, RunsModule)
        if module.between:
            self.recorder.add_between(module)
        self.bar.advance(len(block) / module.steps_per_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, RunsModule)
        self.recorder.end_epoch(module)
        self.bar.epoch_ended(
            min(run.epoch for run in module.runs), outcome(module.runs, module.task)
        )
        trainer.should_stop = bool(self.recorder.ended)

    def on_test_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, RunsModule)
        self.recorder.complete(module)


class Halted(BaseException):
    """The training was told to stop by `stopped`."""


def outcome(runs: Collection[Run], task: Task) -> str:
    """How well runs do, in a few words."""
    name, shown = task.criterion, task.metric(task.criterion).shown
    values = [run.metrics[f"val/{name}"] for run in runs]
    if len(runs) == 1:
        (run,) = runs
        return f"val loss {run.metrics['val/loss']:.4f}  {name} {shown(values[0])}"
    best = max(values) if task.metric(name).higher_is_better else min(values)
    return f"val {name} best {shown(best)}, median {shown(median(values))}"
