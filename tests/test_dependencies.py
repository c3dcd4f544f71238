"""The files that pin what is installed name all of it."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_dependency_is_pinned_with_and_without_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = {name_of(text) for text in wanted}
    assert len(names) > 15
    for file in ("constraints.txt", "requirements-hashed.txt"):
        pinned = re.findall(r"^([\w.-]+)==", (ROOT / file).read_text(), re.MULTILINE)
        assert names <= {name_of(name) for name in pinned}, file


def name_of(requirement: str) -> str:
    """A package's name as packages are compared, https://peps.python.org/pep-0503/."""
    found = re.match(r"[\w.-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()
