"""White lists that hold for real processes: Hydra's own keys, interpolations, and files made to exhaust."""

from functools import partial
from pathlib import Path

import pytest
from conftest import Command, Finished
from processes import TINY, run

from runner.command import yaml_files
from runner.command.compose import composing
from runner.command.interpolations import problem_in

HEAD = "# @package _global_\n"
SECRET = "hunter2-and-nobody-else"
COMMAND = "touch PWNED; false"

HYDRA = [
    """hydra:
  overrides:
    hydra:
    - '+hydra.job.env_set.GIT_CONFIG_COUNT="1"'
    - '+hydra.job.env_set.GIT_CONFIG_KEY_0=core.fsmonitor'
    - '+hydra.job.env_set.GIT_CONFIG_VALUE_0="touch PWNED; false"'
""",
    """hydra:
  overrides:
    hydra: ['+hydra.job_logging.handlers.x={class: logging.FileHandler, filename: PWNED, mode: w}']
""",
    "hydra: {overrides: {task: [seed=3]}}\n",
    "hydra: {job: {env_set: {A: b}}}\n",
    "hydra: {job: {env_copy: [SECRET]}}\n",
    "hydra: {runtime: {choices: {optimizer: adam}}}\n",
    "hydra: {launcher: {name: basic}}\n",
    "hydra: {launcher: {other: 1}}\n",
    "hydra: {launcher: basic}\n",
    "hydra: {launcher: null}\n",
    "hydra: {mode: {a: RUN}}\n",
    "hydra: null\n",
    "hydra: []\n",
    "hydra: {mode: RUN, <<: {job: {chdir: true}}}\n",
    "x: &x {hydra: {job: {chdir: true}}}\n<<: *x\n",
    "<<: [{seed: 1}, {hydra: {job: {chdir: true}}}]\n",
    '"hy\\x64ra": {job: {chdir: true}}\n',
    "? hydra\n: job: {chdir: true}\n",
    "!!str hydra: {job: {chdir: true}}\n",
    "hydra.job.chdir: true\n",
    "hydra: {job.chdir: true}\n",
    "defaults:\n- override /hydra/env: default\n",
    '<<: {defaults: ["override /hydra/callbacks: x"]}\n',
    "defaults:\n- /optimizer@_global_.hydra.job: adam\n",
    "defaults:\n- optional /optimizer@hydra.launcher: adam\n",
    "defaults:\n- /mine/hydra@_here_: x\n",
    "# @package hydra\njob: {chdir: true}\n",
    "#@package hydra.job\nchdir: true\n",
]


def written(folder: Path, text: str | bytes) -> None:
    path = folder / "mine" / "experiment" / "e.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(HEAD.encode() + (text.encode() if isinstance(text, str) else text))


def held(ended: Finished, folder: Path) -> None:
    """Told in at most six lines with the file, and nothing was written, called or given away."""
    assert ended.code == 2, ended
    assert 1 <= len(ended.err.splitlines()) <= 6 and "Traceback" not in ended.err
    assert "mine/experiment/e.yaml:" in ended.err or "hydra" in ended.err
    assert not ended.out and SECRET not in ended.err
    assert not (folder / "outputs").exists() and not list(folder.rglob("PWNED"))


STUDY = """study:
  question: q
  source: s
  seeds: 1
  arms: {a: [], b: [seed=1]}
  claims: [{says: s, measure: train_seconds, expect: a < b}]
"""


@pytest.mark.parametrize("text", HYDRA[:4])
@pytest.mark.parametrize("study", [STUDY, ""], ids=["study", "sweep"])
def test_a_real_process_takes_nothing_of_hydra_from_a_file(
    tmp_path: Path, text: str, study: str
) -> None:
    written(tmp_path, text + study)
    how = [] if study else ["-m", "hydra/launcher=basic", "seed=0,1"]
    held(run(tmp_path, "--config-dir", "mine", *how, "+experiment=e", "epochs=1", *TINY), tmp_path)


