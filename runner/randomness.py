"""Randomness as a pure function of the run's seed: no draw depends on what was drawn before.

So a resumed run, a run inside a stack and a run alone are the same run. Everything is drawn on the
CPU, so that a GPU gets the same numbers.
"""

from zlib import crc32

import numpy as np
import torch


def derived_seed(seed: int, purpose: str, number: int = 0) -> int:
    """A 64-bit seed for one purpose ("order", "init", ...) and one epoch or layer of a run.

    numpy's SeedSequence mixes them, so that neighbouring seeds and epochs are unrelated.
    """
    mixed = np.random.SeedSequence([seed, crc32(purpose.encode()), number])
    return int(mixed.generate_state(1, np.uint64)[0])


def generator(seed: int, purpose: str, number: int = 0) -> torch.Generator:
    """A CPU generator at the start of the sequence for (seed, purpose, number)."""
    return torch.Generator().manual_seed(derived_seed(seed, purpose, number))
