"""What docs/data.md shows, and whatever else is shown with its files, run as it stands there; and that other bytes are another run."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from conftest import Command

from runner.runs.folder import RunFolder

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
LINE = re.compile(r"^(?: {4})?python -m runner (.*data\.path=.*)$", re.MULTILINE)
LINES = [line for page in PAGES for line in LINE.findall(page.read_text(encoding="utf-8"))]
QUICK = ["epochs=1", "batch_size.size=10", "trainer.progress=false"]


@pytest.fixture
def made(command: Command) -> Command:
    """An empty working directory with the files that the page makes."""
    exec(CODE, {})
    return command


def run(command: Command, *words: str) -> tuple[RunFolder, bool]:
    """The folder of a run, and whether it was finished before."""
    code, out, err = command(*words, *QUICK)
    assert (code, err) == (0, "")
    return RunFolder(Path(re.findall("^Results: (.*)$", out, re.MULTILINE)[0])), "before" in out


def test_every_example_runs(made: Command) -> None:
    assert len(LINES) >= 6
    for line in LINES:
        code, out, err = made(*shlex.split(line, comments=True), *QUICK)
        assert (code, err) == (0, "") and "outputs" in out, line


def test_the_run_tells_its_data_and_can_be_run_again(made: Command) -> None:
    folder, _ = run(made, "data=npz", "data.path=my.npz")
    result = folder.result
    assert result and result["data"]["name"] == "npz" and len(result["data"]["fingerprint"]) == 64
    again, before = run(made, f"{folder}/config.yaml")
    assert before and again.path == folder.path
    Path("my.npz").rename("moved.npz")
    again, before = run(made, "data=npz", "data.path=moved.npz")
    assert before and again.path == folder.path


def test_other_pixels_are_another_run(made: Command) -> None:
    first, _ = run(made, "data=npz", "data.path=my.npz")
    arrays = dict(np.load("my.npz", allow_pickle=False))
    arrays["x_train"][0, 0, 0] ^= 1
    np.savez("my.npz", **arrays)
    second, before = run(made, "data=npz", "data.path=my.npz")
    assert not before and second.path != first.path
    results = first.result, second.result
    assert results[0] and results[1] and results[0]["data"] != results[1]["data"]


def test_another_picture_or_class_is_another_run(made: Command) -> None:
    words = ["data=image_folder", "data.path=pictures"]
    first, _ = run(made, *words)
    Path("pictures/red").rename("pictures/orange")
    second, before = run(made, *words)
    Path("pictures/blue/0.png").unlink()
    third, also = run(made, *words)
    assert len({first.path, second.path, third.path}) == 3 and not before and not also


REFUSED = {
    "no path": (["data=npz"], "data.path: not given"),
    "nothing there": (["data=csv", "data.path=wnie.csv", "data.target=1"], "no such file or folder in /"),
    "a folder": (["data=npz", "data.path=pictures"], "a folder"),
    "a device": (["data=csv", "data.path=/dev/zero", "data.target=1"], "a pipe or device"),
    "a file": (["data=image_folder", "data.path=my.npz"], "a file"),
    "a root that it has not": (["data=npz", "data.root=."], "unknown key 'root'"),
    "a root that is not needed": (["data=iris", "data.root=nowhere"], "no such folder"),
    "an unknown class": (["data=npz", "data.path=my.npz", "data.classes=[above,bellow]"], "no class 'bellow'"),
    "a known set's class": (
        ["data=cifar10", "data.classes=[cat,dgo]"],
        "data.classes=[cat,dgo]: there is no class 'dgo'; did you mean 'dog'? Known: airplane",
    ),
    "nothing left": (["data=npz", "data.path=my.npz", "data.val_size=200"], "leaves no training examples"),
    "too large a part": (["data=npz", "data.path=my.npz", "data.val_size=1.0"], "less than 1"),
    "two test sets": (
        ["data=csv", "data.path=wine.csv", "data.test_path=wine.csv", "data.test_size=3"], "data.test_size=null"
    ),
    "too small for the network": (["data=iris", "architecture=nin"], "images of 1×1"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(made: Command, case: str) -> None:
    words, said = REFUSED[case]
    code, out, err = made(*words)
    assert (code, out) == (2, "") and said in err
    assert len(err.splitlines()) <= 6 and "Traceback" not in err
    assert not Path("outputs").exists()
