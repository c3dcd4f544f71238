"""Random YAML against the checker: exit 0 or 2 in bounded time, no file outside, no text of the environment.

RUNNER_FUZZ=20000 python -m pytest tests/command/test_fuzz.py     # other examples each time, for an hour
"""

import contextlib
import io
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rich.console import Console

from runner.__main__ import main
from runner.command import terminal

EXAMPLES = int(os.environ.get("RUNNER_FUZZ", "0"))
SECRET = "hunter2-and-nobody-else"
split = str.split
KEYS = split("""name seed epochs select data optimizer architecture hidden lr root regularizer study arms claims tune
hydra mode verbose launcher width max_width overrides task job env_set env_copy chdir callbacks run dir sweep
job_logging hydra_logging handlers class filename runtime choices searchpath output_subdir defaults _target_ << x y
_self_ override optional /optimizer /hydra/launcher /hydra/job_logging /experiment/e optimizer@hydra.job
/optimizer@_global_ _convert_ ??? 1 null true 010 . .. a.b hydra.job hydra/launcher""")
VALUES = split("""0 1 -1 0.1 1e3 010 0x1f 1:30 .inf .nan null ~ true no '' x adam digits ??? $ ${ ${} ${seed} ${name}
${x} ${x.y} ${..x} ${oc.env:SECRET} ${${x}:SECRET} ${oc.env:${x}} oc.env ${hydra:runtime.cwd} ${hydra.job.name}
../../x /etc/passwd planted name=x seed='${oc.env:SECRET}' hydra.job.chdir=true +hydra.callbacks.x=y MULTIRUN
stacked basic os.system !!python/name:os.system !!binary !x 2020-01-01 = * & *a *b |- >- %x""")
LONG = ["${" * 3000, "1" * 5000, "a" * 5000, "${x}" * 100]
words = st.sampled_from(KEYS + VALUES)
texts = st.one_of(
    words, words, words, st.lists(words, max_size=3).map("".join), st.text(max_size=12), st.sampled_from(LONG)
)  # fmt: skip


def quoted(text: str, how: int) -> str:
    """A scalar in one of YAML's ways to write it, right or wrong."""
    if how == 1:
        return "'" + text.replace("'", "''") + "'"
    if how == 2:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if how == 3:  # every sign as an escape
        return '"' + "".join(f"\\U{ord(sign):08x}" for sign in text[:100]) + '"'
    return text


scalars = st.builds(quoted, texts, st.integers(0, 3))
keys = st.builds(
    quoted, st.one_of(st.sampled_from(KEYS), texts), st.sampled_from([0, 0, 0, 1, 2, 3])
)
marks = st.sampled_from(["", "", "", "&a ", "&b ", "!!str ", "!!map ", "? "])


def mapping(mark: str, pairs: list[tuple[str, str]]) -> str:
    return mark + "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"


def sequence(mark: str, items: list[str]) -> str:
    return mark + "[" + ", ".join(items) + "]"


def below(nodes: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds(mapping, marks, st.lists(st.tuples(keys, nodes), max_size=4)),
        st.builds(sequence, marks, st.lists(nodes, max_size=4)),
        st.builds(lambda node, depth: "[" * depth + node + "]" * depth, nodes, st.just(150)),
    )


