"""Two processes with the same command: they divide its runs, wait for each other, and end alike."""

import json
import re
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import Finished
from processes import TINY, Child, at_step, run, seeds_fail, start
from test_study_faults import BOTH, STUDY, outcome

from runner import report
from runner.config.study import TUNING_SEED
from runner.runs.folder import RunFolder

LAUNCHERS = {"basic": ["hydra/launcher=basic"], "stacked": ["hydra.launcher.width=3"]}
SWEEP = ["-m", "seed=0,1,2,3,4,5", "epochs=40", *TINY]
OFFSETS = [0.0, 0.1, 0.4]  # seconds from the first start to the second


@pytest.fixture
def study(tmp_path: Path) -> list[str]:
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "s.yaml").write_text(STUDY.replace("epochs: 3", "epochs: 20"))
    return ["--config-dir", str(tmp_path / "conf"), "+experiment=s", *TINY]


def both(root: Path, words: list[str], offset: float) -> list[Finished]:
    """How two processes end of which the second starts a little later."""
    first = start(root, *words)
    first.process.join(offset)
    second = start(root, *words)
    return [first.end(), second.end()]


def without_waiting(err: str) -> str:
    return re.sub(
        r"^Waiting for .*: process \d+ is training (this run|these runs) on .*\n",
        "",
        err,
        flags=re.M,
    )


def results(root: Path) -> dict[str, bytes]:
    found = root.glob("outputs/*/*-*/result.json")
    return {path.parent.name: path.read_bytes() for path in found}


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("how", LAUNCHERS)
def test_one_sweep(tmp_path: Path, how: str, offset: float) -> None:
    ended = both(tmp_path, [*SWEEP, *LAUNCHERS[how]], offset)
    tables = [finished.out[finished.out.index("\nseed") :].splitlines()[:8] for finished in ended]
    assert [finished.code for finished in ended] == [0, 0]
    assert tables[0] == tables[1] and "–" not in "".join(tables[0])
    assert [without_waiting(finished.err) for finished in ended] == ["", ""]
    found = results(tmp_path)
    again = run(tmp_path, *SWEEP, *LAUNCHERS[how])
    assert "6 of 6 runs were finished before" in again.out
    assert len(found) == 6 and found == results(tmp_path)
    trained = [re.findall(r"^\[\d/\d\] (seed=\d)", finished.out, re.M) for finished in ended]
    assert set(trained[0]) | set(trained[1]) == {f"seed={seed}" for seed in range(6)}


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("how", LAUNCHERS)
def test_one_study(tmp_path: Path, study: list[str], how: str, offset: float) -> None:
    ended = both(tmp_path, [*study, *LAUNCHERS[how]], offset)
    assert [finished.code for finished in ended] == [0, 0]
    assert [without_waiting(finished.err) for finished in ended] == ["", ""]
    verdicts = [finished.out[finished.out.index("\nIs it so?") :] for finished in ended]
    assert verdicts[0] == verdicts[1]
    record = json.loads((tmp_path / "outputs/s/study.json").read_text())
    report = (tmp_path / "outputs/s/report.md").read_text()
    (tmp_path / "outputs/s/study.json").unlink()
    assert run(tmp_path, *study, *LAUNCHERS[how]).code == 0
    assert json.loads((tmp_path / "outputs/s/study.json").read_text()) == record
    assert (tmp_path / "outputs/s/report.md").read_text() == report
    runs = {run for arm in record["arms"].values() for c in arm["candidates"] for run in c["runs"]}
    assert all(RunFolder(tmp_path / "outputs/s" / run).status == "complete" for run in runs)


@pytest.mark.parametrize("how", LAUNCHERS)
def test_what_a_killed_process_leaves_is_trained(tmp_path: Path, how: str) -> None:
    words = [*SWEEP, *LAUNCHERS[how], "epochs=200", "trainer.checkpoint_seconds=0"]
    first = start(tmp_path, *words, fault=partial(at_step, 300))
    first.wait_until(lambda: any(tmp_path.glob("outputs/runs/*/checkpoints/previous.ckpt")))
    second = start(tmp_path, *words)
    assert (first.end().code, second.end().code) == (-9, 0)
    folders = [RunFolder(path) for path in tmp_path.glob("outputs/runs/*-*")]
    assert [folder.status for folder in folders] == ["complete"] * 6
    assert all(len(folder.metrics()) == 201 for folder in folders)


