"""A screen that is gone: `| head -1`, a full disk, closed descriptors. What is done is done all the same."""

import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from processes import SERVER, TINY

from runner import lecture, report
from runner.__main__ import main
from runner.runs.folder import RunFolder

SWEEP = ["-m", "seed=0,1", "epochs=2", *TINY]
GONE = "stdout cannot be written to ("
PLACES = {
    "pipe": ("|", "Broken pipe"),
    "full": (">/dev/full", "No space left on device"),
    "closed": (">&-", "it is closed"),
}


def ended(folder: Path, words: Sequence[str], **descriptors: str) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of the command with descriptors that are none of pytest's."""
    process = SERVER.Process(target=_child, args=(folder, words, descriptors))
    folder.mkdir(exist_ok=True)
    for name in ("stdout", "stderr"):
        (folder / name).touch()
    process.start()
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode, (folder / "stdout").read_text(), (folder / "stderr").read_text()


def _child(folder: Path, words: Sequence[str], descriptors: dict[str, str]) -> None:
    """Becomes the command, as a shell starts it."""
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        place = descriptors.get(name)
        if place == "pipe":
            reader, writer = os.pipe()
            os.close(reader)
        else:
            writer = os.open("/dev/full" if place == "full" else name, os.O_WRONLY)
        os.dup2(writer, number)
        os.set_inheritable(number, True)
        if place == "closed":
            os.close(number)
    module = "runner.lecture" if words[0] == "lecture" else "runner"
    arguments = [word for word in words if word != "lecture"]
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


@pytest.mark.parametrize("place", PLACES)
def test_a_sweep_whose_stdout_is_gone(tmp_path: Path, place: str) -> None:
    code, _, err = ended(tmp_path, SWEEP, stdout=place)
    assert code == 0
    assert err.splitlines() == [
        f"{GONE}{PLACES[place][1]}): what would be said there is lost, the rest goes on."
    ]
    assert len(list(tmp_path.glob("outputs/runs/*-*"))) == 2
    assert all(RunFolder(p).status == "complete" for p in tmp_path.glob("outputs/runs/*-*"))
    assert len((tmp_path / "outputs/runs/sweep.csv").read_text().splitlines()) == 3
    logs = [path.read_text() for path in tmp_path.glob("outputs/runs/*/.lock")]
    assert logs == ["", ""]  # nothing was printed into a file that got the descriptor


@pytest.mark.parametrize("place", PLACES)
def test_a_mistake_whose_stderr_is_gone(tmp_path: Path, place: str) -> None:
    assert ended(tmp_path, ["optimizer.lrr=3"], stderr=place) == (2, "", "")


@pytest.mark.parametrize("place", PLACES)
def test_both_are_gone(tmp_path: Path, place: str) -> None:
    code, _, _ = ended(tmp_path, ["epochs=2", *TINY], stdout=place, stderr=place)
    assert code == 0
    (path,) = tmp_path.glob("outputs/runs/*-*")
    assert RunFolder(path).status == "complete"


@pytest.mark.parametrize(
    "words", [["--info", "all"], ["lecture", "--help"]], ids=lambda words: words[0]
)
def test_what_only_prints(tmp_path: Path, words: list[str]) -> None:
    code, _, err = ended(tmp_path, words, stdout="pipe")
    assert (code, len(err.splitlines())) == (0, 1) and err.startswith(GONE)


def test_a_terminal_that_is_closed_while_bars_are_shown(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "runner", "epochs=30", "data.train_size=64", "trainer.threads=1"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm"}
    process = subprocess.Popen(
        line, cwd=tmp_path, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    assert os.read(ours, 1)
    os.close(ours)
    assert process.wait(60) == 0
    (path,) = tmp_path.glob("outputs/runs/*-*")
    assert RunFolder(path).status == "complete"


def test_the_streams_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sys.stdout, sys.stderr
    assert main(["optimizer.lrr=3"]) == 2
    assert report.main(["nowhere"]) == 2
    with pytest.raises(SystemExit):
        lecture.main(["nothing_such"])
    assert (sys.stdout, sys.stderr) == before
