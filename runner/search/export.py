"""A search as an Optuna study in an SQLite file, for optuna-dashboard."""

from pathlib import Path

from runner.errors import ConfigError
from runner.search.record import Record


def export_to_optuna(record: Record, folder: Path, path: Path) -> str:
    """Writes the trials into a new file; a line on what to do with it.

    Raises:
        ConfigError: The file exists, or Optuna is not installed.
    """
    if path.exists():
        raise ConfigError([f"--to-optuna {path}: exists already; name a new file"])
    if not path.parent.is_dir():
        raise ConfigError([f"--to-optuna {path}: no such folder as {path.parent}"])
    try:
        from runner.search.optuna_samplers import study_of
    except ModuleNotFoundError as error:
        told = f"--to-optuna: needs {error.name}; pip install 'lecture-runner[search]'"
        raise ConfigError([told]) from None
    tried = [record.tried(number) for number in range(len(record.trials))]
    study_of(record.search, tried, storage=f"sqlite:///{path}", study_name=folder.name)
    return f"{len(tried)} trials in {path}: optuna-dashboard sqlite:///{path}"
