"""A disk that is full, or cannot be written to: what was saved before stays, and it is told in a line."""

import resource
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from folders import EVERY_EPOCH, LAUNCHERS
from processes import TINY, run

from runner.command.compose import composing
from runner.runs.folder import RunFolder


def no_room(epoch: int, limit: int, all_files: bool = False) -> None:
    """No file can be longer than `limit` when the first run saves after an epoch, or from then on."""
    from runner.runs.writer import RunRecord

    original = RunRecord.save
    struck: list[Path] = []
    everything = resource.getrlimit(resource.RLIMIT_FSIZE)

    def save(record: RunRecord) -> None:
        path = record.folder.path
        if record.epoch == epoch and struck in ([], [path]):
            if not struck:
                shutil.copytree(path / "checkpoints", path.parent.parent / "before")
            struck[:] = [path]
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, everything[1]))
        try:
            original(record)
        finally:
            if not all_files:
                resource.setrlimit(resource.RLIMIT_FSIZE, everything)

    RunRecord.save = save  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("limit", "how"),
    [
        pytest.param(0, "basic", id="sums"),
        pytest.param(10_000, "basic", id="best", marks=pytest.mark.slow),
        pytest.param(90_000, "basic", id="last"),
        pytest.param(0, "stacked", id="sums-stacked", marks=pytest.mark.slow),
        pytest.param(90_000, "stacked", id="last-stacked"),
    ],
)
def test_a_full_disk_leaves_the_checkpoints_as_they_are(
    tmp_path: Path, limit: int, how: str
) -> None:
    words = ["-m", "seed=0,1", *LAUNCHERS[how]] if how == "stacked" else []
    words += ["optimizer=adam", "epochs=4", EVERY_EPOCH, *TINY]
    ended = run(tmp_path, *words, fault=partial(no_room, 3, limit))
    assert ended.code == (3 if how == "stacked" else 1)
    assert "OSError: [Errno 27] File too large" in ended.err and "Traceback" not in ended.err
    broken = [p for p in tmp_path.glob("outputs/runs/*-*") if RunFolder(p).status == "failed"]
    (path,) = broken
    before = {p.name: p.read_bytes() for p in (tmp_path / "outputs/before").iterdir()}
    after = {p.name: p.read_bytes() for p in (path / "checkpoints").iterdir()}
    kept = set(before) - ({"best.ckpt", "SHA256SUMS"} if limit == 90_000 else set())
    assert {"last.ckpt", "previous.ckpt"} <= kept
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert "File too large" in (path / "error.txt").read_text()
    again = run(tmp_path, *words)
    assert (again.code, again.err) == (0, "")


@pytest.mark.slow
def test_a_disk_too_full_to_say_so(tmp_path: Path) -> None:
    """Not even the status can be written: it is told on the screen, and the next start goes on."""
    words = ["epochs=4", EVERY_EPOCH, *TINY]
    program = (
        "import sys; sys.path[:0] = [sys.argv.pop(1), sys.argv.pop(1)];"
        "import test_full_disk; test_full_disk.no_room(2, 0, True);"
        "from runner.__main__ import main; sys.exit(main())"
    )
    line = [
        sys.executable,
        "-c",
        program,
        str(Path(__file__).parents[1]),
        str(Path(__file__).parent),
        *words,
    ]
    ended = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "File too large" in ended.stderr and "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 6
    assert run(tmp_path, *words).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", LAUNCHERS)
def test_a_disk_that_is_really_full(tmp_path: Path, how: str) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", str(outputs)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        words = ["-m", "seed=0,1,2,3,4,5", "optimizer=adam", "epochs=4", EVERY_EPOCH, *TINY]
        ended = run(tmp_path, *words, *LAUNCHERS[how])
        assert ended.code in (1, 3)
        assert "No space left on device" in ended.err and "Traceback" not in ended.err
        subprocess.run(["mount", "-o", "remount,size=20m", str(outputs)], check=True)
        again = run(tmp_path, *words, *LAUNCHERS[how])
        assert again.code == 0 and "damaged" not in again.err
    finally:
        subprocess.run(["umount", str(outputs)], check=True)


@pytest.mark.parametrize("width", [1, 2])
def test_a_run_whose_folder_cannot_be_made_is_refused_once(tmp_path: Path, width: int) -> None:
    """In a stack the others are trained."""
    from runner.training.train import train_all

    with composing() as composer:
        configs = [composer.config([f"seed={seed}", "epochs=1", *TINY]) for seed in (0, 1)]
    (tmp_path / "file").touch()
    paths = [tmp_path / "file" / "run", tmp_path / "run"]
    runs = [(config, path) for config, path in zip(configs, paths, strict=True) if config]
    refused, finished = [], []
    train_all(
        runs,
        lambda line: None,
        lambda number, how: finished.append(number),
        lambda number, error: refused.append((number, type(error))),
        width=width,
    )
    assert (refused, finished) == ([(0, NotADirectoryError)], [1])
