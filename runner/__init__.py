"""A declarative experiment runner for the foundations of deep learning."""

import sys
from pathlib import Path

__version__ = "0.1.0"

# Hydra finds launchers and sweepers only in the namespace package `hydra_plugins`.
sys.path.append(str(Path(__file__).parent / "plugins"))
