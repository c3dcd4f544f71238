"""Modules that others import and that a run does not need, left out until somebody uses them.

A stand-in answers for a module, and only to those who are known to need no more than it gives. Anyone
else, and anyone who asks for another name, gets the module itself, imported then and there: versions of
a library that ask for something new start slower, and nothing breaks.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from types import ModuleType
from typing import Any

# What Python looks for in any module; it needs a package's __path__ only to import something in it.
SOUGHT = ("__path__", "__file__", "__warningregistry__")
# By name: the packages that may ask for it, and the answer.
Answers = Mapping[str, tuple[tuple[str, ...], Any]]
LEAVING = Lock()


class StandIn(ModuleType):
    """In sys.modules in place of a module that has not been imported.

    Args:
        name: Of the module.
        answers: What it gives to whom; an answer of None is the name in the module, for later.
    """

    def __init__(self, name: str, answers: Answers) -> None:
        super().__init__(name)
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        asking: str = sys._getframe(1).f_globals.get("__name__", "")
        if name in SOUGHT and asking != "importlib._bootstrap":
            raise AttributeError(name)
        askers, answer = self._answers.get(name, ((), None))
        if any(f"{asking}.".startswith(f"{asker}.") for asker in askers):
            return Later(self.__name__, name) if answer is None else answer
        module = imported(self.__name__)
        submodule = f"{self.__name__}.{name}"
        if not hasattr(module, name) and hasattr(module, "__path__") and find_spec(submodule):
            import_module(submodule)  # `from module import submodule`
        return getattr(module, name)

    def __dir__(self) -> list[str]:
        return dir(imported(self.__name__))


class Later:
    """A class or a function of a module, which is imported when it is called."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def _real(self) -> Any:
        return getattr(imported(self._module), self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)

    def __instancecheck__(self, instance: object) -> bool:
        """A class that was never imported has no instances."""
        return in_use(self._module) and isinstance(instance, self._real())

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._real(),)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what typing looks for in an annotation
            raise AttributeError(name)
        return getattr(self._real(), name)


def in_use(name: str) -> bool:
    """Whether the module itself has been imported."""
    return name in sys.modules and not isinstance(sys.modules[name], StandIn)


def imported(name: str) -> ModuleType:
    """The module itself, no matter what stands in for it."""
    with LEAVING:  # or a thread could remove the module that another is importing
        if isinstance(sys.modules.get(name), StandIn):
            del sys.modules[name]
    return import_module(name)


def stand_in(name: str, answers: Answers) -> None:
    """Has a stand-in for a module from now on, unless it is in use or does not exist."""
    if name not in sys.modules and (spec := find_spec(name)):
        module = sys.modules[name] = StandIn(name, answers)
        module.__spec__ = spec


@contextmanager
def left_out(modules: Mapping[str, Answers]) -> Iterator[None]:
    """Has stand-ins while others are imported. Afterwards `import` finds the modules themselves.

    None is looked for: finding a module imports its package.
    """
    stand_ins = {name: StandIn(name, modules[name]) for name in modules if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
                package, _, child = name.rpartition(".")
                parent = vars(sys.modules.get(package, module))
                if "__getattr__" not in parent:  # it would find its modules by itself
                    parent.setdefault(child, module)
