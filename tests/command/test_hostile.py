"""Configurations, checkpoints and predictions that somebody hostile wrote: no code, no escape, no secret.

Every attack here would leave the file `planted` in the working directory if what it names were called.
"""

import ast
import os
import pickle
import time
import zipfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command

from runner import ensembles
from runner.runs.folder import RunFolder

RUNNER = Path(__file__).parents[2] / "runner"
TINY = ["data.train_size=64", "epochs=1", "trainer.progress=false", "trainer.threads=1"]
SECRET = "hunter2-and-nobody-else"
HEAD = "# @package _global_\n"
TOUCH = "{_target_: os.system, command: touch planted}"
TARGETS = [
    TOUCH,
    "{_target_: torch.utils.collect_env.run, command: touch planted}",
    "{_target_: torch.hub.load, repo_or_dir: ., model: planted, source: local}",
    "{_target_: numpy.load, file: planted.npy, allow_pickle: true}",
    "{_target_: builtins.open, file: planted, mode: w}",
]
FACTORY = "{handlers: {x: {(): os.system, command: touch planted}}}"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
STUDY = """study:
  question: q
  source: s
  seeds: 1
  arms: {a: ["%s"], b: [seed=1]}
  claims: [{says: s, measure: test/error, expect: a < b}]
"""

EXPERIMENTS = [
    # what an experiment holds, a word of the message
    *[(f"optimizer: {target}\n", "_target_") for target in TARGETS],
    *[(f"mine: {target}\n", "unknown key 'mine'") for target in TARGETS],
    *[(f"study: {target}\n", "study") for target in TARGETS[:1]],
    *[(f"hydra: {{callbacks: {{x: {target}}}}}\n", "hydra.callbacks") for target in TARGETS],
    *[(f"hydra: {{launcher: {target}}}\n", "hydra.launcher") for target in TARGETS[:2]],
    *[(f"hydra: {{sweeper: {target}}}\n", "hydra.sweeper") for target in TARGETS[:2]],
    (f"hydra: {{job_logging: {FACTORY}}}\n", "hydra.job_logging"),
    (f"hydra: {{hydra_logging: {FACTORY}}}\n", "hydra.hydra_logging"),
    ("hydra: {job: {env_set: {LD_PRELOAD: x.so}}}\n", "hydra.job"),
    ("hydra: {job: {chdir: true}}\n", "hydra.job"),
    ("hydra: {run: {dir: /tmp/planted}}\n", "hydra.run"),
    ("hydra: {sweep: {subdir: ../../planted}}\n", "hydra.sweep"),
    ("hydra: {output_subdir: ../planted}\n", "hydra.output_subdir"),
    ("hydra: {searchpath: ['file:///tmp']}\n", "searchpath"),
    ("defaults:\n- override /hydra/launcher: evil\n", "e.yaml:3: override /hydra/launcher: only on"),
    ("defaults:\n- override /hydra/job_logging: evil\n", "e.yaml:3: override /hydra/job_logging: only on"),
    ("defaults:\n- override /hydra/sweeper: basic\n", "only on the command line"),
    ("defaults:\n- /optimizer@hydra.callbacks.x: evil\n", "hydra.callbacks"),
    ("defaults:\n- /optimizer@hydra.launcher: evil\n", "hydra.launcher"),
    ("defaults:\n- ../../outside\n", "not in a folder of YAML files"),
    ("optimizer: !!python/object/apply:os.system ['touch planted']\n", "python/object"),
    ("name: ../planted\n", "name"),
    ("name: /tmp/planted\n", "name"),
    ("name: ${oc.env:SECRET}\n", "only ${key} is allowed"),
    ("seed: ${oc.decode:${oc.env:SECRET}}\n", "only ${key} is allowed"),
    ("architecture: {hidden: ['${oc.env:SECRET}']}\n", "only ${key} is allowed"),
    ("defaults:\n- override /optimizer: ${oc.env:SECRET}\n", ":3: ${oc.env:SECRET}: only ${key}"),
    ("hydra: {verbose: '${oc.env:SECRET}'}\n", "hydra.verbose"),
    ("hydra: {job: {name: '${oc.env:SECRET}'}}\n", "hydra.job"),
    ("hydra: {launcher: {width: '${oc.env:SECRET}'}}\n", "hydra.launcher"),
    ("hydra: {help: {header: '${oc.env:SECRET}'}}\n", "hydra.help"),
    (STUDY % f"+hydra.callbacks.x={TOUCH}", "itself"),
    (STUDY % "hydra.job.env_set.A=b", "itself"),
    (STUDY % "hydra.launcher._target_=os.system", "itself"),
    (STUDY.replace("seed=1", "epochs=2") % "optimizer=adam,sgd", "one value is needed here, not several"),
    (STUDY.replace("seed=1", "epochs=2") % "data.root='a','b'", "one value is needed here, not several"),
    (STUDY % "seed='${oc.env:SECRET}'", "study"),
    (STUDY % "optimizer='${oc.env:SECRET}'", "only ${key} is allowed"),
    (BOMB, "over 5,000 values"),
    ("a: &a [*a]\n", "over 5,000 values"),
    ("a: " + "[" * 5000 + "\n", "nested over 100 deep"),
    ("a: 1 #" + "x" * 2**20 + "\n", "larger than"),
]  # fmt: skip

