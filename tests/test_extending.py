"""What docs/extending.md shows works as it stands there."""

import re
import runpy
import sys
from pathlib import Path

import pytest
from conftest import Command

from runner.options import registry

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
OPTION, TEST = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
LINES = re.findall(r"^    python -m runner (--plugin .*)$", PAGE, re.MULTILINE)
TINY = ("data.train_size=64", "epochs=1", "trainer.progress=false", "name=tiny")


@pytest.fixture
def in_folder(command: Command, tmp_path: Path) -> Path:
    (tmp_path / "my_options.py").write_text(OPTION)
    (tmp_path / "test_lion.py").write_text(TEST)
    return tmp_path


@pytest.mark.parametrize("line", LINES)
def test_the_commands_do_what_they_say(command: Command, in_folder: Path, line: str) -> None:
    words = line.split()
    code, out, err = command(*words, *([] if "--help" in words else TINY))
    assert (code, err) == (0, ""), out
    assert "lion" in out


def test_its_test_passes(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(in_folder)
    with registry.restored():
        runpy.run_path(str(in_folder / "test_lion.py"))["test_lion"]()
        del sys.modules["my_options"]


def test_every_group_and_setting_is_in_the_table() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE))
    assert rows.keys() == registry.GROUPS.keys()
    for group, row in rows.items():
        base = registry.GROUPS[group]
        assert f"`{base.__name__}`, `{base.__module__.replace('.', '/')}.py`" in row
        for method in getattr(base, "__abstractmethods__", ()):
            assert f"`{method}`" in row