nodes = st.recursive(st.one_of(scalars, st.sampled_from(["*a", "*b"])), below, max_leaves=12)
hydra = st.builds(lambda pairs: mapping("", pairs), st.lists(st.tuples(keys, nodes), max_size=3))
lines = st.one_of(
    st.builds("{}: {}".format, keys, nodes),
    st.builds("hydra: {}".format, hydra),
    st.builds("defaults: {}".format, nodes),
    st.builds("defaults:\n- {}\n- {}: {}".format, scalars, keys, scalars),
    st.builds("x: &a {}\n<<: *a".format, nodes),
    st.builds("<<: [{}, {}]".format, nodes, nodes),
    st.builds("data: {{root: {}}}\nx: {}".format, scalars, scalars),
    st.text(max_size=30),
)
resolvers = st.sampled_from(
    split("oc.env oc.decode oc.select oc.create oc.deprecated env now hydra")
)
# Interpolations in one another, in parts that YAML or Hydra put together.
nested = st.recursive(
    st.sampled_from(["SECRET", "seed", "x.y", "${x}", "'SECRET'", "", "a b"]),
    lambda inner: st.one_of(
        st.builds("${{{}:{}}}".format, resolvers, inner),
        st.builds("${{{}}}".format, inner),
        st.builds("{}{}".format, inner, inner),
        st.builds("${{${{{}}}:{}}}".format, st.sampled_from(["x", "name"]), inner),
    ),
    max_leaves=4,
)
attacks = st.one_of(
    st.builds("name: {}".format, st.builds(quoted, nested, st.integers(1, 3))),
    st.builds("x: &a oc.env\nname: {}".format, st.builds(quoted, nested, st.integers(1, 3))),
    st.builds("hydra: {{launcher: {{width: {}, <<: {}}}}}".format, scalars, nodes),
    st.builds("<<: {{hydra: {}}}".format, nodes),
    st.builds("defaults: [{}: {}]".format, st.builds(quoted, nested, st.integers(1, 3)), scalars),
    st.builds(
        "study: {{question: q, source: s, seeds: 1, arms: {{a: [{}], b: [{}]}}, tune: {{{}: [{}]}},"
        " claims: []}}".format,
        st.builds(
            quoted, st.one_of(nested, st.builds("data.root='{}'".format, nested)), st.just(1)
        ),
        scalars,
        keys,
        scalars,
    ),
    st.builds("seed: 1\n{}: 2".format, st.sampled_from(["seed", "'seed'", '"\\x73eed"', "<<"])),
)
lines = st.one_of(lines, lines, attacks)
documents = st.builds(
    lambda head, body: head + "\n".join(body) + "\n",
    st.sampled_from(["# @package _global_\n"] * 6 + ["", "# @package hydra\n", "\ufeff"]),
    st.lists(lines, max_size=4),
)
overrides = st.one_of(
    st.builds("name={}".format, nested),
    st.builds("name='{}'".format, nested),
    st.builds("hydra.launcher.width={}".format, nested),
    st.builds("{}={}".format, keys, texts),
    st.builds("{}{}={}".format, st.sampled_from(["+", "++", "~"]), keys, nodes),
    st.builds("hydra.{}={}".format, keys, texts),
    st.builds("study.arms.a=[{}]".format, texts),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz")
    (path / "mine" / "experiment").mkdir(parents=True)
    return path


@settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    phases=list(Phase) if EXAMPLES else [Phase.generate],
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(text=documents, words=st.lists(overrides, max_size=2))
def test_whatever_is_written_is_composed_or_told(folder: Path, text: str, words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SECRET", SECRET)
        data = text.encode("utf-8", "surrogatepass")
        Path("mine/experiment/e.yaml").write_bytes(data)
        Path("saved.yaml").write_bytes(data)
        for source in (["--config-dir", "mine", "+experiment=e"], ["saved.yaml"]):
            check(patch, folder, ["--cfg", "all", "--resolve", *source, *words])


def check(patch: pytest.MonkeyPatch, folder: Path, arguments: list[str]) -> None:
    out, err = io.StringIO(), io.StringIO()
    patch.setattr(terminal, "err", Console(file=err, highlight=False, soft_wrap=True))
    start = time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    assert time.process_time() - start < 4
    assert code in (0, 2)
    assert (code == 0) == (not err.getvalue())
    assert code == 0 or 1 <= len(err.getvalue().splitlines()) <= 6
    assert SECRET not in out.getvalue() + err.getvalue()
    assert {path.name for path in folder.iterdir()} == {"mine", "saved.yaml"}
