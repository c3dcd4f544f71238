"""Where a result comes from: the commit, the versions and the device."""

import os
import platform
import subprocess
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from runner import __version__
from runner.runs.files import read_file

CHECKOUT = Path(__file__).parents[2]
DIGITS = 12  # of a commit
MAX_BYTES = 10_000_000  # of a file of Git's
STATUS = [
    *("git", "--no-pager", "-c", "core.fsmonitor=false", "-c", "core.fileMode=false", "status"),
    *("--porcelain", "--untracked-files=no", "--ignore-submodules=all", "--no-renames"),
]


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@cache
def versions() -> dict[str, str]:
    return {
        "runner": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pytorch_lightning": version("pytorch-lightning"),
        "torchmetrics": version("torchmetrics"),
    }


@cache
def git_commit(checkout: Path = CHECKOUT) -> str | None:
    """The commit of the runner's checkout, with + if tracked files differ from it; None without one."""
    try:
        git = _git_folder(checkout)
        if git is None:
            return None
        common = git / _text(git / "commondir") if (git / "commondir").is_file() else git
        commit = _head(git, common)
        return commit[:DIGITS] + "+" * _differs(checkout, git, common, commit)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _git_folder(checkout: Path) -> Path | None:
    """.git, or the folder that it names if it is a file, as in a worktree."""
    git = checkout / ".git"
    if git.is_file():
        return checkout / _text(git).removeprefix("gitdir: ")
    return git if git.is_dir() else None


def _head(git: Path, common: Path) -> str:
    """The commit that is checked out.

    Raises:
        ValueError: There is none yet, or it is stored in an unknown way.
    """
    found = _text(git / "HEAD")
    if found.startswith("ref: "):
        name = found.removeprefix("ref: ")
        if (common / name).is_file():
            found = _text(common / name)
        else:
            packed = (line.split(" ") for line in _text(common / "packed-refs").splitlines())
            found = {line[-1]: line[0] for line in packed}.get(name, "")
    bytes.fromhex(found)
    if len(found) not in (40, 64):
        raise ValueError(f"no commit: {found!r}")
    return found


def _differs(checkout: Path, git: Path, common: Path, commit: str) -> bool:
    """Whether a tracked file differs from the commit.

    Git runs commands that its configuration names: monitors, filters, transports. So it is given an empty
    repository with no configuration, which borrows the checkout's objects and index, and a clean
    environment.
    """
    with tempfile.TemporaryDirectory(prefix="runner-git-") as folder:
        (Path(folder) / "refs").mkdir()
        (Path(folder) / "HEAD").write_text(commit + "\n")
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "GIT_DIR": folder,
            "GIT_WORK_TREE": str(checkout),
            "GIT_INDEX_FILE": str(git / "index"),
            "GIT_OBJECT_DIRECTORY": str(common / "objects"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
        }
        if system := os.environ.get("SYSTEMROOT"):  # nothing runs on Windows without it
            environment["SYSTEMROOT"] = system
        found = subprocess.run(
            STATUS, cwd=checkout, env=environment, capture_output=True, check=True, timeout=30
        )
    return bool(found.stdout)


def _text(path: Path) -> str:
    """The text of a file, "" if there is none; ValueError if it is not text."""
    return (read_file(path, MAX_BYTES) or b"").decode().strip()
