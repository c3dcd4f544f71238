"""Errors that end a command with exit code 2: mistakes of the user's, found before any training."""

from typing import Any


class ConfigError(ValueError):
    """The configuration is wrong; `problems` has a line for each mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DataError(ValueError):
    """A data file is missing, damaged or not what its name says."""


class LockedError(RuntimeError):
    """Another process is training the run in this folder."""


class CheckpointError(RuntimeError):
    """There are checkpoints, but none of them is intact."""


class Stopped(BaseException):
    """A sweep or study ends early, because runs failed."""


class RunError(RuntimeError):
    """Runs that were asked for from Python failed; `runs` are all that were started."""

    def __init__(self, message: str, runs: list[Any]) -> None:
        super().__init__(message)
        self.runs = runs


def one_line(error: BaseException) -> str:
    """The first line of the message, or the type if there is no message."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def summary(error: BaseException) -> str:
    """The type and the first line of the message."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


MISTAKES = (ConfigError, DataError, LockedError, CheckpointError)
