"""What README, CONTRIBUTING, SECURITY and docs/ name is there, and what they say to type composes."""

import re
import shlex
from pathlib import Path

import pytest
from conftest import Command

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#]+)")
PLACE = re.compile(r"`((?:runner|tests|conf|docs)/[\w./]+)`")
LINE = re.compile(r"^(?: {4})?(?:\.venv/bin/)?python -m (runner .*|pytest tests.*)$", re.MULTILINE)
LINES = sorted({line for page in PAGES for line in LINE.findall(page.read_text(encoding="utf-8"))})
# Those of docs/data.md with data of one's own need its files: tests/data/test_own_data.py makes and runs them.
COMPOSED = [
    line
    for line in LINES
    if line.startswith("runner") and "data.path=" not in line and "--plugin" not in line
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [page.parent / link for link in LINK.findall(text) if "://" not in link]
    missing = [str(path) for path in links if not path.exists()]
    missing += [
        place
        for place in PLACE.findall(text)
        if not (ROOT / place).exists() and "mine" not in place
    ]
    assert not missing


@pytest.mark.parametrize("line", COMPOSED)
def test_every_command_composes(command: Command, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    code, out, err = command(*words, *([] if "--help" in words else ["--cfg", "job"]))
    assert (code, err) == (0, "") and out


def test_what_pytest_is_to_run_is_there() -> None:
    words = [
        word for line in LINES if "pytest" in line for word in shlex.split(line, comments=True)
    ]
    places = [word for word in words if word.startswith("tests")]
    assert places and all((ROOT / place).exists() for place in places)


def test_the_readme_is_short_and_begins_with_what_is_installed() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") < 150
    assert re.search(
        r"^python3 -m venv .*-m pytest -n 2 --dist worksteal$", text, re.MULTILINE
    )  # what .ci/run runs
