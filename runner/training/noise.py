"""The random numbers with which a task corrupts inputs, as a function of what they are for alone."""

from collections.abc import Sequence

import torch
from torch import Tensor

from runner.options.layers import murmur
from runner.randomness import derived_seed


class Noise:
    """A number in (−1, 1) for each value of each input of each run.

    It is a function of the run's seed, the epoch, the example's number and the place in it, so that a
    run has the same noise alone, stacked and resumed, on every device and with any batch size. What is
    measured (validation, test, and the training examples before the first step) has, in every epoch,
    the same noise: one that depends on the seed, but not on the epoch.

    Args:
        seeds: Of the runs.
        shape: Of an input.
        device: Where the numbers are wanted.
    """

    def __init__(self, seeds: Sequence[int], shape: tuple[int, ...], device: torch.device) -> None:
        self.seeds = seeds
        self.shape = shape
        self.fixed_keys_R = self._keys("fixed noise", [0] * len(seeds)).to(device)
        self.keys_R = torch.zeros_like(self.fixed_keys_R)  # stays where it is: CUDA graphs read it
        size = torch.Size(shape).numel()
        self.places = murmur(torch.arange(size, dtype=torch.int32, device=device))

    def start_epoch(self, epochs: Sequence[int]) -> None:
        """The numbers of training are those of this epoch of each run from now on."""
        self.keys_R.copy_(self._keys("noise", epochs))

    def _keys(self, purpose: str, numbers: Sequence[int]) -> Tensor:
        seeds = [derived_seed(s, purpose, n) for s, n in zip(self.seeds, numbers, strict=True)]
        return torch.tensor([seed % 2**31 for seed in seeds], dtype=torch.int32)

    def of(self, examples_RB: Tensor, fixed: bool = False) -> Tensor:
        """Uniform numbers (runs, batch, *shape).

        Args:
            examples_RB: The examples' numbers in their split.
            fixed: Those of what is measured.
        """
        keys_R = self.fixed_keys_R if fixed else self.keys_R
        numbers = murmur(examples_RB.to(keys_R.device, torch.int32))
        bits = murmur(murmur(numbers ^ keys_R[:, None])[:, :, None] ^ self.places)
        # 23 bits and a half: float32 holds them, and neither −1 nor 1 comes out.
        uniform: Tensor = (((bits >> 9) + 0.5) / 2**22).reshape(*bits.shape[:2], *self.shape)
        return uniform