ARGUMENTS = [
    # the command line, a word of the message
    *[[f"+optimizer._target_={name}"] for name in ("os.system", "torch.hub.load", "numpy.load")],
    ["+x={_target_:torch.utils.collect_env.run,command:planted}"],
    [f"+hydra.callbacks.x={TOUCH.replace('touch planted', 'id')}"],
    ["hydra.launcher._target_=os.system"],
    ["++hydra.launcher._target_=torch.utils.collect_env.run"],
    ["hydra/launcher=joblib"],
    ["hydra/launcher=evil", "--config-dir", "mine"],
    ["-m", "hydra/launcher=evil", "seed=0,1", "--config-dir", "mine"],
    ["hydra/sweeper=basic"],
    ["hydra/job_logging=default"],
    ["hydra.job.env_set.A=b"],
    ["hydra.run.dir=/tmp/planted"],
    ["hydra.searchpath=[file:///tmp]"],
    ["hydra.verbose='${oc.env:SECRET}'"],
    ["optimizer='${oc.env:SECRET}'"],
    ["seed='${oc.env:SECRET}'"],
    ["-m", "name='${oc.env:SECRET}',b"],
    ["optimizer@hydra.callbacks=adam"],
    ["optimizer@hydra.launcher=evil", "--config-dir", "mine"],
    ["+experiment@hydra.launcher=adam_bn"],
    ["+experiment=../../x"],
    ["+experiment=/tmp/x"],
    ["+experiment=[adam_bn,../../x]"],
    ["+experiment/../../x=y"],
    ["name=../planted"],
    ["name=a/../../planted"],
    ["name=/tmp/planted"],
    ["name=.."],
    ["--config-dir", "pkg://os"],
    ["--config-dir", "nowhere"],
    ["--config-name", "evil", "--config-path", "/tmp"],
    ["--experimental-rerun", "evil.pickle"],
    ["bomb.yaml"],
    ["targets.yaml"],
    ["hydra.yaml"],
]  # fmt: skip


@pytest.fixture
def hostile(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`command` in a folder full of traps, among them a hub repository and files that Hydra would take."""
    monkeypatch.setenv("SECRET", SECRET)
    (tmp_path / "hubconf.py").write_text("open('planted', 'w')\n")
    (tmp_path / "planted.npy").write_bytes(Malicious().pickled())
    (tmp_path / "outside.yaml").write_text("seed: 1\n")
    (tmp_path / "bomb.yaml").write_text(BOMB)
    (tmp_path / "targets.yaml").write_text(f"optimizer: {TOUCH}\n")
    (tmp_path / "hydra.yaml").write_text(f"hydra: {{callbacks: {{x: {TOUCH}}}}}\n")
    for group in ("hydra/launcher", "hydra/sweeper", "hydra/job_logging", "optimizer"):
        folder = tmp_path / "mine" / group
        folder.mkdir(parents=True)
        (folder / "evil.yaml").write_text(f"x: {TOUCH}\n_target_: os.system\n")
    return command


class Malicious:
    """What unpickling it calls leaves the file `planted`."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch planted",)

    def pickled(self) -> bytes:
        return pickle.dumps(self)


def held(code: int, out: str, err: str, root: Path) -> None:
    """Exit code 2 in at most six lines, and nothing was called, written or told that should not be."""
    assert code == 2
    assert "Traceback" not in err and not out
    assert 1 <= len(err.strip().splitlines()) <= 6
    assert SECRET not in err
    assert not list(root.rglob("planted")) and not Path("/tmp/planted").exists()
    assert not (root / "outputs").exists()


@pytest.mark.parametrize(("text", "said"), EXPERIMENTS, ids=[f"{t[:60]!r}" for t, _ in EXPERIMENTS])
def test_an_experiment_is_data(hostile: Command, tmp_path: Path, text: str, said: str) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "e.yaml").write_text(HEAD + text)
    start = time.process_time()
    code, out, err = hostile("--config-dir", "mine", "+experiment=e", *TINY)
    assert time.process_time() - start < 2
    held(code, out, err, tmp_path)
    assert said in err


