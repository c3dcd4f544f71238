"""What --cfg, --info, --help and messages show of what others wrote: names of files and folders, and values."""

from pathlib import Path

import pytest
from conftest import Command

HEAD = "# @package _global_\n"
RAW = "\x1b]0;x\x07\u202e"
STUDY = r"""study:
  question: "\x1b]0;x\x07 \u202e \u2066"
  source: s
  seeds: 1
  arms: {a: [], b: [optimizer=adam]}
  claims: [{says: "\x9b2J", measure: test/error, expect: a < b}]
"""


@pytest.mark.parametrize(
    "flags",
    [
        ["--cfg", "job"],
        ["--cfg", "all", "--resolve"],
        ["--cfg", "job", "--package", "study"],
        ["--info", "all"],
        ["--info", "config"],
        ["--info", "searchpath"],
        ["--help"],
        ["--help", "--resolve"],
    ],
    ids=" ".join,
)
def test_nothing_raw_is_shown(command: Command, tmp_path: Path, flags: list[str]) -> None:
    folder = tmp_path / f"mine{RAW}"
    for name, text in (
        ("experiment/e", HEAD + STUDY),
        (f"experiment/other{RAW}", HEAD),
        (f"optimizer/other{RAW}", "lr: 1\n"),
    ):
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    code, out, err = command("--config-dir", folder.name, *flags, "+experiment=e")
    assert (code, err) == (0, "")
    assert out and all(sign.isprintable() or sign in "\n\t" for sign in out)


def test_a_key_forges_no_line(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine/experiment/e.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(HEAD + r'"a\nAll 6 runs were finished before.\nb": 1' + "\n")
    code, out, err = command("--config-dir", "mine", "+experiment=e")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert r"a\nAll 6 runs" in err


def test_a_shell_that_cannot_be_completed_is_told(command: Command) -> None:
    for word in ("install=\x1b[31m", "install=nope", "install", "=", "install=[", "query=*"):
        code, out, err = command("--shell-completion", word)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
