"""YAML files that anyone may have written: looked at, node by node, before values are made of them."""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import yaml

from runner.command.interpolations import MAX_VALUES, cut, problem_in
from runner.command.permitted import NOT_FROM_YAML, SETTINGS
from runner.config.defaults import chosen
from runner.errors import ConfigError

MAX_BYTES = 100_000
MAX_DEPTH = 100
MAX_DIGITS = 1000
MAX_INTERPOLATIONS = 500
PACKAGE_HEADER = "# @package _global_"
OCTAL = re.compile(r"[-+]?0[0-9_]+")
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 10 times as fast
STRING = "tag:yaml.org,2002:str"
MERGE = "tag:yaml.org,2002:merge"
NO_WORDS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:bool")
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


@dataclass
class Source:
    """One YAML file whose keys land in the configuration below `prefix` ("" for a global one).

    Args:
        path: The file.
        prefix: The config group that it is an option of.
        own: Whether it is the runner's config.yaml, which alone chooses Hydra's parts.

    Raises:
        ConfigError: With all that is wrong with it.
    """

    path: Path
    prefix: str = ""
    own: bool = False
    root: yaml.Node | None = field(init=False)
    group: str = field(init=False)  # prefix, also where a file is a global one
    header: bool = field(init=False)  # whether it says where its keys land

    def __post_init__(self) -> None:
        text = self._text()
        self.group, self.header = self.prefix, text.startswith("# @package")
        try:
            self._check_form(text)
            self.root = yaml.compose(text, Loader=LOADER)
        except yaml.MarkedYAMLError as error:
            mark: Any = error.problem_mark or error.context_mark
            problem = str(error.problem)
            said = f"{error.context}, {problem}" if problem.startswith("but ") else problem
            raise self._error(mark.line + 1 if mark else 1, said) from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, int(error.position)) + 1
            raise self._error(line, "a character that YAML forbids") from None
        if self.root:
            values, depth = _size(self.root, {})
            if values > MAX_VALUES:
                raise ConfigError([f"{self}: over {MAX_VALUES:,} values, aliases written out"])
            if depth > MAX_DEPTH:
                raise ConfigError([f"{self}: its aliases are nested over {MAX_DEPTH} deep"])
            if problems := list(dict.fromkeys(self._problems(self.root))):
                raise ConfigError(problems)

    def __str__(self) -> str:
        return shown(self.path)

    def line(self, key: str) -> int | None:
        """The line, counted from 1, on which a dotted key of the configuration stands."""
        if self.prefix:
            if not key.startswith(self.prefix + "."):
                return None
            key = key.removeprefix(self.prefix + ".")
        return _line(self.root, key.split("."))

    def line_of_default(self, group: str, option: str) -> int | None:
        """The line of the defaults list that chooses an option of a group."""
        for key, value in _pairs(self.root):
            for item in value.value if key.value == "defaults" else ():
                for group_node, option_node in _pairs(item):
                    path = str(group_node.value).split(" ")[-1].strip("/")
                    below = f"{self.group}/{path}" if self.group else path
                    if group in (path, below) and str(option_node.value) == option:
                        return int(item.start_mark.line) + 1
                if str(item.value) == option and group in ("", self.group):
                    return int(item.start_mark.line) + 1
        return None

    @property
    def is_experiment(self) -> bool:
        """Whether it is the difference of an experiment from the defaults, not a whole configuration."""
        return self.header or any(key.value == "defaults" for key, _ in _pairs(self.root))

    def _text(self) -> str:
        try:
            if self.path.exists() and not self.path.is_file():
                raise ConfigError([f"{self}: not a file"])
            with self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise ConfigError([f"{cut(str(self))}: {error.strerror}"]) from None
        if len(data) > MAX_BYTES:
            raise ConfigError([f"{self}: larger than {MAX_BYTES:,} bytes"])
        if data.startswith(BOM_UTF8):
            raise self._error(1, "a byte order mark; save it as UTF-8 without one")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise self._error(data.count(b"\n", 0, error.start) + 1, "not UTF-8") from None

    def _check_form(self, text: str) -> None:
        """What must be known before the parser builds a tree, which it does by recursion."""
        depth = 0
        for event in yaml.parse(text, Loader=LOADER):
            mark: Any = event.start_mark
            if tag := getattr(event, "tag", None):
                raise self._error(mark.line + 1, f"{cut(tag)}: a tag has no use here")
            opens = isinstance(event, yaml.CollectionStartEvent)
            depth += opens - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise self._error(mark.line + 1, f"nested over {MAX_DEPTH} deep")

    def _problems(self, root: yaml.Node) -> Iterator[str]:
        nodes = list(_walk(root, "", set()))
        if sum("${" in node.value for _, node in nodes) > MAX_INTERPOLATIONS:
            yield f"{self}: over {MAX_INTERPOLATIONS} interpolations"
            return
        for path, node in nodes:
            where = f"{self}:{node.start_mark.line + 1}: "
            if isinstance(node, yaml.ScalarNode):
                key = "" if path.split(".")[0] == "defaults" else f"{path}: "
                yield from (where + problem for problem in _problems_of_scalar(node, key))
            if isinstance(node, yaml.MappingNode):
                first: set[str] = set()
                for key_node, value in node.value:
                    where = f"{self}:{key_node.start_mark.line + 1}: "
                    if not isinstance(key_node, yaml.ScalarNode):
                        yield f"{where}a key must be a word"
                    elif key_node.tag in NO_WORDS:
                        yield f"{where}{key_node.value}: no word to YAML; put the key in quotes"
                    elif key_node.value in first:
                        yield f"{where}found duplicate key {cut(key_node.value)}"
                    else:
                        first.add(key_node.value)
                    if key_node.tag == MERGE and not _is_mergeable(value):
                        yield f"{where}<<: must be a mapping or a list of mappings"
        for key_node, value in _pairs(root):
            if key_node.value == "hydra":
                for key, place in _leaves(key_node, value, "hydra"):
                    if key not in SETTINGS:
                        where = f"{self}:{place.start_mark.line + 1}: "
                        yield f"{where}{cut(key)}: {NOT_FROM_YAML}"
            if key_node.value == "defaults" and not self.own:
                yield from self._problems_of_defaults(value)

    def _problems_of_defaults(self, node: yaml.Node) -> Iterator[str]:
        for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            place = f"{self}:{item.start_mark.line + 1}: "
            if not _is_default(item) or item is node:
                yield f"{place}defaults: must be a list of `group: option`"
            elif self.group.split("/")[0] == "experiment" and (choice := _unforced(item)):
                yield f"{place}a default is replaced by `- override /{choice}`"
        for _, scalar in _walk(node, "", set()):
            path = str(scalar.value).split(" ")[-1]
            place = f"{self}:{scalar.start_mark.line + 1}: {scalar.value}"
            if not isinstance(scalar, yaml.ScalarNode):
                continue
            if "hydra" in re.split(r"[/.@:]", path):
                yield f"{place}: only on the command line (hydra/launcher=...)"
            elif "@" in path:
                yield f"{place}: @ has no use here"
            elif ".." in path.split("/"):
                yield f"{place}: not in a folder of YAML files"

    def _error(self, line: int, message: str) -> ConfigError:
        return ConfigError([f"{self}:{line}: {message}"])


