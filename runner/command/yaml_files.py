"""Where in the YAML files a key stands, and mistakes that YAML itself passes over in silence."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from hydra._internal.config_repository import ConfigRepository
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult

from runner.errors import ConfigError

OCTAL = re.compile(r"[-+]?0[0-9_]+")
PACKAGE_HEADER = "# @package _global_"
RESOLVER = re.compile(r"\$\{[^}]*:")  # ${oc.env:HOME} and the like
MAX_BYTES = 1_000_000  # of a YAML file
MAX_VALUES = 100_000  # in one, its aliases written out


class HarmlessFiles(ConfigRepository):
    """Hydra's access to YAML files, which looks at each before Hydra makes anything of it.

    Raises:
        ConfigError: See `check_harmless`; or the file is none that an experiment may choose.
    """

    def load_config(self, config_path: str) -> ConfigResult | None:
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        if source is not None and source.scheme() == "file":
            path = Path(source.path) / config_path
            check_harmless(path.with_name(path.name.removesuffix(".yaml") + ".yaml"), config_path)
            if ".." in path.parts or Path(config_path).is_absolute():
                raise ConfigError([f"{config_path}: not in a folder of YAML files"])
            if source.provider == "command-line" and config_path.startswith("hydra"):
                raise ConfigError([f"{shown(path)}.yaml: Hydra is the runner's to configure"])
        return super().load_config(config_path)


def check_harmless(path: Path, config_path: str = "") -> None:
    """A YAML file may be no bomb, nor read the environment or choose Hydra's parts in its defaults list.

    Raises:
        ConfigError: It is too large, also with its aliases written out; or has such a defaults list.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError([f"{shown(path)}: larger than {MAX_BYTES:,} bytes"])
    try:
        text = path.read_text(encoding="utf-8")
        root = (
            yaml.compose(text, Loader=yaml.SafeLoader)
            if re.search(r"&|\$\{|hydra/", text)
            else None
        )
    except (yaml.YAMLError, UnicodeDecodeError):
        return  # whoever reads it next says what is wrong
    if root and values_in(root) > MAX_VALUES:
        raise ConfigError([f"{shown(path)}: its aliases stand for over {MAX_VALUES:,} values"])
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == "defaults":
            for scalar in scalars(value):
                place = f"{shown(path)}:{scalar.start_mark.line + 1}: {scalar.value}"
                if RESOLVER.search(scalar.value):
                    raise ConfigError([f"{place}: only ${{key}} is allowed"])
                if "hydra/" in scalar.value and config_path != "config":
                    raise ConfigError([f"{place}: only on the command line (hydra/launcher=...)"])


def values_in(root: yaml.Node) -> float:
    """How many values a document has when every alias is written out; infinity for endless ones."""
    counts: dict[int, float] = {}

    def count(node: yaml.Node) -> float:
        if id(node) not in counts:
            counts[id(node)] = float("inf")  # for an alias of what it lies in
            counts[id(node)] = 1 + sum(count(child) for child in children(node))
        return counts[id(node)]

    return count(root)


def children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    for child in children(node):
        yield from scalars(child)


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
        for scalar in scalars(self.root) if self.root else ():
            if scalar.style is None and OCTAL.fullmatch(scalar.value):
                yield scalar.start_mark.line + 1, scalar.value

    def has_package_header(self) -> bool:
        first = self.path.read_text(encoding="utf-8").lstrip().split("\n", 1)[0]
        return first.strip() == PACKAGE_HEADER


def shown(path: Path) -> str:
    """A path relative to the working directory where it lies below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
