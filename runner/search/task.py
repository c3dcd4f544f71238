"""What a sampler is asked for, and what it knows of the trials before."""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from runner.config.search import Search
from runner.search.space import Draw


class Tried(NamedTuple):
    """A trial that was carried out as far as it went.

    Attributes:
        draw: Its settings.
        values: The metric that decides, by the epoch of a rung; None where the trial had ended by itself.
        finished: Whether it was trained to its end.
    """

    draw: Draw
    values: dict[int, float | None]
    finished: bool


class Task(NamedTuple):
    """What a sampler is asked for.

    Attributes:
        search: What is searched.
        given: The options that the experiment itself chooses, by group.
        seed: The search's.
        bracket: The number of the bracket, from 0.
        trials: How many draws are wanted.
        tried: The trials of the brackets before.
    """

    search: Search
    given: dict[str, str]
    seed: int
    bracket: int
    trials: int
    tried: Sequence[Tried]

    @property
    def own_seed(self) -> int:
        """Of this bracket alone, so that a killed search draws it again as it was."""
        return int.from_bytes(sha256(f"{self.seed} {self.bracket}".encode()).digest()[:4], "big")
