"""A declarative experiment runner for the foundations of deep learning."""

__version__ = "0.2.0"