@pytest.mark.parametrize(
    "flags", [["--cfg", "hydra", "--resolve"], ["--info", "all"], ["--help"], ["-m"]], ids=" ".join
)
@pytest.mark.parametrize("number", [10, 15, 28, 38, -4])
def test_and_stays_data_however_it_is_asked_for(
    hostile: Command, tmp_path: Path, number: int, flags: list[str]
) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "e.yaml").write_text(HEAD + EXPERIMENTS[number][0])
    held(*hostile("--config-dir", "mine", *flags, "+experiment=e", *TINY), tmp_path)


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
def test_a_command_line_reaches_nothing_else(
    hostile: Command, tmp_path: Path, arguments: list[str]
) -> None:
    held(*hostile(*arguments), tmp_path)


@pytest.mark.parametrize("name", ["launcher/stacked", "launcher/basic", "sweeper/basic", "config"])
def test_an_own_folder_replaces_nothing(hostile: Command, tmp_path: Path, name: str) -> None:
    """Hydra's own registry comes after --config-dir."""
    path = tmp_path / "mine" / "hydra" / f"{name}.yaml"
    path.write_text(f"_target_: os.system\ncommand: touch planted\n{TOUCH[1:-1]}\n")
    for flags in ([], ["-m"], ["-m", "hydra/launcher=basic"]):
        if "basic" not in name or "hydra/launcher=basic" in flags:
            held(*hostile("--config-dir", "mine", *flags, "seed=0", *TINY), tmp_path)


# Files that a run reads again


def forged(folder: Path, name: str, data: bytes) -> None:
    """A checkpoint with a line for it in SHA256SUMS."""
    (folder / f"{name}.ckpt").write_bytes(data)
    with (folder / "SHA256SUMS").open("a") as sums:
        sums.write(sha256(data).hexdigest() + "\n")


def zipped(pickled: bytes) -> bytes:
    """A checkpoint in torch's own format around any pickle."""
    buffer, innocent = BytesIO(), BytesIO()
    torch.save({}, innocent)
    with zipfile.ZipFile(innocent) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, pickled if name.endswith("data.pkl") else old.read(name))
    return buffer.getvalue()


def saved(value: object) -> bytes:
    buffer = BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


FORGED = {
    "pickle": Malicious().pickled(),
    "torch": zipped(Malicious().pickled()),
    "list": saved([1, 2]),
    "no keys": saved({"epoch": 1}),
    "empty": b"",
    "text": b"not a checkpoint",
}


def test_a_forged_checkpoint_is_not_unpickled(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    command(*TINY)
    (path,) = tmp_path.glob("outputs/runs/*-*")
    RunFolder(path).write_status("interrupted")
    checkpoints = path / "checkpoints"
    for data in FORGED.values():
        for name in ("last", "previous"):
            forged(checkpoints, name, data)
        before = {p: p.read_bytes() for p in checkpoints.iterdir()}
        code, out, err = command(*TINY)
        assert (code, out) == (2, "")
        assert "last.ckpt is damaged" in err and len(err.splitlines()) == 1
        assert before == {p: p.read_bytes() for p in checkpoints.iterdir()}
        assert not Path("planted").exists()
    code, _, err = command("-m", "seed=0,1", *TINY)  # in a sweep the others run
    assert code == 3 and err.count("last.ckpt is damaged") == 2  # at once, and in the end
    assert command(*TINY, "resume=false").code == 0


def objects(**arrays: object) -> bytes:
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


PREDICTIONS = {
    "pickle": Malicious().pickled(),
    "torch": zipped(Malicious().pickled()),
    "objects": objects(probabilities=np.array([Malicious()], object), labels=np.zeros(1)),
    "other": objects(x=np.zeros(1)),
    "empty": b"",
    "text": b"not an archive",
    "cut": objects(probabilities=np.zeros((4, 3)), labels=np.zeros(4))[:-40],
}


@pytest.mark.parametrize("case", PREDICTIONS)
def test_forged_predictions_are_not_unpickled(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.write_status("complete")
    (folder.path / "predictions.npz").write_bytes(PREDICTIONS[case])
    assert ensembles.main(["run"]) == 2
    err = capsys.readouterr().err
    assert "run/predictions.npz" in err and len(err.splitlines()) == 1
    assert not Path("planted").exists()


def test_a_broken_status_is_told(command: Command, tmp_path: Path) -> None:
    command(*TINY)
    (path,) = tmp_path.glob("outputs/runs/*-*/status.json")
    for text in ("", "{", "[1]", '"x"', "\x00"):
        path.write_text(text)
        code, out, err = command(*TINY)
        assert (code, out) == (2, "") and "status.json" in err and len(err.splitlines()) == 1


# The source

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
    assert all("import_module" in line for name in NAMED for line in found[name])


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
