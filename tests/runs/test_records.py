"""Every file that is read back, damaged in every way: told in a line, and never a wrong number."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import Command
from folders import FILES, WORDS

from runner.errors import CheckpointError, DataError
from runner.runs.folder import RunFolder
from runner.runs.job import Job
from runner.runs.records import read_config


def job_of(folder: RunFolder) -> Job:
    config = folder.config()
    assert config
    return Job((), config)


def everything(job: Job) -> tuple[Any, ...]:
    """What the runner learns of a finished run, as a new process would."""
    folder = RunFolder(Job(job.overrides, job.config).folder)
    folder.check_finished()
    return folder.status, folder.result, folder.metrics(), folder.config()


def tried(look: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What is found, or the lines that are told instead."""
    try:
        return look(), []
    except (DataError, CheckpointError) as error:
        return None, str(error).splitlines()


def cuts(data: bytes) -> Iterator[bytes]:
    return (data[:length] for length in range(0, len(data), 10))


def flips(data: bytes) -> Iterator[bytes]:
    """One byte changed, in every tenth place, another bit each time; and every digit's last bit."""
    for place in range(0, len(data), 10):
        yield data[:place] + bytes([data[place] ^ 1 << place // 10 % 8]) + data[place + 1 :]
    for place in range(len(data)):
        if data[place : place + 1].isdigit():
            yield data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("damage", [cuts, flips])
@pytest.mark.parametrize("name", FILES)
def test_damage_is_told_or_does_no_harm(
    finished: RunFolder, name: str, damage: Callable[[bytes], Iterator[bytes]]
) -> None:
    job = job_of(finished)
    expected = everything(job)
    path = finished.path / name
    data = path.read_bytes()
    harmless, number = 0, 0
    for changed in damage(data):
        number += 1
        path.write_bytes(changed)
        found, lines = tried(partial(everything, job))
        if found:
            harmless += 1
            assert found[1:3] == expected[1:3] and found[3].digest == job.config.digest
        else:
            assert len(lines) == 1 and finished.path.name in lines[0]
    assert number > 20
    # The process number and the settings of no consequence, such as the name, may change.
    assert harmless < number / 2 if name in ("status.json", "config.yaml") else not harmless


@pytest.mark.parametrize("name", FILES)
def test_a_folder_without_sums_that_is_cut(finished: RunFolder, name: str) -> None:
    """As version 0.1 left them."""
    job = job_of(finished)
    rewrite(finished.path / "status.json", lambda status: status.pop("sha256"))
    assert everything(job)
    path = finished.path / name
    whole = path.read_bytes()
    for changed in cuts(whole):
        if changed == whole.rstrip():
            continue  # nothing is missing but the end of the line
        path.write_bytes(changed)
        found, lines = tried(partial(everything, job))
        assert found is None and len(lines) == 1 and finished.path.name in lines[0]


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


WRONG: dict[str, list[object]] = {
    "status": ["finished", None, 1, ["complete"]],
    "epoch": ["1", 1.5, -1, True, 10**30],
    "reason": [1, None],
    "stack": [[], "x"],
    "sha256": [[], {"result.json": 1}],
    "epochs": ["3", None, 3.5, -3, True],
    "steps": [[6], 10**30],
    "seed": ["0", None],
    "train_seconds": ["1.0", -1, float("nan"), float("inf"), {}],
    "device": [1, None, ["cpu"]],
    "versions": ["1", {"torch": 2}],
    "test/accuracy": ["0.9", float("nan"), [0.9], True],
    "val/loss": [float("-inf"), {"a": 1}],
}
CASES = {
    "status.json": ("status", "epoch", "reason", "stack", "sha256"),
    "result.json": tuple(WRONG)[5:],
}


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in CASES for key in CASES[name]])
def test_wrong_types(finished: RunFolder, name: str, key: str) -> None:
    rewrite(finished.path / "status.json", lambda status: status.pop("sha256"))
    job, path = job_of(finished), finished.path / name
    text = path.read_text()
    for value in WRONG[key]:
        rewrite(path, lambda values: values.__setitem__(key, value))  # noqa: B023
        with pytest.raises(DataError, match=f"{name}: {key.split('.')[0]}"):
            everything(job)
        path.write_text(text)
    if key in ("status", "epochs", "seed", "device", "versions"):
        rewrite(path, lambda values: values.pop(key))
        with pytest.raises(DataError, match=f"{name}: {key}: Field required"):
            everything(job)


