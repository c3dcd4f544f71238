"""What is installed from a wheel works by itself."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import runner

ROOT = Path(__file__).parents[1]


def test_what_says_the_version_says_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == runner.__version__
    assert f"\nversion: {runner.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert project["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")


@pytest.mark.slow
def test_a_wheel_works_in_an_empty_folder(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    empty.mkdir()
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    assert "runner = runner.__main__:main" in entry_points.read_text()
    assert (installed / "runner/py.typed").exists()

    def call(*words: str) -> str:
        found = subprocess.run(
            [sys.executable, "-W", "error::ImportWarning", "-m", *words],
            check=True, capture_output=True, text=True, cwd=empty, timeout=300,
            env={**os.environ, "PYTHONPATH": str(installed)},
        )  # fmt: skip
        return found.stdout

    assert "Results: outputs/adam_bn/" in call("runner", "+experiment=adam_bn", "epochs=1")
    assert "complete" in call("runner.runs")
    assert "dropout_vs_none" in call("runner", "--help")
    code = "import runner; print(runner.__file__, len(runner.results()))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        check=True, capture_output=True, text=True, cwd=empty,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert found.stdout.split() == [str(installed / "runner/__init__.py"), "1"]
