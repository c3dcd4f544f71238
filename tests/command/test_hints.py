"""The commonest mistakes: the message says what to type instead."""

import os
from pathlib import Path

import pytest
from conftest import Command
from processes import TINY, run

WORDS = [
    # arguments, what is said
    ("batch_size=64", "unknown batch_size '64'; did you mean batch_size.size=64?"),
    ("optimizer=0.1", "did you mean optimizer.lr=0.1?"),
    ("architecture=[100,100]", "did you mean architecture.hidden=[100,100]?"),
    ("regularizer=[dropout,l2]", "regularizer=[dropout,l2]: did you mean 'dropout_l2'?"),
    ("data=MNIST", "did you mean 'mnist'?"),
    ("init=xavier", "did you mean 'glorot_normal'?"),
    ("+optimizer=adam", "optimizer is chosen already; without +: optimizer=adam"),
    ("adam_bn", "adam_bn: an experiment is chosen by +experiment=adam_bn"),
    ("adam_b", "did you mean +experiment=adam_bn?"),
    ("adam", "adam: an option of optimizer is chosen by optimizer=adam"),
    ("optimizer/adam", "chosen by optimizer=adam"),
    ("help", "the option is --help"),
    ("conf/experiment/adam_bn.yaml", "chosen by its name: +experiment=adam_bn"),
    ("conf/experiment/adam_bn", "chosen by its name: +experiment=adam_bn"),
    ("mine/experiment/x.yaml", "--config-dir mine +experiment=x"),
    ("experiment=adam_bn.yaml", "did you mean 'adam_bn'?"),
    ("architecture.hidden=100,100", "a list is written in brackets: architecture.hidden=[100,100]"),
    ("architecture.hidden=100", "must be a list, found 100; a list is written [100]"),
    ("architecture.hidden=[100 100]", "a list is written in brackets without spaces: [100,100]"),
    ("-m optimizer.lr=interval(0.01,0.1)", "a sweep needs the values themselves: optimizer.lr=1,2,3"),
    ("-m seed=glob(*)", "a sweep needs the values themselves: seed=1,2,3"),
    ("-m optimizer.lr=0.1 0.01", "0.01: not of the form key=value; several values are joined by commas"),
    ("optimizer.lr 0.1", "optimizer.lr: not of the form key=value, without spaces: optimizer.lr=..."),
    ("optimizer.lr=0.1, epochs=3", "only a space stands between two settings"),
    ("data=npz data.path=~/my.npz", "data.path=~/my.npz: not of the form key=value; ~ is not replaced here"),
    ("optimizer=lion", "unknown optimizer 'lion'. Known: adagrad, adam, "),
    ("optimizer=lion", "sgd; --plugin names your own"),
    ("+experiment=qqq", "; --config-dir names your own"),
    ("--epochs=3", "--epochs=3: settings have no dashes; epochs=3"),
    ("learning_rate=0.1", "did you mean 'optimizer.lr'?"),
    ("search=1", "search=1: holds keys of its own, search.<key>=..., found 1"),
    ("study=x", "study=x: holds keys of its own"),
    ("momentum=0.9", "unknown key 'momentum'; a setting of optimizer=momentum, nesterov"),
    ("architecture.activation=ReLU", "did you mean 'relu'?"),
    ("study.seeds=3", "study.seeds=3: there is no study here to change"),
    ("name=a/b", "letters, digits and _ . = - make a name, found 'a/b'"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "said"), WORDS, ids=[line for line, _ in WORDS])
def test_a_word(command: Command, line: str, said: str) -> None:
    code, out, err = command(*line.split(" "))
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) <= 6


def test_several_words_in_one(command: Command) -> None:
    code, _, err = command("optimizer=adam optimizer.lr=0.3")
    assert code == 2
    assert "several words in one: each has quotes of its own, 'optimizer=adam' ..." in err


