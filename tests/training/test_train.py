"""Sweeps trained in stacks: their files, interruptions, faults, and which runs go together."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from by_hand import LOSSES, REGULARIZERS, configs_of, three_runs

from runner.config.schema import Config
from runner.errors import CheckpointError
from runner.interrupts import Interrupted
from runner.runs.folder import RunFolder
from runner.training import train as training
from runner.training.groups import grouped
from runner.training.module import RunsModule
from runner.training.plan import Plan
from runner.training.run import Run
from runner.training.train import train_all


def alone(config: Config, path: Path) -> RunFolder:
    """The run in a stack of its own."""
    train_all([(config, path)], print)
    return RunFolder(path)


def same_files(one: RunFolder, other: RunFolder) -> None:
    """Two runs that left the same: keys, numbers up to rounding, and names of files."""
    names = [
        {re.sub(r"tfevents.*", "", p.name) for p in folder.path.rglob("*") if p.is_file()}
        for folder in (one, other)
    ]
    # Which is there depends on how often a checkpoint was written.
    assert names[0] ^ names[1] <= {"previous.ckpt"}
    assert one.status == other.status
    for a, b in zip(one.curve(), other.curve(), strict=True):
        assert list(a) == list(b)
        for key in a.keys() - {"seconds"}:
            # Statistics of layers count units beside a threshold, one of which may cross it.
            assert a[key] == pytest.approx(b[key], rel=1e-3, abs=1e-3 if "/" in key else 0), key
    result, expected = one.result, other.result
    assert result is not None
    assert expected is not None
    assert list(result) == list(expected)
    for key in ("status", "seed", "epochs", "steps", "best_epoch", "parameters", "config_hash"):
        assert result[key] == expected[key], key
    if one.status == "complete":
        for key in ("test/loss", "val/loss", "train/loss"):
            assert result[key] == pytest.approx(expected[key], rel=LOSSES)
        probabilities, labels = one.predictions()
        others, other_labels = other.predictions()
        assert probabilities == pytest.approx(others, abs=1e-5)
        assert (labels == other_labels).all()
        assert probabilities.dtype == others.dtype


def mixed_runs() -> list[Config]:
    """Runs of one stack that differ in all that they may."""
    return configs_of(
        ["seed=0"],
        ["seed=1", "regularizer.dropout=0.5", "select=best"],
        ["seed=2", "regularizer.dropout_input=0.2", "optimizer.lr=0.01", "diagnostics=layers"],
        ["seed=3", "init=glorot_uniform", "init.bias=normal", "regularizer.l1=1e-3"],
        ["seed=4", "optimizer.lr=3e38"],
        common=["optimizer=adam", "architecture.activation=tanh"],
    )


def test_stacked_and_alone_leave_the_same_files(tmp_path: Path) -> None:
    configs = mixed_runs()
    ended: list[int] = []
    told: list[str] = []
    jobs = [(config, tmp_path / f"stacked{i}") for i, config in enumerate(configs)]
    train_all(jobs, told.append, lambda number, how: ended.append(number), width=5)
    assert sorted(ended) == [0, 1, 2, 3, 4]
    assert told == ["5 runs, all as one (width=5)"]
    for i, config in enumerate(configs):
        folder = alone(config, tmp_path / f"alone{i}")
        same_files(RunFolder(tmp_path / f"stacked{i}"), folder)
    assert RunFolder(tmp_path / "stacked4").status == "diverged"


def test_inside_an_epoch_nothing_is_recorded_of_a_run_that_is_not_finite(tmp_path: Path) -> None:
    configs = configs_of(["optimizer.lr=0.01"], ["optimizer.lr=3e38"], common=["evaluate_every=2"])
    jobs = [(config, tmp_path / f"{i}") for i, config in enumerate(configs)]
    train_all(jobs, print, width=2)
    sound, broken = (RunFolder(path) for _, path in jobs)
    assert [sound.status, broken.status] == ["complete", "diverged"]
    assert [line["step"] for line in sound.curve()] == list(range(0, 41, 2))
    assert [line["step"] for line in broken.curve()] == [0]
    broken.check_finished()


def interrupt_after(monkeypatch: pytest.MonkeyPatch, epochs: int, error: BaseException) -> None:
    """Makes the next stack stop in the middle of an epoch."""
    step, left = RunsModule.step, [epochs * 8 + 3]

    def interrupted(self: RunsModule, number: int) -> None:
        left[0] -= 1
        if not left[0]:
            monkeypatch.setattr(RunsModule, "step", step)
            raise error
        step(self, number)

    monkeypatch.setattr(RunsModule, "step", interrupted)


def test_an_interrupted_stack_resumes_stacked_and_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [
        config.model_copy(update={"evaluate_every": 3})  # interrupted after the 19th step
        for config in three_runs("adam", "dropout", "mlp")
    ]
    interrupt_after(monkeypatch, 2, Interrupted(2))
    jobs = [(config, tmp_path / f"{i}") for i, config in enumerate(configs)]
    with pytest.raises(Interrupted):
        train_all(jobs, print, width=3)
    assert [RunFolder(path).status for _, path in jobs] == ["interrupted"] * 3
    assert [len(RunFolder(path).metrics()) for _, path in jobs] == [3] * 3
    steps = [line["step"] for line in RunFolder(jobs[0][1]).curve()]
    assert steps == [0, 3, 6, 8, 9, 12, 15, 16]
    alone(*jobs[0])
    curve = RunFolder(jobs[0][1]).curve()
    assert [line["step"] for line in curve] == sorted({0, *range(3, 41, 3), *range(8, 41, 8)})
    assert [line["epoch"] for line in curve] == [line["step"] / 8 for line in curve]
    late = configs[0].model_copy(update={"seed": 9})
    jobs.append((late, tmp_path / "late"))  # a fresh run joins two that go on
    train_all(jobs[1:], print, width=3)
    for i, (config, path) in enumerate(jobs):
        same_files(RunFolder(path), alone(config, tmp_path / f"whole{i}"))


def test_a_resumed_run_has_every_measurement_once_and_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config,) = configs_of(["evaluate_every=3", "regularizer=dropout", "optimizer=adam"])
    interrupt_after(monkeypatch, 2, Interrupted(2))
    with pytest.raises(Interrupted):
        train_all([(config, tmp_path / "a")], print)
    curves = [alone(config, tmp_path / name).curve() for name in ("a", "whole")]
    for line in [line for curve in curves for line in curve]:
        del line["seconds"]
    assert curves[0] == curves[1]


def test_an_interrupted_run_goes_on_in_a_stack(tmp_path: Path) -> None:
    configs = three_runs("adam_uncorrected", "batch_norm", "mlp")
    short = [config.model_copy(update={"epochs": 2}) for config in configs]
    for i, config in enumerate(short):
        config = config.model_copy(update={"schedule": configs[i].schedule})
        alone(config, tmp_path / f"{i}").write_status("interrupted", epoch=2)
    jobs = [(config, tmp_path / f"{i}") for i, config in enumerate(configs)]
    train_all(jobs, print, width=3)
    for i, (config, path) in enumerate(jobs):
        same_files(RunFolder(path), alone(config, tmp_path / f"whole{i}"))


def saved(path: Path, *epochs: int, **status: Any) -> RunFolder:
    """A run that was saved after these epochs."""
    folder = RunFolder(path)
    folder.path.mkdir()
    folder.write_status(**({"status": "interrupted", "epoch": max(epochs, default=0)} | status))
    for epoch in epochs:
        state = {"seconds": 0.0, "state_dict": {}, "optimizer_states": [], "best": {}}
        folder.save_checkpoint("last", {"epoch": epoch, **state})
    return folder


def test_the_last_epoch_that_a_killed_stack_has_in_common(tmp_path: Path) -> None:
    ahead, behind = saved(tmp_path / "a", 1, 2, 3), saved(tmp_path / "b", 1, 2)
    common = training.last_common_epoch
    assert common([ahead, ahead]) == 3
    assert common([ahead, behind]) == 2
    begun = {"status": "running", "epoch": 0}
    first, never = saved(tmp_path / "c", 1, **begun), saved(tmp_path / "d", **begun)
    assert common([first, never]) == 0  # killed in its first save
    # Nothing that was saved is thrown away for a run that has lost what it had.
    once, lost = saved(tmp_path / "e", 7), saved(tmp_path / "f", status="interrupted", epoch=7)
    assert common([once, lost]) == 7
    assert common([ahead, never]) is None
    last = behind.path / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:-1])
    (behind.path / "checkpoints/previous.ckpt").unlink()
    assert common([ahead, behind]) == 3


def test_going_back_leaves_nothing_later_behind(tmp_path: Path) -> None:
    folder = saved(tmp_path / "a", 1, 2, 3)
    found = folder.load_checkpoint("last", up_to=2)
    assert found is not None and found["epoch"] == 2
    found = folder.load_checkpoint("last")
    assert found is not None and found["epoch"] == 2
    assert folder.epochs_kept() == {2}


def test_sums_that_are_no_text(tmp_path: Path) -> None:
    folder = saved(tmp_path / "a", 2)
    (folder.path / "checkpoints/SHA256SUMS").write_bytes(bytes(range(256)))
    assert folder.epochs_kept() == set()
    with pytest.raises(CheckpointError):
        folder.load_checkpoint("last")


def test_a_stack_that_cannot_begin_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [(c, tmp_path / f"{i}") for i, c in enumerate(three_runs("sgd", "plain", "mlp"))]
    interrupt_after(monkeypatch, 2, Interrupted(2))
    with pytest.raises(Interrupted):
        train_all(jobs, print, width=3)

    def unreadable(folders: object) -> int:
        raise OSError("cannot be read")

    monkeypatch.setattr(training, "last_common_epoch", unreadable)
    told: list[str] = []
    train_all(jobs, told.append, width=3)
    assert told[0] == "3 runs, as one again"
    assert {RunFolder(path).status for _, path in jobs} == {"complete"}


def test_out_of_memory_halves_the_width(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = three_runs("sgd", "plain", "mlp") + three_runs("sgd", "norms", "mlp")
    widths = []
    step = RunsModule.step

    def small_machine(self: RunsModule, number: int) -> None:
        widths.append(len(self.runs))
        if len(self.runs) > 3:
            raise torch.OutOfMemoryError("no room")
        step(self, number)

    monkeypatch.setattr(RunsModule, "step", small_machine)
    jobs = [(config, tmp_path / f"{i}") for i, config in enumerate(configs)]
    told: list[str] = []
    train_all(jobs, told.append, width=6)
    assert [RunFolder(path).status for _, path in jobs] == ["complete"] * 6
    assert sorted(set(widths)) == [3, 6]
    assert told == [
        "6 runs, all as one (width=6)",
        "6 runs, 2 stacks of up to 3 (more did not fit into memory)",
    ]


def test_a_stack_that_fails_goes_on_in_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after(monkeypatch, 1, RuntimeError("broken"))
    jobs = [(c, tmp_path / f"{i}") for i, c in enumerate(three_runs("sgd", "plain", "mlp"))]
    ended: list[int] = []
    told: list[str] = []
    train_all(jobs, told.append, lambda number, how: ended.append(number), width=3)
    assert sorted(ended) == [0, 1, 2]
    assert {RunFolder(path).status for _, path in jobs} == {"complete"}
    assert told[1] == "3 runs, 2 stacks of up to 2 (to find which fails: RuntimeError: broken)"


def test_batch_norm_is_stacked_in_mixed_precision(tmp_path: Path) -> None:
    own = [[f"seed={seed}", "trainer.precision=bf16-mixed"] for seed in range(2)]
    configs = configs_of(*own, common=REGULARIZERS["batch_norm"])
    jobs = [(config, tmp_path / f"{i}") for i, config in enumerate(configs)]
    told: list[str] = []
    train_all(jobs, told.append, width=2)
    assert told == ["2 runs, all as one (width=2)"]
    for i, config in enumerate(configs):
        result = RunFolder(tmp_path / f"{i}").result
        expected = alone(config, tmp_path / f"alone{i}").result
        assert result and expected
        # bfloat16 has 8 bits: what is rounded differently shows in the third digit.
        assert result["train/loss"] == pytest.approx(expected["train/loss"], rel=0.01)


def test_a_locked_run_is_left_out(tmp_path: Path) -> None:
    jobs = [(c, tmp_path / f"{i}") for i, c in enumerate(three_runs("sgd", "plain", "mlp"))]
    refused: list[int] = []
    with RunFolder(tmp_path / "1").lock():
        train_all(jobs, print, refused=lambda n, error: refused.append(n), width=3)
    assert refused == [1]
    assert RunFolder(tmp_path / "2").status == "complete"


@pytest.mark.parametrize(
    ("override", "together"),
    [
        ("seed=5", True),
        ("select=best", True),
        ("init=orthogonal", True),
        ("optimizer.lr=0.5", True),
        ("schedule.warmup_epochs=1", True),
        ("regularizer.l2=0.1", True),
        ("regularizer.dropout=0.5", True),
        ("regularizer.max_norm=1.0", True),
        ("diagnostics=layers", True),
        ("trainer.checkpoint_seconds=0", True),
        ("data.train_size=128", False),
        ("data.standardize=global", False),
        ("architecture.hidden=[50]", False),
        ("architecture.activation=tanh", False),
        ("loss=quadratic", False),
        ("batch_size=tiny", False),
        ("epochs=3", False),
        ("evaluate_every=2", False),
        ("optimizer=adam", False),
        ("schedule=cosine", False),
        ("regularizer.batch_norm=true", False),
        ("trainer.precision=bf16-mixed", False),
    ],
)
def test_which_runs_are_stacked(override: str, together: bool) -> None:
    groups = grouped(configs_of([], [override]))
    assert len(groups) == 2 - together
    name = override.split("=")[0]
    assert all((name in what) is not together for what, _ in groups)


def test_stacks_side_by_side_train_the_same_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "fastest_plan", lambda *_: Plan(2, 2, "for the test"))
    configs = three_runs("adam", "dropout", "mlp")
    jobs = [(config, tmp_path / f"{i}") for i, config in enumerate(configs)]
    ended: list[int] = []
    told: list[str] = []
    train_all(jobs, told.append, lambda number, how: ended.append(number))
    assert told == ["3 runs, 2 stacks of up to 2, 2 side by side (for the test)"]
    assert sorted(ended) == [0, 1, 2]
    for i, config in enumerate(configs):
        same_files(RunFolder(tmp_path / f"{i}"), alone(config, tmp_path / f"alone{i}"))


def test_what_is_raised_for_a_run_that_has_ended_is_raised(tmp_path: Path) -> None:
    configs = three_runs("sgd", "plain", "mlp")

    def stop(number: int, how: str) -> None:
        raise RuntimeError("the table cannot be written")

    for width in (1, 3):
        jobs = [(config, tmp_path / f"{width}of{i}") for i, config in enumerate(configs)]
        with pytest.raises(RuntimeError, match="the table"):
            train_all(jobs, print, stop, width=width)
        complete = [RunFolder(path).status == "complete" for _, path in jobs]
        assert sum(complete) == width


def test_runs_that_are_given_up_leave_the_others_unharmed(tmp_path: Path) -> None:
    configs = three_runs("adam", "dropout", "mlp")
    jobs = [(config, tmp_path / f"{i}") for i, config in enumerate(configs)]

    def prune(runs: dict[int, Run]) -> dict[int, str]:
        return {n: "too slow" for n, run in runs.items() if n == 1 and run.epoch == 2}

    ended: list[int] = []
    train_all(jobs, print, lambda number, how: ended.append(number), width=3, prune=prune)
    assert ended[0] == 1 and sorted(ended) == [0, 1, 2]
    given_up = RunFolder(tmp_path / "1")
    assert (given_up.status, given_up.epoch, given_up.reason) == ("pruned", 2, "too slow")
    assert [line["epoch"] for line in given_up.metrics()] == [0, 1, 2]
    train_all(jobs[1:2], print)  # asked for again it goes on to the end
    for i, (config, path) in enumerate(jobs):
        same_files(RunFolder(path), alone(config, tmp_path / f"alone{i}"))


# Through the command line
