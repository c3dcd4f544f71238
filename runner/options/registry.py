"""The options of every config group by name: the runner's own and the user's.

A group is declared by the class that its options resemble, an option by `@option(group)`. A field of the
configuration that is `Annotated[UpdateRule, ByName("optimizer")]` takes any option of the group by its
name, also one that is registered later.
"""

import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from inspect import getsourcefile, isabstract
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import (
    CoreSchema,
    InitErrorDetails,
    PydanticKnownError,
    core_schema,
    to_jsonable_python,
)

from runner.errors import ConfigError, one_line, summary
from runner.options.option import Option

Kind = TypeVar("Kind", bound=type[Option])
NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)

GROUPS: dict[str, type[Option]] = {}  # what all options of a group resemble
OPTIONS: dict[str, dict[str, type[Option]]] = {}
SOURCES: dict[type[Option], "Source"] = {}  # of options that are not the runner's own
loading: ContextVar[str | None] = ContextVar("loading", default=None)  # the plugin that is imported


@dataclass(frozen=True)
class Source:
    """Where an option of the user's comes from.

    Attributes:
        plugin: What --plugin names, or the installed package.
        path: The file that its class stands in.
        sha256: Of that file when it was imported: another text may give other numbers.
    """

    plugin: str
    path: Path
    sha256: str


def group(name: str) -> Callable[[Kind], Kind]:
    """Declares a config group by the class that its options resemble.

    If that class is not abstract, it is the option of a configuration that gives no `name`.
    """

    def declare(base: Kind) -> Kind:
        GROUPS[name] = base
        OPTIONS[name] = {}
        return base

    return declare


def option(group: str) -> Callable[[Kind], Kind]:
    """Makes a class an option of a config group.

    It need not be derived from the group's class. It must have the same settings and methods; what that
    class has besides, such as `elementwise`, it is given.

    Args:
        group: data, architecture, init, optimizer, ...

    Raises:
        ConfigError: There is no such group, the class is no option of it, or its name is taken.
    """

    def register(kind: Kind) -> Kind:
        if group not in GROUPS:
            close = get_close_matches(str(group), GROUPS, n=1, cutoff=0.5)
            hint = f"; did you mean '{close[0]}'?" if close else "."
            raise ConfigError([f"unknown group '{group}'{hint} Known: {', '.join(sorted(GROUPS))}"])
        names = names_of(kind)
        if problem := next(_problems(group, kind, names), None):
            raise ConfigError([f"{group} {kind.__name__}: {problem}"])
        base = GROUPS[group]
        for key, value in vars(base).items():
            if not key.startswith("_") and not hasattr(kind, key):
                setattr(kind, key, value)
        OPTIONS[group] |= dict.fromkeys(names, kind)
        if not is_own(kind):
            path = source_file(kind)
            assert path
            module = path.name if kind.__module__ == "__main__" else kind.__module__
            digest = sha256(path.read_bytes()).hexdigest()
            SOURCES[kind] = Source(loading.get() or module, path, digest)
        return kind

    return register


def names_of(kind: type[Option]) -> tuple[str, ...]:
    """The names that configurations give an option: one, for nearly all of them."""
    field = getattr(kind, "model_fields", {}).get("name")
    return tuple(get_args(field.annotation)) if field else ()


def _problems(group: str, kind: type[Option], names: tuple[Any, ...]) -> Iterator[str]:
    base = GROUPS[group]
    if not (isinstance(kind, type) and issubclass(kind, Option)):
        yield "must be a class derived from runner.Option"
        return
    if not names or not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
        example = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()
        yield f'has no name; it takes a line such as name: Literal["{example}"] = "{example}"'
        return
    for name in names:
        taken = OPTIONS[group].get(name)
        if taken and is_own(taken):
            yield f"the runner has {_article(group)} '{name}' itself; choose another name"
        elif taken and _place(taken) != _place(kind):
            there = SOURCES[taken]
            yield f"'{name}' is already {taken.__name__} of {there.path} (plugin {there.plugin})"
    keys = [key for key in base.model_fields if key not in kind.model_fields]
    if keys:
        yield f"every {group} has the settings {', '.join(base.model_fields)}; missing: {', '.join(keys)}"
    constants = {name for name in base.__class_vars__ if not hasattr(base, name)}
    wanted = sorted({*getattr(base, "__abstractmethods__", ()), *constants})
    missing = [name for name in wanted if not _defines(kind, name)]
    if missing:
        yield f"every {group} defines {', '.join(wanted)}; missing: {', '.join(missing)}"
    try:
        defaults_of(kind)
    except ValueError as error:
        yield f"a default cannot be written as YAML: {one_line(error)}"
    if not is_own(kind) and not source_file(kind):
        yield "its source cannot be read, so its runs could not be told apart; put it into a file"


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _defines(kind: type[Option], name: str) -> bool:
    """Whether a class has a method or property of its own; every class can be called."""
    found = next((vars(above)[name] for above in kind.__mro__ if name in vars(above)), None)
    return found is not None and not getattr(found, "__isabstractmethod__", False)


