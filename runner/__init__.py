"""A declarative experiment runner for the foundations of deep learning."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.api import Run, load, results, train
    from runner.config.schema import option
    from runner.options.option import Option

__version__ = "0.2.0"
__all__ = ["Option", "Run", "load", "option", "results", "train"]

# What `import runner` offers, and where it stands: imported when it is asked for.
PUBLIC = {
    "Option": "runner.options.option",
    "option": "runner.config.schema",  # with the options of all groups
    "Run": "runner.api",
    "load": "runner.api",
    "results": "runner.api",
    "train": "runner.api",
}


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(import_module(PUBLIC[name]), name)
    raise AttributeError(f"module 'runner' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
