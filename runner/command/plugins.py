"""Options of the user's own: Python that the command line names, or that an installed package offers.

No YAML file is ever asked. A plugin is imported before anything is composed, and forgotten afterwards.
"""

import importlib
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

from runner.command.yaml_files import shown
from runner.errors import ConfigError, summary
from runner.options import registry

ENTRY_POINTS = "runner.options"  # the group in which an installed package names its modules
PACKAGE = Path(__file__).parents[1]
LIBRARIES = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]


@contextmanager
def plugins(words: Sequence[str]) -> Iterator[None]:
    """A block in which there are the options of installed packages and of the plugins named.

    Args:
        words: Modules or .py files.

    Raises:
        ConfigError: One cannot be imported or has no option, with the line at fault.
    """
    before, path, no_bytecode = set(sys.modules), list(sys.path), sys.dont_write_bytecode
    with registry.restored():
        try:
            # A source that is changed within a second would be taken for what was compiled before.
            sys.dont_write_bytecode = True
            importlib.invalidate_caches()
            sys.path.append(str(Path.cwd()))
            for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
                _load_entry(entry)
            for word in dict.fromkeys(words):
                _load(word)
            sys.dont_write_bytecode = no_bytecode
            yield
        finally:
            sys.path[:] = path
            sys.dont_write_bytecode = no_bytecode
            for name in set(sys.modules) - before:
                if getattr(sys.modules[name], "__name__", "").split(".")[0] in _loaded:
                    del sys.modules[name]
            _loaded.clear()


_loaded: set[str] = set()  # the packages and modules that were imported for their options


def _load(word: str) -> None:
    is_file = word.endswith(".py") or "/" in word
    if is_file:
        path = Path(word).resolve()
        if not path.is_file():
            raise ConfigError([f"--plugin {word}: no such file{_nearest(path)}"])
        name = f"{path.stem.replace('.', '_')}_{sha256(bytes(path)).hexdigest()[:8]}"
        sys.path.append(str(path.parent))  # of its neighbours
    else:
        name = word
        if not all(part.isidentifier() for part in word.split(".")):
            raise ConfigError([f"--plugin {word!r}: takes the name of a module, or a .py file"])
    own = path.parent if is_file else _folder(name)

    def load() -> None:
        if not is_file:
            importlib.import_module(name)
            return
        spec = spec_from_file_location(name, path)
        assert spec
        assert spec.loader
        sys.modules[name] = module = module_from_spec(spec)
        spec.loader.exec_module(module)

    _imported(f"--plugin {word}", word, name, own, load)


def _load_entry(entry: EntryPoint) -> None:
    package = entry.dist.name if entry.dist else entry.name
    what = f"{entry.value} of the installed package '{package}'"
    _imported(what, package, entry.module, _folder(entry.module), entry.load)


def _imported(
    what: str, plugin: str, module: str, own: Path | None, load: Callable[[], object]
) -> None:
    """Imports a plugin's module.

    Args:
        what: How to call it in a message.
        plugin: What is recorded of it.
        module: Its name.
        own: The folder or file that its code stands in.
        load: Imports it.

    Raises:
        ConfigError: It fails, or it has no option.
    """
    root = module.split(".")[0]
    _loaded.add(root)
    options = {kind for *_, kind in registry.plugged_in()}
    token = registry.loading.set(plugin)
    try:
        load()
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise ConfigError([f"{what}: no such module{_nearest(Path(f'{module}.py'))}"]) from None
        place = _place(error, own)
        problems = error.problems if isinstance(error, ConfigError) else [summary(error)]
        raise ConfigError([f"{place or what}: {problem}" for problem in problems]) from None
    finally:
        registry.loading.reset(token)
    found = {kind for *_, kind in registry.plugged_in()}
    if found == options and not any(kind.__module__.split(".")[0] == root for kind in found):
        raise ConfigError([f'{what}: has no option: no class with @runner.option("optimizer")'])


def _folder(module: str) -> Path | None:
    """The folder of a package; for a module the folder that it stands in, or itself among libraries."""
    try:
        spec = find_spec(module.split(".")[0])
    except ValueError:  # no module of that name can be found: __main__
        return None
    if not spec or not spec.origin or not Path(spec.origin).is_file():
        return None
    path = Path(spec.origin)
    return path if path.parent in LIBRARIES else path.parent


def _place(error: BaseException, own: Path | None) -> str | None:
    """File and line of the user's own code in which an error has its cause, as far as that is known."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown(Path(error.filename))}:{error.lineno}"
    lines = traceback.extract_tb(error.__traceback__)
    mine = [line for line in lines if own and _is_in(Path(line.filename), own)]
    return f"{shown(Path(mine[-1].filename))}:{mine[-1].lineno}" if mine else None


def _is_in(path: Path, own: Path) -> bool:
    above = [PACKAGE, *(library for library in LIBRARIES if library.is_relative_to(own))]
    return path.is_relative_to(own) and not any(path.is_relative_to(folder) for folder in above)


def _nearest(path: Path) -> str:
    """ "; did you mean 'x'?" where a Python file of nearly that name stands in the folder."""
    found = [file.name for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
    close = get_close_matches(path.name, found, n=1, cutoff=0.6)
    return f"; did you mean '{path.parent / close[0]}'?" if close else ""
