"""A declarative experiment runner for the foundations of deep learning."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.api import Run, load, results, train
    from runner.options.option import Option
    from runner.options.registry import option

__version__ = "0.3.0"
__all__ = ["Option", "Run", "load", "option", "results", "train"]

# Imported when they are used: `import runner` takes a moment.
PUBLIC = {
    "Option": "runner.options.option",
    "option": "runner.config.schema",  # with the options of all groups
    "Run": "runner.api",
    "load": "runner.api",
    "results": "runner.api",
    "train": "runner.api",
}
MODULES = ("testing",)


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return import_module(f"runner.{name}")
    if name not in PUBLIC:
        raise AttributeError(f"module 'runner' has no attribute '{name}'")
    return getattr(import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC, *MODULES})
