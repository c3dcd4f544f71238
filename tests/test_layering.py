"""Which folder of runner/ may use which, and that no two modules need each other.

Read from the syntax tree, so that an import inside a function counts too. Where a folder may look holds for
all imports, also those under TYPE_CHECKING: to know the name of what stands above is to depend on it. Those
are never carried out, so only they may close a circle.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

RUNNER = Path(__file__).parents[1] / "runner"
COMMANDS = "commands"  # the modules at the top of runner/
FLOORS = (
    COMMANDS, "reporting", "studies", "search", "command", "launch", "training", "runs", "config", "data", "options",
)  # fmt: skip
SHARED = ("runner", "runner.errors", "runner.foreign", "runner.interrupts", "runner.randomness")
FOLDERS = [path.parent for path in RUNNER.rglob("__init__.py") if path.parent != RUNNER]

Sources = dict[str, str]  # the text of each module by its name


def sources() -> Sources:
    found = {}
    for path in sorted(RUNNER.rglob("*.py")):
        parts = path.relative_to(RUNNER.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


def imports(module: str, code: Sources, carried_out: bool) -> Iterator[str]:
    """The modules of the package that a module imports.

    Args:
        module: Its name.
        code: All modules.
        carried_out: Without those under TYPE_CHECKING.
    """
    tree = ast.parse(code[module])
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and carried_out:
            skipped.update(inner for statement in node.body for inner in ast.walk(statement))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno}: write the import out, from runner"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in code else str(node.module) for name in inside]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "runner")


def floor(module: str) -> str:
    _, *parts = module.split(".")
    if parts[-1] == "__main__":
        return COMMANDS  # python -m runner.<folder>
    return parts[0] if len(parts) > 1 or (RUNNER / parts[0]).is_dir() else COMMANDS


def climbing(code: Sources) -> list[str]:
    """Imports of what does not lie beneath."""
    found = []
    for module in code:
        # The package itself names for type checkers what lies above; it imports nothing.
        for used in imports(module, code, carried_out=module == "runner"):
            if used in SHARED:
                continue
            if module in SHARED or FLOORS.index(floor(used)) < FLOORS.index(floor(module)):
                found.append(f"{module} imports {used}")
    return found


def circle(code: Sources) -> list[str]:
    """Modules of which each imports the next and the last the first; nothing where there are none."""
    graph = {module: set(imports(module, code, carried_out=True)) for module in code}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_folder_has_its_floor() -> None:
    assert {folder.name for folder in FOLDERS if folder.parent == RUNNER} == {*FLOORS} - {COMMANDS}
    assert sources().keys() >= {*SHARED}


def test_each_folder_uses_only_those_beneath_it() -> None:
    assert not climbing(sources())


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert not circle(sources())


IN_A_FUNCTION = "def f():\n    from runner.training import train"
FOR_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import runner.command.compose"


@pytest.mark.parametrize(
    ("module", "planted", "used"),
    [
        (
            "runner.options.losses",
            "from runner.config.schema import Config",
            "runner.config.schema",
        ),
        ("runner.runs.folder", IN_A_FUNCTION, "runner.training.train"),
        ("runner.training.run", FOR_TYPES, "runner.command.compose"),
        ("runner.reporting.page", "import runner.lecture as lecture", "runner.lecture"),
        ("runner.errors", "from runner.data import files", "runner.data.files"),
    ],
)
def test_a_planted_import_is_found(module: str, planted: str, used: str) -> None:
    code = sources()
    code[module] = f"{code.get(module, '')}\n{planted}"
    assert climbing(code) == [f"{module} imports {used}"]


def test_a_planted_circle_is_found() -> None:
    code = sources() | {
        "runner.data.first": "def f():\n    import runner.data.second",
        "runner.data.second": "from runner.data.first import f",
    }
    assert {*circle(code)} == {"runner.data.first", "runner.data.second"}
