"""Where in the YAML files a key stands, and mistakes that YAML itself passes over in silence."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

OCTAL = re.compile(r"[-+]?0[0-9_]+")
PACKAGE_HEADER = "# @package _global_"


class Source:
    """One YAML file whose keys land in the configuration below `prefix` ("" for a global one).

    Raises:
        yaml.MarkedYAMLError: The file is no YAML.
        UnicodeDecodeError: It is not UTF-8.
    """

    def __init__(self, path: Path, prefix: str) -> None:
        self.path = path
        self.prefix = prefix
        self.root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)

    def __str__(self) -> str:
        return shown(self.path)

    def line(self, key: str) -> int | None:
        """The line, counted from 1, on which a dotted key of the configuration stands."""
        if self.prefix:
            if not key.startswith(self.prefix + "."):
                return None
            key = key.removeprefix(self.prefix + ".")
        line, node = None, self.root
        for part in key.split("."):
            if isinstance(node, yaml.SequenceNode) and part.isdigit():
                node = node.value[int(part)]
                continue
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            match = [(k, v) for k, v in pairs if k.value == part]
            if not match:
                return None
            line, node = match[-1][0].start_mark.line + 1, match[-1][1]
        return line

    def octals(self) -> Iterator[tuple[int, str]]:
        """(line, text) of the numbers with a leading zero, which YAML 1.1 reads as octal."""

        def walk(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
            if isinstance(node, yaml.ScalarNode):
                yield node
            elif isinstance(node, yaml.SequenceNode):
                for item in node.value:
                    yield from walk(item)
            elif isinstance(node, yaml.MappingNode):
                for _, value in node.value:
                    yield from walk(value)

        for scalar in walk(self.root) if self.root else ():
            if scalar.style is None and OCTAL.fullmatch(scalar.value):
                yield scalar.start_mark.line + 1, scalar.value

    def has_package_header(self) -> bool:
        first = self.path.read_text(encoding="utf-8").lstrip().split("\n", 1)[0]
        return first.strip() == PACKAGE_HEADER


def shown(path: Path) -> str:
    """A path relative to the working directory where it lies below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