BAD_LINES = [
    b'{"epoch": 1, "st',  # half a line
    b"",
    b"[1]",
    b"{}",
    b'{"epoch": 1, "step": 2, "seconds": 0.1, "val/loss": "0.5"}',
    b'{"epoch": 1, "step": 2, "seconds": 0.1, "val/loss": NaN}',
    b'{"epoch": 1, "step": 2, "seconds": "0.1"}',
    b'{"epoch": 2, "step": 4, "seconds": 0.1}',  # where 1 is expected
    b'{"epoch": 1.0, "step": 2, "seconds": 0.1}',
    b'{"epoch": 1.5, "step": 3, "seconds": 0.1}',  # before epoch 1
    b'{"epoch": 0.0, "step": 0, "seconds": 0.1}',
    b'{"epoch": -0.5, "step": 0, "seconds": 0.1}',
    b'{"epoch": 1, "step": ' + b"9" * 5000 + b', "seconds": 0.1}',
    b'{"epoch": 1, "step": 2, "seconds": 0.1, "x": ' + b"[" * 300 + b"]" * 300 + b"}",
    b"\xff\xfe",
]


@pytest.mark.parametrize("line", BAD_LINES, ids=lambda line: repr(line[:40]))
@pytest.mark.parametrize("which", ["finished", "killed"])
def test_a_line_in_the_middle(place: Callable[[str], RunFolder], which: str, line: bytes) -> None:
    folder = place(which)
    path = folder.path / "metrics.jsonl"
    lines = path.read_bytes().splitlines()
    lines[1] = line
    path.write_bytes(b"\n".join(lines) + b"\n")
    if which == "finished":
        with pytest.raises(DataError, match=r"metrics\.jsonl: changed since the run ended$"):
            folder.metrics()
        rewrite(folder.path / "status.json", lambda status: status.pop("sha256"))
    else:
        with pytest.raises(CheckpointError, match=r"metrics\.jsonl:2: .*resume=false"):
            folder.keep_metrics(2)
    with pytest.raises(DataError, match=r"metrics\.jsonl:2: "):
        folder.metrics()


def test_half_a_line_at_the_end_is_what_a_killed_process_leaves(
    command: Command, place: Callable[[str], RunFolder]
) -> None:
    folder = place("killed")
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "st')
    before = folder.metrics()
    assert [line["epoch"] for line in before] == [0, 1, 2]
    assert command(*WORDS).code == 0
    assert [line["epoch"] for line in folder.metrics()] == [0, 1, 2, 3]
    assert folder.metrics()[:3] == before


def test_what_was_measured_inside_epochs(place: Callable[[str], RunFolder]) -> None:
    folder = place("killed")
    path = folder.path / "metrics.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)

    def line(epoch: float) -> bytes:
        return b'{"epoch": %s, "step": 1, "seconds": 0.1}\n' % str(epoch).encode()

    path.write_bytes(b"".join([*whole[:2], line(1.25), line(1.5), whole[2], line(2.5)]))
    assert [line["epoch"] for line in folder.metrics()] == [0, 1, 2]
    assert [line["epoch"] for line in folder.curve()] == [0, 1, 1.25, 1.5, 2, 2.5]
    folder.keep_metrics(2)
    assert [line["epoch"] for line in folder.curve()] == [0, 1, 1.25, 1.5, 2]
    folder.keep_metrics(1)
    assert path.read_bytes() == b"".join(whole[:2])
    path.write_bytes(b"".join([*whole[:2], line(1.5), line(1.25)]))
    with pytest.raises(DataError, match=r"metrics\.jsonl:4: epoch 1\.25 where epoch 2 is expected"):
        folder.curve()


@pytest.mark.parametrize("lost", ["all", "a line", "the last line"])
def test_curves_that_are_lost_beside_an_intact_checkpoint(
    command: Command, place: Callable[[str], RunFolder], lost: str
) -> None:
    """The run could go on, but would say wrongly when it reached what: the user decides."""
    folder = place("killed")
    path = folder.path / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    if lost == "all":
        path.unlink()
    else:
        path.write_bytes(b"".join(lines[:1] + lines[2:] if lost == "a line" else lines[:-1]))
    before = {p: p.read_bytes() for p in folder.path.glob("checkpoints/*")}
    code, out, err = command(*WORDS)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "metrics.jsonl" in err and "resume=false trains afresh" in err
    assert {p: p.read_bytes() for p in folder.path.glob("checkpoints/*")} == before
    assert command(*WORDS, "resume=false").code == 0
    assert len(folder.metrics()) == 4