@pytest.mark.parametrize("flags", [(), ("--cfg", "hydra"), ("--info",), ("--help",)], ids=str)
@pytest.mark.parametrize("text", HYDRA)
def test_nor_however_it_is_written_and_asked_for(
    command: Command, tmp_path: Path, text: str, flags: tuple[str, ...]
) -> None:
    written(tmp_path, text)
    held(command("--config-dir", "mine", *flags, "+experiment=e"), tmp_path)


@pytest.mark.parametrize("text", HYDRA[:4])
def test_what_is_composed_is_compared_as_a_whole_too(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The second line holds by itself, should the look at the files ever miss one."""
    monkeypatch.setattr(yaml_files.Source, "_problems", lambda *_: iter(()))
    written(tmp_path, text)
    for flags in ((), ("--cfg", "hydra"), ("--help",)):
        held(command("--config-dir", "mine", *flags, "+experiment=e"), tmp_path)


def test_a_file_may_set_how_wide_stacks_are(command: Command, tmp_path: Path) -> None:
    written(
        tmp_path, "hydra: {launcher: {width: 3, max_width: 8}, verbose: true, mode: MULTIRUN}\n"
    )
    words = ("--config-dir", "mine", "--cfg", "hydra", "+experiment=e")
    code, out, err = command(*words, "seed=0,1")
    assert (code, err) == (0, "")
    assert "    name: stacked\n    width: 3\n    max_width: 8\n" in out
    assert "width: 5\n" in command(*words, "hydra.launcher.width=5").out
    assert command(*words, "hydra/launcher=basic").err.count("unknown key 'width'") == 1


WIDTHS = ["0", "-1", "2.5", "true", "'4'", "x", "[1]", "${seed}"]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("key", ["width", "max_width"])
def test_widths_have_ranges(command: Command, tmp_path: Path, key: str, width: str) -> None:
    written(tmp_path, f"hydra: {{launcher: {{{key}: {width}}}}}\n".replace("${seed}", "'${seed}'"))
    ended = command("--config-dir", "mine", "+experiment=e")
    held(ended, tmp_path)
    assert f"e.yaml:2: hydra.launcher.{key}: must be" in ended.err
    word = f"hydra.launcher.{key}={width}".replace("${seed}", "'${seed}'")
    assert f"hydra.launcher.{key}=" in command(word).err


# Secrets

PLAIN = [
    "${seed}",
    "a-${data.name}-${seed}",
    "${ seed }",
    "costs $5",
    "$",
    "\\${oc.env:SECRET}",
    "",
]
OTHER = [
    "${", "${}", "a${", "${a", "${a.}", "${${", "${oc.env:SECRET}", "${oc.env:SECRET,x}", "${ oc.env : SECRET }",
    "${env:SECRET}", "${now:%Y}", "${hydra:runtime.cwd}", "${${name}:SECRET}", "${oc.${name}:SECRET}", "${${name}}",
    "${a.${b}}", "${a[${b}]}", "${oc.decode:'${oc.env:SECRET}'}", "${seed}${oc.env:SECRET}", "\\\\${oc.env:SECRET}",
    "${.seed}", "${..seed}", "${[seed]}", "${:SECRET}", "$${oc.env:SECRET}", "${a:}", "\n${oc.env:SECRET}",
]  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_an_interpolation_may_name_a_key(text: str) -> None:
    assert problem_in(text) is None


@pytest.mark.parametrize("text", OTHER, ids=repr)
def test_and_nothing_else(text: str) -> None:
    assert problem_in(text) is not None


SECRETS = [
    "name: ${oc.env:SECRET}\n",
    "name: ${${x}:SECRET}\nx: oc.env\n",
    'name: "\\x24{oc.env:SECRET}"\n',
    'name: "$\\u007boc.env:SECRET}"\n',
    'name: "$\\\n  {oc.env:SECRET}"\n',
    "name: >-\n  ${oc.env:\n  SECRET}\n",
    "x: &a ${oc.env:SECRET}\nname: *a\n",
    "x: &a {name: '${oc.env:SECRET}'}\n<<: *a\n",
    "${oc.env:SECRET}: 1\n",
    "architecture: {hidden: [{'${oc.env:SECRET}': 1}]}\n",
    "defaults:\n- override /optimizer: ${oc.env:SECRET}\n",
    'defaults:\n- override /optimizer: "\\x24{oc.env:SECRET}"\n',
    "study: {arms: {a: [\"name='${oc.env:SECRET}'\"]}}\n",
    "study: {arms: {'${oc.env:SECRET}': []}}\n",
    "study: {arms: {a: ['data.root=$\\{oc.env\\:SECRET\\}'], b: []}, question: q, source: s, seeds: 1,"
    " claims: [{says: s, measure: test/error, expect: a < b}]}\n",
    "hydra: {verbose: '${oc.env:SECRET}'}\n",
    "hydra: {launcher: {width: '${oc.env:SECRET}'}}\n",
    "name: ${\n",
    "name: '${'\n",
]


@pytest.mark.parametrize("text", SECRETS, ids=repr)
def test_a_file_reads_no_environment(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    written(tmp_path, text)
    ended = command("--config-dir", "mine", "+experiment=e")
    held(ended._replace(err=ended.err.replace("arm 'a':", "mine/experiment/e.yaml:")), tmp_path)
    assert "only ${key} is allowed" in ended.err
    if "defaults" not in text and "study" not in text and "hydra" not in text:
        path = tmp_path / "saved.yaml"
        path.write_text(text)
        ended = command("saved.yaml")
        assert ended.code == 2 and "saved.yaml:" in ended.err and SECRET not in ended.err


WORDS = [
    ["name='${oc.env:SECRET}'"],
    ["name='${${x}:SECRET}'", "+x=oc.env"],
    [r"name=$\{oc.env:SECRET\}"],
    ["+x={a:['${oc.env:SECRET}']}"],
    [r"+x={$\{oc.env\:SECRET\}:1}"],
    ["name=str(${oc.env:SECRET})"],
    ["-m", "name=choice('${oc.env:SECRET}',b)"],
    ["-m", r"name=$\{oc.env:SECRET\},b"],
    ["hydra.launcher.width='${oc.env:SECRET}'"],
    ["hydra.verbose=['${oc.env:SECRET}']"],
    ["name='${'"],
    ["optimizer='${oc.env:SECRET}'"],
]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_command_line_reads_no_environment(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    code, out, err = command(*words)
    assert (code, out) == (2, "") and "only ${key} is allowed" in err and SECRET not in err
    assert not list(tmp_path.iterdir())


def test_folders_of_ones_own_may_be_several(command: Command, tmp_path: Path) -> None:
    for name in ("a", "b c"):
        (tmp_path / name / "experiment").mkdir(parents=True)
        (tmp_path / name / "experiment" / f"in_{name[0]}.yaml").write_text(HEAD + "seed: 7\n")
    for words in (
        ["--config-dir=a/"],
        ["-cd", "b c"],
        ["--config-dir", "a", "--config-dir", "b c"],
    ):
        for name in ("a", "b"):
            code, out, err = command("--cfg", "job", *words, f"+experiment=in_{name}")
            known = any(word.strip("/").endswith(("a", "b c")[name == "b"]) for word in words)
            assert code == (0 if known else 2)
            assert ("seed: 7" in out) == known and ("unknown experiment" in err) != known


def test_one_composer_serves_a_whole_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with composing() as composer:
        with composing() as inner:
            assert inner is composer
        config = composer.config(["optimizer=adam", "optimizer.lr=0.5"])
        assert config and config.optimizer.lr == 0.5
        assert composer.config(["optimizer.lr=x"]) is None and len(composer.problems) == 1
        read = partial(Path.open)  # nothing is read again
        monkeypatch.setattr(Path, "open", lambda *_: pytest.fail(str(read)))
        again = composer.config(["optimizer=adam", "optimizer.lr=0.25"])
        assert again and again.optimizer.lr == 0.25