def _place(kind: type[Option]) -> tuple[Path | None, str]:
    """Equal for a class and the same class imported again."""
    return source_file(kind), kind.__qualname__


def is_own(kind: type[Option]) -> bool:
    """Whether an option is one of the runner's."""
    return kind.__module__.split(".")[0] == __name__.split(".")[0]


def source_file(kind: type[Option]) -> Path | None:
    """The file that a class stands in, if it does."""
    try:
        path = Path(getsourcefile(kind) or "")
    except (TypeError, OSError):
        return None
    return path.resolve() if path.is_file() else None


def fault_in(error: BaseException) -> str | None:
    """An error as its line in the file of an option of the user's, and its message; None if it has another cause."""
    files = {source.path for source in SOURCES.values()}
    frames = traceback.extract_tb(error.__traceback__)
    mine = [f"{f.filename}:{f.lineno}" for f in frames if Path(f.filename).resolve() in files]
    return f"{mine[-1]}: {summary(error)}" if mine else None


def sources_of(options: Mapping[str, object]) -> dict[str, Source]:
    """Where those of the options come from that are the user's, by group."""
    found = {group: SOURCES.get(type(chosen)) for group, chosen in options.items()}  # type: ignore[arg-type]
    return {group: source for group, source in found.items() if source}


def plugged_in() -> Iterator[tuple[str, str, type[Option]]]:
    """Group, name and class of each option that is the user's."""
    for group, options in OPTIONS.items():
        yield from ((group, name, kind) for name, kind in options.items() if kind in SOURCES)


def defaults_of(kind: type[Option]) -> dict[str, Any]:
    """What a YAML file of an option's defaults would hold; a setting without a default is left out."""
    fields = kind.model_fields.items()
    values = {k: f.get_default(call_default_factory=True) for k, f in fields if not f.is_required()}
    plain: dict[str, Any] = to_jsonable_python({"name": names_of(kind)[0], **values})
    return plain


@contextmanager
def restored() -> Iterator[None]:
    """A block after which the options are those that there were before."""
    before = {group: dict(options) for group, options in OPTIONS.items()}
    try:
        yield
    finally:
        OPTIONS.update(before)


@dataclass(frozen=True)
class ByName:
    """Of a field: it takes the options of a group, each by its `name`."""

    group: str

    def members(self) -> dict[str, type[Option]]:
        """The options by name; under "" the one without a name, if there is one."""
        base = GROUPS[self.group]
        unnamed = not isabstract(base) and "name" not in base.model_fields
        return ({"": base} if unnamed else {}) | OPTIONS[self.group]

    def validate(self, value: Any) -> Option:
        members = self.members()
        if isinstance(value, Option):
            value = {key: getattr(value, key) for key in type(value).model_fields}
        if not isinstance(value, dict):
            raise PydanticKnownError("model_attributes_type")
        if "name" not in value and "" not in members:
            missing = InitErrorDetails(type="missing", loc=("name",), input=value)
            raise ValidationError.from_exception_data(self.group, [missing])
        name = value.get("name", "")
        kind = members.get(name) if isinstance(name, str) else None
        if kind is None and members.keys() == {""}:
            kind = members[""]  # which says that `name` is an unknown key
        if kind is None:
            known = ", ".join(f"'{known}'" for known in members if known)
            context = {"discriminator": "'name'", "tag": str(name), "expected_tags": known}
            raise PydanticKnownError("union_tag_invalid", context)
        return kind.model_validate(value)

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        kinds = dict.fromkeys(self.members().values())
        described = [
            kind.__get_pydantic_json_schema__(kind.__pydantic_core_schema__, handler)
            for kind in kinds
        ]
        return {"anyOf": described}
