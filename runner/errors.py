"""What ends a command with exit code 2: the user's mistakes, found before any training."""


class ConfigError(ValueError):
    """The configuration is wrong; `problems` has a line for each mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DataError(ValueError):
    """A data file is missing, damaged or not what its name says."""


class LockedError(RuntimeError):
    """Another process is at work in this run folder."""


class CheckpointError(RuntimeError):
    """There are checkpoints, but none of them is intact."""


class Stopped(BaseException):
    """A run of a sweep failed, and fail_fast=true."""


def one_line(error: BaseException) -> str:
    """The first line of what it says, or its type if it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def summary(error: BaseException) -> str:
    """Its type and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


MISTAKES = (ConfigError, DataError, LockedError, CheckpointError)
