"""The numbers of cases in SECURITY.md are those that the tests have."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| `(tests/[\w/.]+)` \| [^|]* \| (\d+) \|$", re.MULTILINE)


@pytest.mark.slow
def test_the_counts_are_those_of_the_tests() -> None:
    told = {file: int(count) for file, count in ROW.findall((ROOT / "SECURITY.md").read_text())}
    assert len(told) > 10
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "", *told]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = Counter(line.split("::")[0] for line in listed.splitlines() if "::" in line)
    assert told == found
