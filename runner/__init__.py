"""A declarative experiment runner for the foundations of deep learning."""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

# What `import runner` offers, and where it stands: imported when it is asked for.
PUBLIC = {
    "Option": "runner.options.option",
    "option": "runner.config.schema",  # with the options of all groups
}
MODULES = ("testing",)


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(import_module(PUBLIC[name]), name)
    if name in MODULES:
        return import_module(f"runner.{name}")
    raise AttributeError(f"module 'runner' has no attribute '{name}'")
