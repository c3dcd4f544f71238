"""Mistakes on the command line and in YAML files: told in the user's terms, before anything is written."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Command

MISTAKES = [
    # arguments, what the message must say
    (["optimizer.lrr=3"], ["optimizer.lrr=3: unknown key 'lrr'; did you mean 'lr'?"]),
    (["+lrr=3"], ["+lrr=3: unknown key 'lrr'; did you mean 'optimizer.lr'?"]),
    (["++optimizer.nam=sgd"], ["unknown key 'nam'; did you mean 'name'?"]),
    (["optimzer=adam"], ["unknown key 'optimzer'; did you mean 'optimizer'?"]),
    (["optimizer=adm"], ["unknown optimizer 'adm'; did you mean 'adam'?", "momentum", "rmsprop"]),
    (["+experiment=adm"], ["unknown experiment 'adm'; did you mean 'adam_bn'?"]),
    (["experiment=adm"], ["unknown experiment 'adm'; did you mean 'adam_bn'?"]),
    (["optimizer.lr=abc"], ["optimizer.lr=abc: must be a number, found 'abc'"]),
    (["optimizer.lr=-1"], ["optimizer.lr=-1: must be greater than 0, found -1"]),
    (["optimizer.lr=nan"], ["optimizer.lr=nan: must be"]),
    (["epochs=2.5"], ["epochs=2.5: must be an integer, found 2.5"]),
    (["epochs=010"], ["epochs=010: must be an integer, found '010'"]),
    (["batch_size.size=0"], ["batch_size.size=0", "greater than or equal to 1", "'full'"]),
    (["regularizer.dropout=1"], ["must be less than 1, found 1"]),
    (["init.bias=ones"], ["'zeros' or 'normal'", "found 'ones'"]),
    (["resume=maybe"], ["must be a boolean, found 'maybe'"]),
    (["architecture.hidden=[10,x]"], ["must be an integer, found 'x'"]),
    (["~optimizer.lr"], ["the key 'optimizer.lr' is missing"]),
    (["optimizer=sgd,adam"], ["optimizer=sgd,adam: several values need --multirun (-m)"]),
    (
        ["-m", "seed=0,1", "hydra.launcher.width=0"],
        ["hydra.launcher.width=0: must be greater than or equal to 1, found 0"],
    ),
    (["nonsense"], ["nonsense: not of the form key=value"]),
    (["optimizer.lr=[0.1"], ["optimizer.lr=[0.1: not of the form key=value"]),
    (["name=../x"], ["name=../x"]),
    (["name=/tmp/x"], ["name=/tmp/x"]),
    (["name='${oc.env:HOME}'"], ["only ${key} is allowed"]),
    (["hydra.run.dir=/tmp/x"], ["the runner sets this itself"]),
    (["hydra.callbacks.x._target_=os.system"], ["the runner sets this itself"]),
    (["+optimizer._target_=os.system"], ["unknown key '_target_'"]),
    (
        ["architecture.hidden=[]", "regularizer=dropout"],
        ["regularizer.dropout needs hidden layers"],
    ),
    (["architecture.hidden=[]", "regularizer=batch_norm"], ["batch_norm needs hidden layers"]),
    (["architecture=nin", "architecture.head=fc_dropout"], ["needs regularizer.dropout above 0"]),
    (["architecture=nin", "architecture.hidden=[3]"], ["architecture.hidden"]),
    (["schedule.warmup_epochs=40"], ["schedule.warmup_epochs=40 is longer than epochs=30"]),
    (["architecture.hidden=[0]"], ["architecture.hidden=[0]: must be greater than or equal to 1"]),
    (
        ["architecture=convnet", "architecture.channels=[8,-1]"],
        ["architecture.channels=[8,-1]: must be greater than or equal to 1"],
    ),
    (
        ["architecture=nin", "architecture.width=0"],
        ["architecture.width=0: must be greater than 0"],
    ),
    (
        ["regularizer=batch_norm", "batch_size=online"],
        ["batch_norm needs more than one example in each batch", "batch_size.size=2 or more"],
    ),
    (
        ["regularizer=batch_norm", "init.bias=normal"],
        ["init.bias=normal: with regularizer.batch_norm hidden layers have no bias", "zeros"],
    ),
    (["outputs/none/config.yaml"], ["outputs/none/config.yaml", "No such file"]),
    # what only the data and the machine can tell
    (["evaluate_every=0"], ["evaluate_every=0", "greater than or equal to 1"]),
    (["evaluate_every=2.5"], ["evaluate_every=2.5", "integer"]),
    (["+eval_steps=10"], ["eval_steps", "evaluate_every"]),
    (
        ["evaluate_every=100", "epochs=3"],
        ["evaluate_every=100: the run has 96 steps, 32 in each of epochs=3; at most 96"],
    ),
    (["batch_size.size=5000"], ["batch_size.size=5000: the training set has 1024 examples"]),
    (
        ["regularizer=batch_norm", "batch_size.size=33"],
        ["batch_size.size=33: 1024 examples leave one over for the last batch; batch_size.size=34"],
    ),
    (
        ["regularizer=batch_norm", "batch_size=full", "data.train_size=1"],
        ["the training set has 1 example; data.train_size=2 or more"],
    ),
    (
        [
            "regularizer=batch_norm",
            "architecture=convnet",
            "architecture.hidden=[]",
            "architecture.channels=[4,4,4,4]",  # 8 × 8 pixels, halved three times
            "batch_size=online",
        ],
        ["batch_size.size=1: it holds one; batch_size.size=2"],
    ),
    (["data.train_size=9999"], ["data.train_size=9999: only 1024 examples"]),
    (["data.val_size=5000"], ["data.val_size=5000 leaves no training examples"]),
    (
        ["architecture=nin", "architecture.hidden=[9]"],
        ["architecture.hidden=[9]: must be empty, [], found "],
    ),
    (["batch_size.size=abc"], ["batch_size.size=abc: must be an integer or 'full', found 'abc'"]),
    (["data.classes=[3]"], ["data.classes=[3]: needs at least 2 items, found [3]"]),
    (["data=mnist", "data.root=nowhere"], ["nowhere", "no such folder"]),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=lambda value: " ".join(value)[:60])
def test_a_mistake_is_told(
    command: Command, tmp_path: Path, arguments: list[str], said: list[str]
) -> None:
    code, out, err = command(*arguments)
    assert code == 2
    for part in said:
        assert part in err
    assert len(err.strip().splitlines()) <= 6
    assert "Traceback" not in err
    assert not out
    assert not list(tmp_path.iterdir())


def test_all_mistakes_are_told_at_once(command: Command) -> None:
    code, _, err = command("optimizer.lr=abc", "epochs=0", "+foo=1", "loss=huber")
    assert code == 2
    assert "unknown loss 'huber'" in err
    code, _, err = command("optimizer.lr=abc", "epochs=0", "+foo=1")
    assert all(part in err for part in ("optimizer.lr=abc", "epochs=0", "unknown key 'foo'"))


def test_more_mistakes_than_lines_are_counted(command: Command) -> None:
    code, _, err = command(*(f"+foo{i}=1" for i in range(20)))
    assert code == 2
    assert len(err.strip().splitlines()) == 6
    assert err.strip().endswith("... and 15 more")


def test_one_bad_value_among_twelve_combinations_stops_the_sweep(
    command: Command, tmp_path: Path
) -> None:
    code, _, err = command("-m", "optimizer=sgd,adam", "optimizer.lr=0.1,0.01,-1", "seed=0,1")
    assert code == 2
    assert err.strip() == "optimizer.lr=-1: must be greater than 0, found -1"
    assert not list(tmp_path.iterdir())


EXPERIMENTS = [
    # an experiment's text, what the message must say
    ("# @package _global_\noptimizer:\n  lrr: 3\n", ":3: optimizer.lrr: unknown key 'lrr'"),
    ("# @package _global_\nepochs: 010\n", ":2: 010: YAML reads it as octal, 8"),
    ("# @package _global_\nepochs: 0.5\n", ":2: epochs: must be an integer, found 0.5"),
    ("name: x\nepochs: 3\n", ":1: the first line must be '# @package _global_'"),
    ("# @package _global_\nepochs: 3\nepochs: 4\n", ":3: found duplicate key epochs"),
    ("# @package _global_\ndata: [1,\n", ":3: "),
    (
        "# @package _global_\ndata:\n\tname: digits\n",
        ":3: found character that cannot start any token",
    ),
    ("# @package _global_\nname: ${oc.env:HOME}\n", ":2: name: ${oc.env:HOME}: only ${key}"),
    ("# @package _global_\nhydra:\n  callbacks:\n    x: {_target_: a.b}\n", "hydra.callbacks"),
    ("# @package _global_\nhydra:\n  output_subdir: /tmp\n", "hydra.output_subdir"),
    ("# @package _global_\noptimizer:\n  _target_: os.system\n", ":3: optimizer._target_"),
    (
        "# @package _global_\ndefaults:\n  - override /optimizer: adm\n",
        ":3: unknown optimizer 'adm'",
    ),
]


@pytest.mark.parametrize(("text", "said"), EXPERIMENTS, ids=[said[:40] for _, said in EXPERIMENTS])
def test_a_mistake_in_an_experiment_is_told_with_file_and_line(
    command: Command, tmp_path: Path, text: str, said: str
) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(text)
    code, out, err = command("--config-dir", "mine", "+experiment=mine")
    assert code == 2
    assert said in err
    if said.startswith(":"):
        assert f"mine/experiment/mine.yaml{said}" in err
    assert len(err.strip().splitlines()) <= 6
    assert "Traceback" not in err
    assert not out
    assert not (tmp_path / "outputs").exists()


def test_a_file_that_is_not_utf8_is_named(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_bytes(b"# @package _global_\n# caf\xe9\nepochs: 3\n")
    code, _, err = command("--config-dir", "mine", "+experiment=mine")
    assert code == 2
    assert "mine/experiment/mine.yaml:2: not UTF-8" in err


LIGHT = [
    ["--help"],
    ["--cfg", "job"],
    ["+experiment=adam_bn", "--cfg", "job"],
    ["optimizer.lrr=3"],
]


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_answers_that_need_no_training_import_no_torch(
    tmp_path: Path, arguments: list[str]
) -> None:
    """The real process, asked at its end which modules it has loaded."""
    program = (
        "import atexit, runpy, sys;"
        "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr));"
        f"sys.argv = ['runner', *{arguments!r}];"
        "runpy.run_module('runner', run_name='__main__', alter_sys=True)"
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == (2 if "lrr" in arguments[-1] else 0)
    assert done.stderr.strip().splitlines()[-1] == "False"
    assert time.monotonic() - start < 60
