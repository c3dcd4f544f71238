"""A run that was killed ends as the run that was not: the same bits, every epoch once."""

import hashlib
import json
import random
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from processes import TINY, at_step, run, start
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from runner.runs.folder import RunFolder

EPOCHS = 4  # of two updates
OPTIMIZERS = ["sgd", "momentum", "adam"]
REGULARIZERS = {
    "plain": ("schedule=cosine",),
    "batch_norm": ("regularizer=batch_norm", "select=best"),
    "dropout": ("regularizer=dropout", "data.augment=crop_flip", "schedule=exponential"),
}
LAUNCHERS = {"alone": (), "stacked": ("-m", "seed=0,1,2", "hydra.launcher.width=3")}
CELLS = [
    pytest.param(o, r, how, marks=[] if i % 3 == j else pytest.mark.slow, id=f"{o}-{r}-{how}")
    for (i, o), (j, r), how in product(enumerate(OPTIMIZERS), enumerate(REGULARIZERS), LAUNCHERS)
]
TIMES = ("train_seconds", "samples_per_second", "updates_per_second", "name")


def digest(value: Any) -> str:
    """The sha256 of all tensors and numbers in a checkpoint, except the seconds."""
    found = hashlib.sha256()

    def add(node: Any) -> None:
        if isinstance(node, dict):
            for key in node:
                if key != "seconds":
                    found.update(repr(key).encode())
                    add(node[key])
        elif isinstance(node, (list, tuple)):
            for item in node:
                add(item)
        elif hasattr(node, "numpy"):
            found.update(repr((node.dtype, node.shape)).encode() + node.numpy().tobytes())
        else:
            found.update(repr(node).encode())

    add(value)
    return found.hexdigest()


def outcome(path: Path, last: int) -> dict[str, Any]:
    """What a run has come to, times aside; its curves hold every epoch once."""
    folder = RunFolder(path)
    assert folder.status == "complete"
    epochs = list(range(last + 1))
    assert [line["epoch"] for line in folder.metrics()] == epochs
    curves = EventAccumulator(str(path), size_guidance={"scalars": 0})
    curves.Reload()
    for name in ("train/loss", "val/loss", "val/accuracy", "lr"):
        steps = [point.step for point in curves.Scalars(name)]
        assert steps == (epochs[1:] if name == "lr" else epochs), name
    assert [point.step for point in curves.Scalars("test/loss")] == [last]
    assert curves.Tensors("config/text_summary")
    metrics = [{k: v for k, v in line.items() if k != "seconds"} for line in folder.metrics()]
    result = {k: v for k, v in (folder.result or {}).items() if k not in TIMES}
    predictions = digest([array.tolist() for array in folder.predictions()])
    checkpoints = [digest(folder.load_checkpoint(name)) for name in ("last", "best")]
    return {"result": result, "metrics": metrics, "sums": [*checkpoints, predictions]}


def outcomes(folder: Path, last: int = EPOCHS) -> dict[str, dict[str, Any]]:
    return {path.name: outcome(path, last) for path in sorted(folder.glob("outputs/runs/*-*"))}


@pytest.mark.parametrize(("optimizer", "regularizer", "how"), CELLS)
def test_killed_twice_it_ends_with_the_same_bits(
    tmp_path: Path, optimizer: str, regularizer: str, how: str
) -> None:
    words = (*LAUNCHERS[how], f"optimizer={optimizer}", *REGULARIZERS[regularizer], *TINY)
    words = (*words, f"epochs={EPOCHS}", "trainer.checkpoint_seconds=0")
    whole = start(tmp_path / "whole", *words)
    killed = tmp_path / "killed"
    assert run(killed, *words, fault=partial(at_step, 4)).code == -9  # in the second epoch
    assert run(killed, *words, fault=partial(at_step, 3)).code == -9  # in the third
    last = run(killed, *words)
    assert (last.code, last.err) == (0, "")
    assert whole.end().code == 0
    assert outcomes(killed) == outcomes(tmp_path / "whole")
    assert len(outcomes(killed)) == (3 if how == "stacked" else 1)
    again = {p: p.stat().st_mtime_ns for p in killed.glob("outputs/runs/*-*/**/*")}
    assert "finished before" in run(killed, *words).out.lower()
    assert again == {p: p.stat().st_mtime_ns for p in again}


TOGETHER = {**LAUNCHERS, "two workers": ("-m", "seed=0,1,2,3")}


