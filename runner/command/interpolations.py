"""What ${...} in a value may be: the name of another key, and nothing that could read the environment."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from omegaconf.errors import GrammarParseError
from omegaconf.grammar.gen.OmegaConfGrammarParser import OmegaConfGrammarParser
from omegaconf.grammar_parser import parse

LONGEST = 500  # characters of a text that is parsed: the parser takes 10 µs for each
MAX_VALUES = 5_000  # of a configuration, its interpolations and aliases written out


def problem_in(text: str) -> str | None:
    """What is wrong with the interpolations of a text, if anything."""
    if "${" not in text or (len(text) <= LONGEST and _is_plain(text)):
        return None
    return f"{cut(text)}: only ${{key}} is allowed"


@lru_cache(maxsize=10_000)
def _is_plain(text: str) -> bool:
    """Whether OmegaConf finds nothing but names of keys: no resolver, no name that is computed."""
    try:
        return all(map(_names_a_key, _interpolations(parse(text))))
    except (GrammarParseError, RecursionError):
        return False


def _interpolations(node: Any) -> Iterator[Any]:
    if isinstance(node, OmegaConfGrammarParser.InterpolationContext):
        yield node
    for child in getattr(node, "children", None) or ():
        yield from _interpolations(child)


def _names_a_key(interpolation: Any) -> bool:
    (inner,) = interpolation.children
    return (
        isinstance(inner, OmegaConfGrammarParser.InterpolationNodeContext)
        and inner.children[1] is inner.configKey(0)  # not ${.key}
        and not any(True for key in inner.configKey() for _ in _interpolations(key))
    )


def problems_in(values: Any) -> Iterator[tuple[str, str]]:
    """(dotted key, what is wrong) for the interpolations of a composed configuration."""
    texts = [(key, text) for key, text in strings_of(values) if "${" in text]
    found = [(key, problem) for key, text in texts if (problem := problem_in(text))]
    yield from found
    sizes: dict[str, float] = {}
    if not found and _written_out(values, values, sizes) > MAX_VALUES:
        told = f"its interpolations stand for over {MAX_VALUES:,} values"
        large = [(key, text) for key, text in texts if sizes.get(text, 0) > MAX_VALUES]
        for key, text in large[:1]:
            yield key, f"{cut(text)}: {told}"
        if not large:
            yield "", told


def strings_of(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The keys and values of nested mappings and lists that are texts, with where they stand."""
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for key, value in node.items():
            below = f"{path}.{key}" if path else str(key)
            if isinstance(key, str):
                yield below, key
            yield from strings_of(value, below)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from strings_of(value, f"{path}.{number}" if path else str(number))


def _written_out(node: Any, root: Any, known: dict[str, float]) -> float:
    """How many values it stands for; infinity where it leads back to itself.

    A long text counts as several, and what an interpolation names as often as it is named.
    """
    if isinstance(node, dict):
        return 1 + sum(_written_out(value, root, known) for value in node.values())
    if isinstance(node, list):
        return 1 + sum(_written_out(value, root, known) for value in node)
    size = 1 + len(node) / 100 if isinstance(node, str) else 1.0
    if isinstance(node, str) and "${" in node:
        if node not in known:
            known[node] = float("inf")
            known[node] = size + sum(
                _written_out(_looked_up(name, root), root, known) for name in _names(node)
            )
        return known[node]
    return size


def _names(text: str) -> Iterator[list[str]]:
    """The keys that the plain interpolations of a text name, part by part."""
    for interpolation in _interpolations(parse(text)):
        yield [key.getText() for key in interpolation.children[0].configKey()]


def _looked_up(names: list[str], node: Any) -> Any:
    for name in names:
        if isinstance(node, list) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        else:
            node = node.get(name) if isinstance(node, dict) else None
    return node


def cut(text: str, longest: int = 100) -> str:
    """A text short enough for a message."""
    return text if len(text) <= longest else f"{text[: longest - 40]}... ({len(text):,} characters)"