def _problems_of_scalar(node: yaml.ScalarNode, key: str) -> Iterator[str]:
    if problem := problem_in(node.value):
        yield f"{key}{problem}"
    if node.value == "???":
        yield f"{key}??? is no value"
    if node.tag in NUMBERS and len(node.value) > MAX_DIGITS:
        yield f"{key}a number of {len(node.value):,} digits"
    elif not node.style and OCTAL.fullmatch(node.value):
        digits = node.value.replace("_", "")
        read = int(digits, 8) if re.fullmatch("[-+]?[0-7]+", digits) else None
        reading = "no number" if read is None else f"YAML reads it as octal, {read}"
        yield f"{node.value}: {reading}; write it without the leading zero"


def _is_default(node: yaml.Node) -> bool:
    """Whether Hydra can make something of it as an entry of a defaults list."""
    if isinstance(node, yaml.MappingNode):
        values = [value for _, value in node.value]
        listed = values[0].value if values and isinstance(values[0], yaml.SequenceNode) else values
        words = [key for key, _ in node.value]
        return len(words) == 1 and words[0].tag == STRING and all(map(_is_scalar, listed))
    return node.tag == STRING


def _is_mergeable(node: yaml.Node) -> bool:
    merged = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return all(isinstance(part, yaml.MappingNode) for part in merged)


