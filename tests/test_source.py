"""The source of the runner: nothing in it could run what a file says."""

import ast
from pathlib import Path

import pytest

RUNNER = Path(__file__).parents[1] / "runner"

FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "instantiate",
    "extractall",
    "system",
    "popen",
    "import_module",
    "exec_module",
    "load_module",
    "run_module",
    "run_path",
    "literal_eval",
    "entry_points",
    "load_entry_point",
    "get_class",
    "get_method",
    "get_object",
}
# Modules that import by a name which is no literal, and why none of it comes from a file that is read.
NAMED = {
    "training/stand_ins.py": "names of modules that runner/training/lightning.py lists",
    "launch/launcher.py": "the modules of its own folder",
    "__init__.py": "the modules of the names that `import runner` offers",
    "command/plugins.py": "what the command line or an installed package names",
}
UNSAFE_MODULES = {
    *("pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"),
    *("runpy", "imp", "code", "codeop", "ctypes", "pty", "hydra.utils", "hydra._internal.utils"),
}
UNSAFE_YAML = {
    "load",
    "load_all",
    "unsafe_load",
    "full_load",
    "Loader",
    "UnsafeLoader",
    "FullLoader",
}


def within_unsafe(module: str) -> bool:
    return any(f"{module}.".startswith(f"{unsafe}.") for unsafe in UNSAFE_MODULES)


def unsafe(tree: ast.AST) -> list[str]:
    """The lines of a module that could run what a file says."""
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names if within_unsafe(a.name)]
        elif isinstance(node, ast.ImportFrom):
            imported = {a.name for a in node.names}
            names = list(imported & FORBIDDEN) + [
                m for m in (node.module or "",) if within_unsafe(m)
            ]
        elif isinstance(node, ast.Call):
            owner = getattr(getattr(node.func, "value", None), "id", "")
            name = getattr(node.func, "attr", "") or getattr(node.func, "id", "")
            keywords = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            # module.eval() and re.compile() are methods that run no code.
            if name in FORBIDDEN and (
                isinstance(node.func, ast.Name) or name not in ("eval", "compile")
            ):
                names = [name]
            if (owner, name) == ("yaml", "load") or (owner == "yaml" and name in UNSAFE_YAML):
                names = [name]
            if (owner, name) == ("torch", "load") and keywords.get("weights_only") is not True:
                names = [name]
            if (owner, name) == ("np", "load") and keywords.get("allow_pickle") is not False:
                names = [name]
            if keywords.get("shell"):
                names = ["shell"]
        found += [f"{getattr(node, 'lineno', 0)}: {name}" for name in names]
    return found


def test_the_source_has_no_way_to_run_data() -> None:
    files = sorted(RUNNER.rglob("*.py"))
    assert len(files) > 40
    found = {f.relative_to(RUNNER).as_posix(): unsafe(ast.parse(f.read_text())) for f in files}
    assert {name for name, lines in found.items() if lines} == set(NAMED), found
    imports = ("import_module", "exec_module", "entry_points")
    assert all(line.endswith(imports) for name in NAMED for line in found[name])


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from pickle import loads", "eval('x')", "exec('x')", "yaml.load(x)", "yaml.unsafe_load(x)",
        "from hydra.utils import instantiate", "hydra.utils.instantiate(x)", "archive.extractall(x)",
        "torch.load(x)", "torch.load(x, weights_only=False)", "np.load(x)", "np.load(x, allow_pickle=True)",
        "os.system('x')", "subprocess.run('x', shell=True)", "from importlib import import_module",
        "importlib.import_module(x)", "__import__(x)", "import runpy", "runpy.run_path(x)", "import ctypes.util",
        "spec.loader.exec_module(x)", "from hydra.utils import get_class", "from joblib.numpy_pickle import load",
    ],
)  # fmt: skip
def test_and_that_test_sees(line: str) -> None:
    assert unsafe(ast.parse(line))