@pytest.mark.slow
@pytest.mark.parametrize("how", TOGETHER)
def test_killed_at_random_moments_it_ends_with_the_same_bits(tmp_path: Path, how: str) -> None:
    """Also between the saves of a stack's runs, and however many the stack was measured to have."""
    words = (*TOGETHER[how], "optimizer=adam", "regularizer=dropout", *TINY)
    words = (*words, "epochs=400", "trainer.checkpoint_seconds=0")
    fault = two_workers if how == "two workers" else None
    whole = start(tmp_path / "whole", *words, fault=fault)
    draw, kills = random.Random(0), 0
    for _ in range(20):
        child = start(tmp_path / "killed", *words, fault=fault)
        child.wait_until(child.out.exists)
        child.process.join(draw.uniform(0.2, 1.2))
        child.kill()
        kills += child.end().code == -9
    assert kills >= 5
    assert run(tmp_path / "killed", *words, fault=fault).code == 0
    assert whole.end().code == 0
    assert outcomes(tmp_path / "killed", 400) == outcomes(tmp_path / "whole", 400)


def two_workers() -> None:
    """A fault: no measurement, always stacks of two, two of them side by side.

    Also where only one of the stacks had begun: a width of half the runs that are left would make another stack.
    """
    from runner.training import plan, train

    train.fastest_plan = lambda *_: plan.Plan(2, 2, "")  # type: ignore[attr-defined]


DAMAGE = {
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "flipped": lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
}


@pytest.mark.parametrize("how", LAUNCHERS)
def test_a_damaged_checkpoint(tmp_path: Path, how: str) -> None:
    """The one before takes its place, with one warning; without one nothing is touched."""
    words = (*LAUNCHERS[how], "optimizer=adam", *TINY, f"epochs={EPOCHS}")
    words = (*words, "trainer.checkpoint_seconds=0")
    whole = start(tmp_path / "whole", *words)
    killed = tmp_path / "killed"
    for steps, damage in zip((6, 3, 3), DAMAGE.values(), strict=True):
        assert run(killed, *words, fault=partial(at_step, steps)).code == -9
        for path in killed.glob("outputs/runs/*-*/checkpoints/last.ckpt"):
            path.write_bytes(damage(path.read_bytes()))
    runs = 3 if how == "stacked" else 1
    folders = list(killed.glob("outputs/runs/*-*"))
    for path in folders:
        good = (path / "checkpoints" / "previous.ckpt").read_bytes()
        (path / "checkpoints" / "previous.ckpt").write_bytes(good[:-1])
        (path / "good").write_bytes(good)
    before = contents(killed)
    none = run(killed, *words)
    assert none.code == (3 if how == "stacked" else 2)
    told = runs * (2 if how == "stacked" else 1)  # in a sweep at once, and in the end
    assert none.err.count("last.ckpt is damaged") == told and "Traceback" not in none.err
    assert len(none.err.splitlines()) == told
    assert contents(killed) == before
    for path in folders:
        (path / "good").rename(path / "checkpoints" / "previous.ckpt")
    back = run(killed, *words)
    assert back.code == 0
    assert back.err.count("last.ckpt is damaged: going on from previous.ckpt") == runs
    assert len(back.err.splitlines()) == runs
    assert whole.end().code == 0
    assert outcomes(killed) == outcomes(tmp_path / "whole")


def contents(root: Path) -> dict[Path, bytes]:
    """All files of runs, but Hydra's own, the log, and who holds the lock."""
    files = (p for p in root.glob("outputs/runs/*-*/**/*") if p.is_file())
    others = ("run.log", ".lock", ".owner")
    own = {p for p in files if ".hydra" not in p.parts and p.name not in others}
    return {path: path.read_bytes() for path in own}


CHANGES = ["optimizer.lr=0.2", "seed=1", "batch_size.size=16", "epochs=5", "optimizer=momentum"]


def test_a_changed_setting_is_another_run(tmp_path: Path) -> None:
    words = (*TINY, f"epochs={EPOCHS}", "trainer.checkpoint_seconds=0")
    assert run(tmp_path, *words, fault=partial(at_step, 6)).code == -9
    (first,) = tmp_path.glob("outputs/runs/*-*")
    before = contents(tmp_path)
    children = [start(tmp_path, *words, change) for change in CHANGES]
    assert [child.end().code for child in children] == [0] * len(CHANGES)
    assert len(list(tmp_path.glob("outputs/runs/*-*"))) == 1 + len(CHANGES)
    assert {path: path.read_bytes() for path in before} == before
    for path in set(tmp_path.glob("outputs/runs/*-*")) - {first}:
        assert RunFolder(path).metrics()[0]["epoch"] == 0
    status = json.loads((first / "status.json").read_text())
    assert status["status"] == "running"
