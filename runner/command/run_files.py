"""What the command leaves in a run folder besides the run itself: .hydra/ and run.log."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from runner.command.compose import Composer
from runner.errors import MISTAKES
from runner.runs.files import append, make_folder, write_atomically
from runner.runs.folder import HYDRA, RunFolder
from runner.runs.job import Job
from runner.runs.records import DUMPER

LOG = "run.log"
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def write_hydra(job: Job, composer: Composer, mode: str) -> None:
    """Writes .hydra/config.yaml, hydra.yaml and overrides.yaml: how the run was composed."""
    config, hydra = composer.parts(job.overrides)
    runtime = hydra["runtime"] | {"output_dir": str(job.folder.absolute())}
    folder = job.folder / HYDRA
    make_folder(folder)
    for name, values in (
        ("config", config),
        ("hydra", {"hydra": hydra | {"mode": mode, "runtime": runtime}}),
        ("overrides", hydra["overrides"]["task"]),
    ):
        write_atomically(folder / f"{name}.yaml", as_yaml(values).encode(), sync=False)


class Dumper(DUMPER):  # type: ignore[misc,valid-type]
    """Writes what `OmegaConf.to_yaml` does, by libyaml."""


def represented(dumper: Dumper, text: str) -> yaml.ScalarNode:
    """Quotes what OmegaConf would take for a number or a truth value; PyYAML itself quotes the rest."""
    style = "'" if text in ("y", "Y", "n", "N") or is_number(text) else None
    node: yaml.ScalarNode = dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)
    return node


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


Dumper.add_representer(str, represented)


def as_yaml(values: object) -> str:
    text: str = yaml.dump(
        values, Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return text


class RunLogs(logging.Handler):
    """Writes what the libraries log to the run.log of every run that is being trained at the time."""

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(FORMAT))
        self.open = list(folders)

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(*MISTAKES):  # a damaged status is reported elsewhere
            for folder in self.open:
                if RunFolder(folder).status == "running":
                    self._write(folder, record)

    def ended(self, folder: Path, how: str) -> None:
        """Notes in a run's own log how it was trained."""
        self.open.remove(folder)
        record = logging.makeLogRecord({"levelname": "INFO", "name": "runner", "msg": how})
        self._write(folder, record)

    def _write(self, folder: Path, record: logging.LogRecord) -> None:
        with suppress(OSError):
            append(folder / LOG, f"{self.format(record)}\n".encode(), create=True)


@contextmanager
def logging_to(handler: logging.Handler, verbose: bool | str | Sequence[str]) -> Iterator[None]:
    """A block whose log records go to a handler: from INFO on, or all of the loggers in `verbose`."""
    root = logging.getLogger()
    names = [verbose] if isinstance(verbose, str) else verbose or ()
    loggers = [logging.getLogger(name) for name in ([None] if names is True else names)]
    levels = [(logger, logger.level) for logger in [root, *loggers]]
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for logger, level in reversed(levels):
            logger.setLevel(level)
