"""The examples of docs/python.md, carried out from the first to the last in an empty folder."""

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import runner
from runner.test import with_other_data

PAGE = Path(__file__).parents[1] / "docs/python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^python -m runner\.(\w+)(.*)$", re.MULTILINE)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:FutureWarning")
def test_the_examples_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    known: dict[str, Any] = {}
    blocks = BLOCK.findall(text)
    assert len(blocks) > 3
    for block in blocks:
        exec(block, known)
    run, frame = known["run"], known["frame"]
    assert run.status == "complete"
    assert len(frame) == 4

    Image.new("L", (30, 20)).save("seven.png")
    lines = LINE.findall(text)
    assert {command for command, _ in lines} == {"runs", "predict", "test", "export", "ensembles"}
    for command, rest in lines:
        words = [
            word.replace("outputs/grid/RUN", frame["folder"][0]).replace(
                "outputs/RUN", str(run.folder)
            )
            for word in shlex.split(rest.split(" > ")[0], comments=True)
        ]
        if "data=fashion_mnist" in words:  # would have to be downloaded
            folder = runner.api.RunFolder(run.folder)
            assert with_other_data(folder, words[1:], []).data.name == "fashion_mnist"
        else:
            module = {"runs": "listing"}.get(command, command)
            assert import_module(f"runner.{module}").main(words) == 0, words