@pytest.mark.parametrize("name", ["result.json", "metrics.jsonl", "config.yaml"])
def test_a_finished_run_that_has_lost_a_file(
    command: Command, place: Callable[[str], RunFolder], name: str
) -> None:
    (place("finished").path / name).unlink()
    for words in (WORDS, ["-m", "seed=0,1", *WORDS]):
        code, out, err = command(*words)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert f"{name}: missing, though the run is complete; resume=false trains afresh" in err
    assert command(*WORDS, "resume=false").code == 0


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"status": "done"}', '{"status": "complete"', "[" * 9999]
)
def test_what_is_told_helps(command: Command, place: Callable[[str], RunFolder], text: str) -> None:
    folder = place("finished")
    (folder.path / "status.json").write_text(text)
    code, out, err = command(*WORDS)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "status.json: " in err and err.endswith("; resume=false trains afresh\n")
    assert command(*WORDS, "resume=false").code == 0
    assert folder.status == "complete"


def test_looking_needs_no_torch() -> None:
    code = "import sys, runner.runs.job; print(*{'torch', 'numpy', 'hydra'} & set(sys.modules))"
    line = [sys.executable, "-c", code]
    found = subprocess.run(line, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


# Checkpoints


def test_checkpoints_cut_or_flipped(tmp_path: Path) -> None:
    import torch

    folder = RunFolder(tmp_path)
    state = {
        "seconds": 0.0,
        "state_dict": {"w": torch.arange(3)},
        "optimizer_states": [],
        "best": {},
    }
    for epoch in (1, 2):
        folder.save_checkpoint("last", {"epoch": epoch, **state})
    for name in ("last.ckpt", "SHA256SUMS"):
        path = tmp_path / "checkpoints" / name
        data = path.read_bytes()
        before = {p: p.read_bytes() for p in path.parent.iterdir()}
        for damage in (cuts, flips):
            for changed in damage(data):
                path.write_bytes(changed)
                found, lines = tried(partial(folder.load_checkpoint, "last"))
                if found:
                    assert found["epoch"] in (1, 2)
                    assert found["state_dict"]["w"].tolist() == [0, 1, 2]
                else:
                    assert name == "SHA256SUMS" and "last.ckpt is damaged" in lines[0]
                (path.parent / "damaged.ckpt").unlink(missing_ok=True)
                for kept, content in before.items():
                    kept.write_bytes(content)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epoch", "2"), ("epoch", -1), ("epoch", 1.5), ("epoch", None), ("seconds", "1"), ("best", []),
        ("seconds", float("nan")), ("state_dict", []), ("optimizer_states", {}), ("best", None),
    ],
)  # fmt: skip
def test_a_checkpoint_of_wrong_types(tmp_path: Path, key: str, value: object) -> None:
    folder = RunFolder(tmp_path)
    state: dict[str, Any] = {"epoch": 1, "seconds": 0.0, "state_dict": {}, "optimizer_states": []}
    folder.save_checkpoint("last", state | {"best": {}} | {key: value})
    with pytest.raises(CheckpointError, match=r"last\.ckpt is damaged"):
        folder.load_checkpoint("last")


# config.yaml


BAD_YAML = {
    "nested": "[" * 300 + "]" * 300,
    "nested in a value": "study: " + "{a: " * 300 + "1" + "}" * 300,
    "deeper than any stack": "[" * 100_000,
    "a long integer": "seed: " + "9" * 5000,
    "a key twice": "seed: 1\nseed: 2\n",
    "a key twice below": "data: {name: digits, name: mnist}\n",
    "an alias": "data: &a {name: digits}\noptimizer: *a\n",
    "an endless alias": "data: &a [*a]\n",
    "a bomb": "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{y}: &{y} [{','.join(['*' + x] * 9)}]\n" for x, y in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "two documents": "a: 1\n---\nb: 2\n",
    "a Python object": "seed: !!python/object/apply:os.system ['touch PWNED']",
    "no date": "seed: 2020-99-99",
    "a tag on junk": "seed: !!timestamp junk",
    "a list as a key": "[1, 2]: 3",
    "not UTF-8": "seed: \udcff",
    "empty": "",
    "a list": "- 1",
    "large": "#" * 1_000_001,
    "NaN": "epochs: .nan",
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_YAML)
def test_a_config_that_the_runner_did_not_write(finished: RunFolder, case: str) -> None:
    job = job_of(finished)
    path = finished.path / "config.yaml"
    path.write_bytes(BAD_YAML[case].encode(errors="surrogateescape"))
    with pytest.raises(DataError) as caught:
        read_config(path)
    assert str(caught.value).startswith(str(path)) and len(str(caught.value).splitlines()) == 1
    with pytest.raises(DataError, match=r"config\.yaml"):
        everything(job)
    assert not (Path.cwd() / "PWNED").exists()
