"""The commit of a result, asked of repositories whose configuration runs commands."""

import os
import subprocess
from pathlib import Path

import pytest

from runner.runs.provenance import DIGITS, git_commit


def git(folder: Path, *words: str) -> str:
    names = ("AUTHOR", "COMMITTER")
    who = {f"GIT_{n}_{k}": v for n in names for k, v in (("NAME", "a"), ("EMAIL", "a@b.c"))}
    environment = os.environ | who | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    line = ["git", "-C", str(folder), *words]
    found = subprocess.run(line, env=environment, check=True, capture_output=True, text=True)
    return found.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "a.txt").write_text("one\n")
    (folder / "b.txt").write_text("two\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def commit_of(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD")[:DIGITS]


def found(folder: Path) -> str | None:
    git_commit.cache_clear()
    return git_commit(folder)


def packed(checkout: Path) -> Path:
    git(checkout, "pack-refs", "--all")
    git(checkout, "gc", "-q")
    return checkout


def detached(checkout: Path) -> Path:
    git(checkout, "checkout", "-q", "--detach")
    return checkout


def worktree(checkout: Path) -> Path:
    git(checkout, "worktree", "add", "-q", "../other", "-b", "other")
    return checkout.parent / "other"


@pytest.mark.parametrize("how", [lambda c: c, packed, detached, worktree])
def test_the_commit_and_whether_files_differ(checkout: Path, how: object) -> None:
    assert callable(how)
    folder = how(checkout)
    commit = commit_of(folder)
    assert found(folder) == commit
    (folder / "new.txt").write_text("not tracked")
    os.utime(folder / "a.txt", (1, 1))
    assert found(folder) == commit
    (folder / "a.txt").write_text("changed\n")
    assert found(folder) == f"{commit}+"
    git(folder, "add", "a.txt")
    assert found(folder) == f"{commit}+"
    git(folder, "commit", "-qm", "second")
    assert found(folder) == commit_of(folder) != commit
    (folder / "b.txt").unlink()
    assert found(folder) == f"{commit_of(folder)}+"


def test_no_commit(tmp_path: Path, checkout: Path) -> None:
    assert found(tmp_path / "absent") is None
    (checkout / "inside").mkdir()
    assert found(checkout / "inside") is None  # of a checkout around it there is nothing to say
    git(tmp_path, "init", "-q", "empty")
    assert found(tmp_path / "empty") is None
    (checkout / ".git/HEAD").unlink()
    os.mkfifo(checkout / ".git/HEAD")
    assert found(checkout) is None
    (checkout / ".git/HEAD").unlink()
    (checkout / ".git/HEAD").write_text("ref: ../../../etc/passwd")
    assert found(checkout) is None


HOSTILE = [
    ("core.fsmonitor", "touch PWNED; false"),
    ("core.hooksPath", "hooks"),
    ("filter.evil.clean", "touch PWNED; cat"),
    ("filter.evil.process", "touch PWNED; false"),
    ("diff.evil.textconv", "touch PWNED; cat"),
    ("diff.external", "touch PWNED; false"),
    ("core.pager", "touch PWNED; cat"),
    ("core.alternateRefsCommand", "touch PWNED; false"),
    ("alias.status", "!touch PWNED"),
    ("extensions.partialClone", "origin"),
    ("remote.origin.uploadpack", "touch PWNED; false"),
    ("remote.origin.url", "."),
    ("core.sshCommand", "touch PWNED; false"),
    ("core.gitProxy", "touch PWNED; false"),
    ("gpg.program", "touch PWNED; false"),
]


def arm(checkout: Path) -> None:
    """Attributes and hooks that let every one of these settings strike."""
    (checkout / ".gitattributes").write_text("* filter=evil diff=evil\n")
    for folder in (checkout / "hooks", checkout / ".git/hooks"):
        folder.mkdir(exist_ok=True)
        for name in ("post-index-change", "query-watchman", "reference-transaction"):
            (folder / name).write_text("#!/bin/sh\ntouch PWNED\n")
            (folder / name).chmod(0o755)


@pytest.mark.parametrize("by", ["repository", "environment", "user"])
def test_no_setting_of_git_runs_a_command(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    commit = commit_of(checkout)
    lines = "".join(
        f'[{key.rpartition(".")[0].replace(".", " ", 1)}]\n  {key.rpartition(".")[2]} = "{value}"\n'
        for key, value in HOSTILE
    )
    lines = lines.replace("[filter evil]", '[filter "evil"]').replace(
        "[diff evil]", '[diff "evil"]'
    )
    lines = lines.replace("[remote origin]", '[remote "origin"]')
    if by == "repository":
        with (checkout / ".git/config").open("a") as file:
            file.write(lines)
    elif by == "user":
        (checkout / "user.config").write_text(lines)
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(checkout / "user.config"))
        monkeypatch.setenv("HOME", str(checkout))
        (checkout / ".gitconfig").write_text(lines)
    else:
        monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(HOSTILE)))
        for number, (key, value) in enumerate(HOSTILE):
            monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
            monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
        monkeypatch.setenv("GIT_EXTERNAL_DIFF", "touch PWNED; false")
        monkeypatch.setenv("GIT_SSH_COMMAND", "touch PWNED; false")
        monkeypatch.setenv("GIT_PAGER", "touch PWNED; cat")
        monkeypatch.setenv("GIT_DIR", "/nowhere")
        monkeypatch.setenv("GIT_TRACE", str(checkout / "PWNED"))
    arm(checkout)
    os.utime(checkout / "a.txt", (1, 1))  # so that its content has to be looked at
    monkeypatch.chdir(checkout)
    assert found(checkout) == commit
    (checkout / "a.txt").write_text("changed\n")
    assert found(checkout) == f"{commit}+"
    assert not list(checkout.rglob("PWNED"))


def test_and_that_test_sees(checkout: Path) -> None:
    """An ordinary `git describe` there does run them."""
    with (checkout / ".git/config").open("a") as file:
        file.write('[core]\n  fsmonitor = "touch PWNED; false"\n')
    subprocess.run(["git", "-C", str(checkout), "describe", "--always", "--dirty"], check=False)
    assert (checkout / "PWNED").exists()