FILES = [
    # an experiment below its header, what is said of which line
    ("defaults:\n  - optimizer: adam", ":3: a default is replaced by `- override /optimizer: adam`"),
    ("defaults:\n  - override optimizer: adam", ":3: a default is replaced by `- override /optimi"),
    ("defaults:\n  - optimizer=adam", ":3: a default is replaced by `- override /optimizer: adam`"),
    ("defaults:\n  - override /optimizer: adm", ":3: unknown optimizer 'adm'; did you mean 'adam'?"),
    ("optimizer: adam", ":2: optimizer: holds settings, found 'adam'; an option is chosen by `- over"),
    ("batch_size: 64", ":2: batch_size: holds settings, found 64; batch_size: {size: 64}"),
    ("optimizer: {name: adam}", ":2: optimizer.eps: the key 'optimizer.eps' is missing; `- override"),
    ("optimizer.lr: 0.3", ":2: optimizer.lr: keys do not take dots here; optimizer: {lr: 0.3}"),
    ("optimizer: {lr=0.3}", "a YAML file has key: value, not key=value"),
    ("seed: [0, 1]", ":2: seed: a run has one seed, found [0, 1]; -m seed=0,1"),
    ("study: {arms: {a: regularizer=l2}}", "an arm is a list of overrides, found 'regularizer=l2'; a: [r"),
    ("study: {arms: {a: {loss: quadratic}}}", "a: [loss=quadratic]"),
    ("study: {arms: {a: [loss: quadratic]}}", "an override is a text, found {'loss': 'quadratic'}; loss="),
    ("study: {arms: [loss=quadratic]}", "each arm has a name; arms: {"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), FILES, ids=[text for text, _ in FILES])
def test_a_file(command: Command, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine" / "experiment" / "x.yaml"
    path.parent.mkdir(parents=True)
    question = "\n  question: q\n  source: s\n  seeds: 1\n  arms:"
    text = (
        text.replace("study: {arms:", f"study:{question}").removesuffix("}")
        if "arms" in text
        else text
    )
    path.write_text(f"# @package _global_\n{text}\n")
    code, out, err = command("--config-dir", "mine", "+experiment=x")
    assert (code, out) == (2, "")
    assert f"mine/experiment/x.yaml{said}" in err if said[0] == ":" else said in err
    assert len(err.splitlines()) <= 6


def test_a_path(command: Command, tmp_path: Path) -> None:
    run = tmp_path / "outputs" / "x" / "seed=0-1234"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "x.yaml").write_text("# @package _global_\nepochs: 3\n")
    for path, said in {
        "outputs/x/seed=0-1234": "a run's folder; outputs/x/seed=0-1234/config.yaml trains it again",
        "outputs/x": "a folder; python -m runner.report outputs/x shows the runs in it",
        "mine": "--config-dir mine makes its files known",
        "x.yaml": "put it into a folder named experiment, mine/experiment/x.yaml, then --config-dir",
    }.items():
        code, _, err = command(path)
        assert code == 2
        assert f"{path}: " in err
        assert said in err


def test_options_and_settings_in_any_order(command: Command) -> None:
    code, out, err = command("optimizer=adam", "-m", "seed=0,1", "--cfg", "job", "-p", "optimizer")
    assert (code, err) == (0, "")
    assert out.startswith("# the first of 2 runs\n") and "name: adam" in out


def test_a_finished_run_is_no_answer_where_there_is_no_gpu(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["epochs=1", "data.train_size=32", "trainer.progress=false"]
    assert command("trainer=cpu", *words).code == 0
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, out, err = command("trainer=gpu", *words)
    assert (code, out) == (2, "")
    assert "trainer=gpu: torch sees no GPU here" in err


def srun_is_installed() -> None:
    Path("srun").write_text("#!/bin/sh\n")
    Path("srun").chmod(0o755)
    os.environ["PATH"] = f"{Path.cwd()}:{os.environ['PATH']}"


def test_lightning_does_not_speak_of_srun(tmp_path: Path) -> None:
    ended = run(tmp_path, *TINY, "epochs=1", fault=srun_is_installed)
    assert ended.code == 0
    assert "srun" not in ended.err
