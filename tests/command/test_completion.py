"""Completion in a real bash, of `runner` and of `python -m runner`."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Command

import runner

HERE = Path(runner.__file__).parents[1]


def test_bash_completes_what_hydra_knows(command: Command, tmp_path: Path) -> None:
    (tmp_path / "own/optimizer").mkdir(parents=True)
    (tmp_path / "own/optimizer/mine.yaml").touch()
    code, script, err = command("-sc", "install=bash")
    assert (code, err) == (0, "")
    lines = {
        "runner optimizer=a": "adagrad adam adam_uncorrected adamw",
        "python -m runner -m optimizer=adam optimizer.be": "optimizer.beta1= optimizer.beta2=",
        "runner --config-dir own optimizer=m": "mine momentum",
        "python3 -m runner --config": "--config-dir",
        "python -m pytest opt": "",
        "runner --config-dir ": "",
    }
    asked = [
        f"COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}; COMPREPLY=(); _runner_completion;"
        ' echo "${COMPREPLY[*]}"'
        for line in lines
    ]
    program = f'runner() {{ PYTHONPATH={HERE} {sys.executable} -m runner "$@"; }}'
    python = (
        f'python() {{ PYTHONPATH={HERE} {sys.executable} "$@"; }}; python3() {{ python "$@"; }}'
    )
    text = "\n".join([program, python, script, *asked, "complete -p runner"])
    found = subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    *completed, installed = found.stdout.splitlines()
    assert dict(zip(lines, completed, strict=True)) == lines
    assert "_runner_completion" in installed


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("install=tcsh", "install=tcsh: known shells are bash, zsh"),
        ("instal=bash", "Expecting one subcommand"),
    ],
)
def test_what_is_no_shell_is_told(command: Command, word: str, told: str) -> None:
    code, _, err = command("-sc", word)
    assert code == 2
    assert told in err


def test_the_version_is_ours(command: Command) -> None:
    assert command("--version").out.startswith(f"runner {runner.__version__} ")
    assert command("-sc", "uninstall=bash").out.startswith("complete -r runner")
