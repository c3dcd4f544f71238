"""What a search draws: a value for each setting of its space, as words of a command line and as numbers."""

import re
from collections.abc import Sequence
from itertools import product
from math import exp, log
from typing import Any, NamedTuple

from runner.command.overrides import quoted
from runner.config.search import Domain, Search, group_of, option_of, path_of

Draw = dict[str, Any]  # values by key of the space
WORD = re.compile(r"[A-Za-z]\w*", re.ASCII)
NO_TEXTS = ("null", "true", "false", "nan", "inf")  # Hydra reads these as other values
DIGITS = 4  # of a number that is drawn, so that it can be typed again


class Setting(NamedTuple):
    """A key of the space: `group`, `group.key`, or `group@option.key` where only that option has it."""

    key: str

    @property
    def group(self) -> str:
        return group_of(self.key)

    @property
    def option(self) -> str:
        """The option that must be chosen for the setting to exist; "" for a setting of all."""
        return option_of(self.key)

    @property
    def path(self) -> str:
        """The key of the configuration."""
        return path_of(self.key)

    @property
    def is_group(self) -> bool:
        return "." not in self.key

    def exists_with(self, chosen: Draw, given: dict[str, str]) -> bool:
        """Whether a draw has it.

        Args:
            chosen: The draw's groups.
            given: The options that the experiment itself chooses.
        """
        return not self.option or chosen.get(self.group, given.get(self.group)) == self.option


def present(search: Search, draw: Draw, given: dict[str, str]) -> Draw:
    """Without the settings that do not exist with the draw's options, in the order of the space."""
    return {k: draw[k] for k in search.space if k in draw and Setting(k).exists_with(draw, given)}


def words_of(draw: Draw) -> list[str]:
    """The overrides that set a draw; options first, for their files set the other keys."""
    ordered = sorted(draw, key=lambda key: not Setting(key).is_group)
    return [f"{Setting(key).path}={_written(draw[key])}" for key in ordered]


def _written(value: Any) -> str:
    """A value as somebody would type it: a plain word without quotes."""
    plain = isinstance(value, str) and WORD.fullmatch(value) and value.lower() not in NO_TEXTS
    return str(value) if plain else quoted(value)


def at(domain: Domain, place: float) -> Any:
    """The value at a place in [0, 1] of a domain: 0 is its first value, 1 its last.

    A number is rounded to a few digits, and never beyond the ends.
    """
    if domain.choice is not None:
        return domain.choice[min(int(place * len(domain.choice)), len(domain.choice) - 1)]
    low, high = domain.ends
    if domain.is_whole:
        # Every whole number has an interval of its own, so that the ends are as likely as the others.
        first, last = low - 0.5, high + 0.5
        value = (
            exp(between(log(first), log(last), place))
            if domain.is_log
            else between(first, last, place)
        )
        return int(min(max(round(value), low), high))
    value = exp(between(log(low), log(high), place)) if domain.is_log else between(low, high, place)
    return min(max(rounded(value), low), high)


def place_of(domain: Domain, value: Any) -> float:
    """The place in [0, 1] of a value; for a picture and for what lies at the border."""
    if domain.choice is not None:
        return domain.choice.index(value) / max(1, len(domain.choice) - 1)
    low, high = domain.ends
    if domain.is_log:
        return (log(value) - log(low)) / (log(high) - log(low)) if value > 0 else 0.0
    return float((value - low) / (high - low))


def between(low: float, high: float, place: float) -> float:
    return low + (high - low) * place


def rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def levels(domain: Domain, count: int) -> list[Any]:
    """So many values, equally far from each other, the ends among them; all of a choice."""
    if domain.choice is not None:
        return list(domain.choice)
    if domain.is_whole and count == 1:
        return [at(domain, 0.5)]
    places = [i / (count - 1) for i in range(count)] if count > 1 else [0.5]
    if not domain.is_whole:
        return [at(domain, place) for place in places]
    low, high = domain.ends
    spread = [
        exp(between(log(low), log(high), p)) if domain.is_log else between(low, high, p)
        for p in places
    ]
    return list(dict.fromkeys(round(value) for value in spread))


def grid(search: Search, given: dict[str, str], count: int) -> list[Draw]:
    """All combinations of so many levels of every range and all values of every choice, each once."""
    columns = [levels(domain, count) for domain in search.space.values()]
    draws: list[Draw] = []
    seen = set()
    for values in product(*columns):
        draw = present(search, dict(zip(search.space, values, strict=True)), given)
        if repr(draw) not in seen:
            seen.add(repr(draw))
            draws.append(draw)
    return draws


def finest_grid(search: Search, given: dict[str, str]) -> list[Draw]:
    """The grid with as many levels of every range as the number of trials allows; [] if not even two."""
    ranges = [domain for domain in search.space.values() if domain.choice is None]
    choices = [len(domain.choice) for domain in search.space.values() if domain.choice is not None]
    found: list[Draw] = []
    for count in range(2, search.trials + 1) if ranges else [1]:
        size = 1
        for factor in choices:
            size *= factor
        # Settings that only one option has make a grid smaller than the product, by less than this.
        if size * count ** len(ranges) > 64 * search.trials:
            break
        draws = grid(search, given, count)
        if len(draws) > search.trials:
            break
        if len(draws) == len(found):  # whole numbers have no more levels
            break
        found = draws
    return found


def corners(search: Search, given: dict[str, str], most: int) -> list[Draw]:
    """Every combination of choices with all ranges at their first, and at their last, value."""
    columns: list[Sequence[Any]] = [
        range(len(domain.choice)) if domain.choice is not None else [None]
        for domain in search.space.values()
    ]
    found: list[Draw] = []
    for places in product(*columns):
        for end in (0, 1):
            draw = {
                key: domain.choice[place] if domain.choice is not None else at(domain, end)
                for (key, domain), place in zip(search.space.items(), places, strict=True)
            }
            draw = present(search, draw, given)
            if draw not in found:
                found.append(draw)
        if len(found) >= most:
            break
    return found
