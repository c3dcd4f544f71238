"""Runs that stop at a rung, go on from it, and are given up because of their cost."""

from pathlib import Path

from by_hand import three_runs
from test_train import alone, same_files

from runner.runs.folder import RunFolder
from runner.runs.rung import Rung
from runner.training.groups import evenly
from runner.training.rungs import stopping_at
from runner.training.train import train_all


def test_a_rung_stops_runs_that_go_on_later_to_the_same_end(tmp_path: Path) -> None:
    configs = three_runs("adam", "dropout", "mlp")
    jobs = [(config, tmp_path / f"{i}") for i, config in enumerate(configs)]
    rung = Rung(1)
    train_all(jobs, print, prune=stopping_at(rung, jobs))
    for _, path in jobs:
        folder = RunFolder(path)
        assert (folder.status, folder.epoch, folder.result) == ("pruned", 1, None)
        assert rung.reached(folder) and not Rung(2).reached(folder)
    train_all(jobs, print, prune=stopping_at(rung, jobs))  # nothing to do: none takes a step
    assert [RunFolder(path).epoch for _, path in jobs] == [1, 1, 1]
    train_all(jobs, print)
    for i, (config, path) in enumerate(jobs):
        assert rung.reached(RunFolder(path))
        same_files(RunFolder(path), alone(config, tmp_path / f"alone{i}"))


def test_a_run_whose_cost_grows_is_given_up_with_the_reason(tmp_path: Path) -> None:
    grows, *others = three_runs("sgd", "plain", "mlp")
    rule = grows.optimizer.model_copy(update={"lr": 30.0})
    jobs = [
        (config, tmp_path / f"{i}")
        for i, config in enumerate([grows.model_copy(update={"optimizer": rule}), *others])
    ]
    rung = Rung(grows.epochs, abort=1.5)
    train_all(jobs, print, prune=stopping_at(rung, jobs))
    first, *rest = [RunFolder(path) for _, path in jobs]
    assert first.status == "pruned" and rung.reached(first)
    assert "is above 1.5 times the initial" in first.reason
    assert [folder.status for folder in rest] == ["complete"] * 2


def test_pieces_come_out_the_same_when_the_first_are_done() -> None:
    for runs in range(1, 30):
        for width in range(1, 9):
            pieces = list(evenly(range(runs), width))
            assert [run for piece in pieces for run in piece] == list(range(runs))
            assert max(map(len, pieces)) <= width and len(pieces) == -(-runs // width)
            rest = [run for piece in pieces[1:] for run in piece]
            assert list(evenly(rest, width)) == pieces[1:]