@pytest.mark.parametrize("how", BOTH)
def test_a_study_of_which_one_of_two_processes_is_killed(
    tmp_path: Path, study: list[str], how: str
) -> None:
    words = [*study, *LAUNCHERS[how], "trainer.checkpoint_seconds=0"]
    alone = start(tmp_path / "alone", *words)
    first = start(tmp_path / "both", *words, fault=partial(at_step, 30))
    second = start(tmp_path / "both", *words)
    ended = [first.end(), second.end(), alone.end()]
    assert [finished.code for finished in ended] == [-9, 0, 0], ended
    assert without_waiting(ended[1].err) == ""
    assert outcome(tmp_path / "both")[0] == outcome(tmp_path / "alone")[0]
    results, expected = (outcome(tmp_path / name)[1] for name in ("both", "alone"))
    assert results.keys() == expected.keys()
    for name in expected:  # a stack of other runs rounds otherwise
        assert results[name] == pytest.approx(expected[name], rel=0 if how == "basic" else 1e-4)


def wait_for_word(child: Child, word: str) -> None:
    child.wait_until(lambda: word in child.err.read_text())


def test_a_single_run_that_is_waited_for(tmp_path: Path) -> None:
    """It dies, and the sweep, which has nothing else to do, goes on with it at once."""
    words = ["epochs=400", "trainer.checkpoint_seconds=0", *TINY]
    first = start(tmp_path, *words)
    first.wait_until(lambda: any(tmp_path.glob("outputs/runs/*/checkpoints/previous.ckpt")))
    sweep = start(tmp_path, "-m", "seed=0", *words)
    wait_for_word(sweep, f": process {first.process.pid} is training this run on ")
    first.kill()
    assert first.end().code == -9
    ended = sweep.end()
    assert ended.code == 0 and len(ended.err.splitlines()) == 1
    (path,) = tmp_path.glob("outputs/runs/*-*")
    assert len(RunFolder(path).metrics()) == 401


def test_waiting_can_be_interrupted(tmp_path: Path) -> None:
    words = ["epochs=100000", *TINY]
    first = start(tmp_path, *words)
    first.wait_until(lambda: any(tmp_path.glob("outputs/runs/*/status.json")))
    sweep = start(tmp_path, "-m", "seed=0", *words)
    wait_for_word(sweep, "Waiting for ")
    sweep.kill(signal.SIGINT)
    assert sweep.end().code == 130
    first.kill()
    first.end()


def rate_fails(rate: float) -> None:
    """The networks of runs with this learning rate cannot be built."""
    from runner.training import plan, train

    original = train.build_run

    def build_run(config: Any) -> Any:
        if config.optimizer.lr == rate:
            raise RuntimeError("cursed")
        return original(config)

    train.build_run = plan.build_run = build_run


def test_a_candidate_without_a_result_is_left_out_and_noted(
    tmp_path: Path, study: list[str]
) -> None:
    ended = run(tmp_path, *study, fault=partial(rate_fails, 0.1))
    assert ended.code == 3 and "Traceback" not in ended.err
    record = json.loads((tmp_path / "outputs/s/study.json").read_text())
    for arm in ("a", "b"):
        left_out = f"{arm}: tune: left out optimizer.lr=0.1: outputs/s/arm={arm},"
        assert left_out in ended.out and f"Note: {left_out}" in ended.out
        assert f"{arm}: tune: left out" in (tmp_path / "outputs/s/report.md").read_text()
        assert record["arms"][arm]["chosen"] == {"optimizer.lr": 0.01}
    assert report.main([str(tmp_path / "outputs/s")]) == 3
    assert run(tmp_path, *study).code == 0
    assert report.main([str(tmp_path / "outputs/s")]) == 0


def test_an_arm_without_any_result_ends_the_study(tmp_path: Path, study: list[str]) -> None:
    """Where the runs of the seed that tunes fail, there is nothing to choose from."""
    fault = partial(seeds_fail, (TUNING_SEED,), RuntimeError("cursed"))
    ended = run(tmp_path, *study, fault=fault)
    assert ended.code == 3
    assert ended.err.splitlines()[-1].startswith("a: none of 2 values tried has a result")
    assert not (tmp_path / "outputs/s/study.json").exists()
    assert run(tmp_path, *study).code == 0