def _unforced(item: yaml.Node) -> str | None:
    """`group: option` of a default that an entry of a defaults list chooses without override."""
    if isinstance(item, yaml.MappingNode):
        ((key, option),) = item.value
        words, option = str(key.value).split(" "), str(option.value)
    else:
        group, _, option = str(item.value).partition("=")
        words = [group.strip()]
    group = words[-1].strip("/")
    forced = "override" in words and words[-1].startswith("/")
    return f"{group}: {option.strip()}" if option and group in chosen() and not forced else None


def _is_scalar(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode)


def _line(node: yaml.Node | None, parts: list[str]) -> int | None:
    """Where a key stands that is reached by these parts, of which several may be one key with dots."""
    if isinstance(node, yaml.SequenceNode):
        inside = parts[0] in map(str, range(len(node.value)))
        below = node.value[int(parts[0])] if inside else None
        return below and (_line(below, parts[1:]) if parts[1:] else below.start_mark.line + 1)
    for number in range(len(parts), 0, -1):
        for key, value in reversed(list(_pairs(node))):
            if key.value == ".".join(parts[:number]):
                return _line(value, parts[number:]) if parts[number:] else key.start_mark.line + 1
    return None


def _children(node: yaml.Node) -> Sequence[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _size(node: yaml.Node, known: dict[int, tuple[float, float]]) -> tuple[float, float]:
    """How many values it has with every alias written out, and how deep; infinity for endless ones."""
    if id(node) not in known:
        known[id(node)] = (inf, inf)  # for an alias of what it lies in
        sizes = [_size(child, known) for child in _children(node)]
        depth = max((deep for _, deep in sizes), default=0)
        known[id(node)] = (1 + sum(values for values, _ in sizes), 1 + depth)
    return known[id(node)]


def _pairs(node: yaml.Node | None) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Keys and values of a mapping, those that it merges (<<) first."""
    if isinstance(node, yaml.SequenceNode):  # of mappings to merge
        for item in reversed(node.value):
            yield from _pairs(item)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag == MERGE:
                yield from _pairs(value)
        yield from (pair for pair in node.value if pair[0].tag != MERGE)


def _leaves(key: yaml.Node, node: yaml.Node, path: str) -> Iterator[tuple[str, yaml.Node]]:
    """Dotted keys that hold a value, not a mapping, and where they stand."""
    pairs = list(_pairs(node)) if isinstance(node, yaml.MappingNode) else []
    for below, value in pairs:
        yield from _leaves(below, value, f"{path}.{below.value}")
    if not pairs:
        yield path, key


def _walk(node: yaml.Node, path: str, seen: set[int]) -> Iterator[tuple[str, yaml.Node]]:
    """Every node once, with the dotted key that it stands at first."""
    if id(node) in seen:
        return
    seen.add(id(node))
    yield path, node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            word = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            below = f"{path}.{word}" if path else word
            yield from _walk(key, below, seen)
            yield from _walk(value, below, seen)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _walk(value, f"{path}.{number}" if path else str(number), seen)


def shown(path: Path) -> str:
    """A path relative to the working directory where it lies below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
