"""Files and words made to exhaust: told with their place at once, in few lines."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Command

HEAD = "# @package _global_\n"
STUDY = """study:
  question: q
  source: s
  seeds: 1
  arms: {{a: []}}
  claims: []
  {}
"""


def written(folder: Path, text: str) -> None:
    path = folder / "mine" / "experiment" / "e.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + text)


def chained(value: Callable[[str], str]) -> str:
    return "".join(f"a{n}: {value(f'${{a{n + 1}}}')}\n" for n in range(40)) + "a40: x\n"


EXHAUSTING = {
    "unclosed": ("name: '" + "${" * 45_000 + "'\n", ":2: name: "),
    "200 kB": ("name: '" + "${" * 100_000 + "'\n", ": larger than"),
    "many": ("x: [" + ",".join(f"'${{a{n}}}'" for n in range(4000)) + "]\n", "over 500 interpolations"),
    "texts": (chained(lambda key: f"'{key}{key}'"), "over 5,000 values"),
    "mappings": (chained(lambda key: f"{{x: '{key}', y: '{key}'}}"), "over 5,000 values"),
    "circle": ("seed: ${epochs}\nepochs: ${seed}\n", ":2: seed: ${epochs}"),
    "brackets": ("a: " + "[" * 300 + "]" * 300 + "\n", ":2: nested over 100 deep"),
    "braces": ("a: " + "{a: " * 300 + "}" * 300 + "\n", ":2: nested over 100 deep"),
    "indented": ("".join(" " * n + "a:\n" for n in range(300)), ":102: nested over 100 deep"),
    "aliases": (
        "a: &a " + "[" * 60 + "]" * 60 + "\nb: " + "[" * 60 + "*a" + "]" * 60 + "\n",
        "nested over 100 deep",
    ),
    "integer": ("seed: " + "1" * 5000 + "\n", ":2: seed: a number of 5,000 digits"),
    "hexadecimal": ("seed: 0x" + "f" * 5000 + "\n", ":2: seed: a number of 5,002 digits"),
    "in a list": ("architecture:\n  hidden: [" + "1" * 5000 + "]\n", ":3: architecture.hidden.0: a num"),
    "duplicate": ("seed: 1\nseed: 2\n", ":3: found duplicate key seed"),
    "nested duplicate": ("optimizer: {lr: 1, 'lr': 2}\n", ":2: found duplicate key lr"),
    "duplicate in a list": ("x:\n- {a: 1, a: 2}\n", ":3: found duplicate key a"),
    "own defaults": ("defaults: [e]\n", "leads back to itself"),
    "tag": ("x: !!python/object/apply:pathlib.Path [a]\n", ":2: tag:yaml.org,2002:python/object"),
    "two documents": ("---\na: 1\n---\nb: 1\n", ":4: expected a single document"),
    "control": ("a: \x01\n", ":2: a character that YAML forbids"),
    "key": ("? [a]\n: b\n", ":2: a key must be a word"),
    "missing": ("seed: ???\n", ":2: seed: ??? is no value"),
    "null key": ("~: 1\n", ":2: ~: no word to YAML; put the key in quotes"),
    "a key that is true": ("study: {arms: {no: []}}\n", ":2: no: no word to YAML"),
    "merged number": ("seed: 1\n<<: 1\n", ":3: <<: must be a mapping"),
    "merged texts": ("optimizer: {<<: [a]}\n", ":2: <<: must be a mapping"),
    "steps": ("epochs: 9223372036854775808\n", ":2: epochs: must be less than"),
    "threads": ("trainer: {threads: 100000000}\n", ":2: trainer.threads: must be less than or equal to 1024"),
    "tuning": (
        STUDY.format("tune: {optimizer.lr: [%s], regularizer.l2: [%s]}" % ((", ".join(map(str, range(1, 2000))),) * 2)),
        ":2: study: tune: 3,996,001 runs of each arm; 10,000 are allowed",
    ),
    "draws": (
        STUDY.format("tune: {optimizer.lr: [1]}\n  refine: {of: [a], draws: 99999999, ranges: {optimizer.lr: 2}}"),
        ":9: study.refine.draws: must be less than or equal to 10000",
    ),
    "seeds": (STUDY.format("").replace("seeds: 1", "seeds: 10001"), ":5: study.seeds: must be"),
    "no list": ("defaults: {a: b}\n", ":2: defaults: must be a list"),
}  # fmt: skip


@pytest.mark.parametrize("case", EXHAUSTING)
def test_what_exhausts_is_told_with_its_place_at_once(
    command: Command, tmp_path: Path, case: str
) -> None:
    text, said = EXHAUSTING[case]
    written(tmp_path, text)
    (tmp_path / "saved.yaml").write_text(text)
    for words in (["--config-dir", "mine", "+experiment=e"], ["saved.yaml"]):
        start = time.process_time()
        code, out, err = command(*words)
        assert time.process_time() - start < 2
        assert (code, out) == (2, "") and len(err.splitlines()) <= 6
        assert "Traceback" not in err and len(err) < 3000
        if words[-1] == "+experiment=e":
            assert said in err
            assert "e.yaml" in err or case == "own defaults"


LONG = [
    ["name='" + "${" * 100_000 + "'"],
    ["name='" + "${" * 4000 + "'"],
    ["study.arms.a=[" + "${" * 3000 + "]"],
    ["+x=[" + "${a:" * 2000 + "]"],
    ["seed=" + "1" * 5000],
    ["+x=[" + "1" * 5000 + "]"],
    ["+x=" + "[" * 300 + "]" * 300],
    ["+" + "a." * 3000 + "b=1"],
    ["x" * 5000 + ".yaml"],
    ["a=" + "x" * 5000 + ".yaml"],
    ["+x=[" + "1," * 4000 + "1]"],
    ["--config-dir", "x" * 5000],
    ["--config-dir", ""],
    ["--config-dir", "file:///"],
    ["--config-dir", "a\0b"],
    ["-m", "seed=interval(0,1)"],
    ["-m", "seed=range(0,3,0)"],
    ["-m", "seed=glob(*)"],
    ["-m", "seed=range(0,1000000000)"],
    ["-m", "optimizer.lr=range(1,inf)"],
    ["-m", "optimizer.lr=range(0,nan)"],
    ["-m", "optimizer.lr=range(0,1,1e-300)"],
    ["-m", "seed=range(0,200)", "epochs=range(1,200)"],
    ["-m", "hydra.launcher.width=1,2", "seed=0,1"],
    ["architecture.hidden.x=1"],
    ["~nope"],
    ["--cfg", "job", "--package", "nope"],
    ["--hydra-help", "hydra.job.chdir=true"],
    ["--shell-completion", "query=bash"],
    ["pipe.yaml"],
    ["."],
]


@pytest.mark.parametrize("words", LONG, ids=lambda words: " ".join(words)[:40])
def test_a_word_that_is_too_much_is_told(
    command: Command, tmp_path: Path, words: list[str]
) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")  # read, it would wait for ever
    signal.alarm(60)
    start = time.process_time()
    code, out, err = command(*words)
    signal.alarm(0)
    assert time.process_time() - start < 2
    assert code == 2 and not out and 1 <= len(err.splitlines()) <= 6 and len(err) < 2000
