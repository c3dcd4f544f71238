"""One line for a whole sweep or study: what it counts, and where it is not shown."""

from contextlib import closing

import pytest
from conftest import Command

from runner.training import progress
from runner.training.progress import Bar, Bars, Whole, whole

FAST = ("trainer.accelerator=cpu", "epochs=2", "data.train_size=32")


def counted(line: Whole) -> tuple[float, float | None, str]:
    (task,) = line.progress.tasks
    return task.completed, task.total, task.description


def test_a_whole_study_counts_runs_and_parts_of_runs() -> None:
    with whole(10, shown=False) as line:
        line.begin("tune", runs=4, already=1)
        assert counted(line) == (1, 10, "tune")
        with Bars() as bars, closing(Bar(bars, "2 runs", 2, epochs=4, begun=1, shown=True)) as bar:
            assert not any(task.visible for task in bars.progress.tasks)
            assert counted(line)[0] == 1.5
            bar.advance(1)
            assert counted(line)[0] == 2
        line.run_ended()
        assert counted(line)[0] == 2
        line.run_ended()  # before its last epoch
        assert counted(line)[0] == 3
        line.begin("seeds", runs=9, already=0)  # more than was known
        assert counted(line) == (3, 12, "seeds")
    assert progress.current() is None


def test_nothing_moves_where_there_is_no_terminal(command: Command) -> None:
    code, out, err = command("-m", "seed=0,1", "optimizer=sgd,adam", *FAST)
    assert code == 0
    assert out.splitlines()[0] == "2 seed × 2 optimizer: 4 runs"
    assert "left" not in out + err and "\x1b" not in out + err


@pytest.mark.parametrize("screen", [True, False])
def test_stdout_decides(monkeypatch: pytest.MonkeyPatch, screen: bool) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: screen)
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    assert Whole(1, shown=False).progress.disable is not screen
