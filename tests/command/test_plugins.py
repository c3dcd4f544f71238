"""Options from Python that is not the runner's: found, recorded, and never asked for by a file."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import Command

import runner
from runner.options import registry
from runner.runs.folder import RunFolder

LION = '''
from typing import ClassVar, Literal

import runner
from runner.options.option import Fraction, Positive


@runner.option("optimizer")
class Lion(runner.Option):
    """w ← w − η sign(β₁m + (1−β₁)g); m ← β₂m + (1−β₂)g."""

    elementwise: ClassVar[bool] = True
    name: Literal["lion"] = "lion"
    lr: Positive
    beta1: Fraction = 0.9
    beta2: Fraction = 0.99

    def build(self, params):
        import torch

        class Rule(torch.optim.Optimizer):
            @torch.no_grad()
            def step(self):
                for group in self.param_groups:
                    beta1, beta2 = group["beta1"], group["beta2"]
                    for p in group["params"]:
                        m = self.state[p].setdefault("m", torch.zeros_like(p))
                        p.sub_((beta1 * m + (1 - beta1) * p.grad).sign() * group["lr"])
                        m.mul_(beta2).add_(p.grad, alpha=1 - beta2)

        return Rule(params, self.model_dump(exclude={"name"}))
'''
TINY = ("data.train_size=64", "epochs=1", "trainer.progress=false", "trainer.threads=1")
CHOSEN = ("optimizer=lion", "optimizer.lr=0.001")


def of_class(text: str, group: str = "optimizer") -> str:
    head = "from typing import *\nimport runner\nfrom runner.options.optimizers import *\n"
    head += "from runner.options.regularizers import *\n"
    return f'{head}@runner.option("{group}")\nclass Mine(runner.Option):\n    {text}\n'


ADAM = 'name: Literal["adam"] = "adam"; lr: Positive; build = lambda self, params: None'
MISTAKES = [
    # the text of mine.py, what the message must say
    (of_class("lr: Positive"), "mine.py:5: optimizer Mine: has no name"),
    (of_class("name: str; lr: Positive"), 'name: Literal["mine"] = "mine"'),
    (of_class("name: Literal['a b']; lr: Positive"), "has no name"),
    (of_class("name = 'mine'"), "mine.py:6: PydanticUserError: A non-annotated attribute"),
    (of_class("pass", "optimzer"), "unknown group 'optimzer'; did you mean 'optimizer'?"),
    (of_class(ADAM), "the runner has an optimizer 'adam' itself; choose another name"),
    (of_class("name: Literal['x']"), "has the settings name, lr; missing: lr"),
    (of_class("name: Literal['x']; lr: Positive"), "optimizer defines build; missing: build"),
    (of_class("name: Literal['x']", "loss"), "__call__, activation; missing: __call__, activation"),
    (of_class("pass").replace("(runner.Option)", ""), "derived from runner.Option"),
    (of_class("name: Literal['max_norm']", "regularizer"), "missing: l1, l2, dropout"),
    (
        of_class("name: Literal['max_norm']", "regularizer").replace(
            "runner.Option", "Regularizer"
        ),
        "regularizer Mine: the runner has 'regularizer=max_norm' itself",
    ),
    (
        of_class("name: Literal['x']; lr: Positive; f: Any = object(); build = lambda *_: 0"),
        "cannot be written",
    ),
    ("\n1 / 0\n", "mine.py:2: ZeroDivisionError: division by zero"),
    ("import sys\nsys.exit('no')\n", "mine.py:2: SystemExit: no"),
    ("def f(:\n", "mine.py:1: SyntaxError: invalid syntax"),
    ("import json\n\njson.loads('{')\n", "mine.py:3: JSONDecodeError"),
    ("import nowhere_at_all\n", "mine.py:1: ModuleNotFoundError: No module named 'nowhere_at_all'"),
    ("import runner\n", "--plugin mine: has no option"),
    ("import runner\nrunner.optoin\n", "mine.py:2: AttributeError"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES, ids=[said[:50] for _, said in MISTAKES])
def test_a_mistake_in_a_plugin_is_told_with_its_line(
    command: Command, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "mine.py").write_text(text)
    code, out, err = command("--plugin", "mine", *CHOSEN)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) <= 2 and "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("liom", "no such module; did you mean 'lion.py'?"),
        ("./liom.py", "no such file; did you mean"),
        ("lion:Lion", "takes the name of a module"),
        ("", "takes the name of a module"),
        ("os", "--plugin os: has no option"),
        ("runner", "--plugin runner: has no option"),
    ],
)
def test_a_plugin_that_is_none(command: Command, tmp_path: Path, word: str, said: str) -> None:
    (tmp_path / "lion.py").write_text(LION)
    code, _, err = command("--plugin", word, *CHOSEN)
    assert code == 2 and said in err and len(err.splitlines()) == 1


def test_two_plugins_of_one_name(command: Command, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(LION)
    code, _, err = command("--plugin", "one", "--plugin", "two", *CHOSEN)
    assert code == 2 and "two.py:8: optimizer Lion: 'lion' is already Lion of" in err
    # The same one twice is no mistake.
    words = ("--plugin", "one", "--plugin", "./one.py", *CHOSEN, "--cfg", "job")
    assert command(*words).code == 0


@pytest.fixture
def lion(tmp_path: Path) -> Path:
    path = tmp_path / "lion.py"
    path.write_text(LION)
    return path


def test_it_is_chosen_checked_and_told_of_like_the_runners_own(
    command: Command, lion: Path
) -> None:
    chosen = command("--plugin", "lion", *CHOSEN, "optimizer.beta1=0.5", "--cfg", "job")
    assert "name: lion\n  beta1: 0.5\n  beta2: 0.99\n  lr: 0.001\n" in chosen.out
    for word, said in (
        ("optimizer.lr=-1", "must be greater than 0, found -1"),
        ("optimizer.bta1=1", "unknown key 'bta1'; did you mean 'beta1'?"),
        ("optimizer=lino", "did you mean 'lion'?"),
        ("~optimizer.lr", "there is no such key"),
    ):
        assert said in command("--plugin", "lion", "optimizer=lion", word).err
    assert "the key 'optimizer.lr' is missing" in command("--plugin", "lion", CHOSEN[0]).err
    assert "lion" in command("--plugin", "lion", "--help").out
    assert "lion" not in command("--help").out


def test_a_yaml_file_of_its_name_gives_its_defaults(command: Command, lion: Path) -> None:
    folder = lion.parent / "mine" / "optimizer"
    folder.mkdir(parents=True)
    (folder / "lion.yaml").write_text("name: lion\nlr: 0.5\n")
    words = ("--plugin", "lion", "--config-dir", "mine", "optimizer=lion", "--cfg", "job")
    assert "optimizer:\n  name: lion\n  lr: 0.5\n" in command(*words).out
    assert "unknown name 'lion'" in command(*words[2:4], "optimizer=lion").err


def test_a_run_records_it_and_is_found_again_only_with_it(command: Command, lion: Path) -> None:
    code, _, err = command("--plugin", "lion", *CHOSEN, *TINY)
    assert (code, err) == (0, "")
    (folder,) = (lion.parent / "outputs" / "runs").glob("*-*")
    saved = str(folder / "config.yaml")
    source = yaml.safe_load((folder / "config.yaml").read_text())["plugins"]["optimizer"]
    result = RunFolder(folder).result
    assert result and result["plugins"] == {"optimizer": source}
    assert source["plugin"] == "lion" and source["file"] == "lion.py"

    told = command(saved)
    assert (
        told.code == 2 and "came from the plugin 'lion'; if you trust it: --plugin lion" in told.err
    )
    again = command("--plugin", "./lion.py", saved)
    assert (again.code, again.err) == (0, "") and "Finished before" in again.out

    # Of the same length, within a second: the text decides, not what was compiled of it.
    lion.write_text(LION.replace("beta2: Fraction = 0.99", "beta2: Fraction = 0.98"))
    changed = command("--plugin", "lion", saved)
    assert changed.code == 0 and "lion.py has changed since this run" in changed.err
    assert len(list(folder.parent.glob("*-*"))) == 2
    assert "beta2: 0.98" in command("--plugin", "lion", *CHOSEN, "--cfg", "job").out


def test_runs_are_stacked_just_where_the_rule_is_elementwise(command: Command, lion: Path) -> None:
    words = ("-m", *CHOSEN, "seed=0,1", "hydra.launcher.width=2", *TINY)
    assert "2 runs, all as one" in command("--plugin", "lion", *words).out
    lion.write_text(LION.replace("    elementwise: ClassVar[bool] = True\n", ""))
    alone = command("--plugin", "lion", *words, "name=alone")
    assert alone.code == 0 and "all as one" not in alone.out


def test_an_installed_package_offers_its_options(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "big_cats").mkdir(parents=True)
    (site / "big_cats" / "__init__.py").write_text(LION)
    meta = site / "big_cats-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: big-cats\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[runner.options]\ncats = big_cats\n")
    monkeypatch.syspath_prepend(site)
    assert "name: lion" in command(*CHOSEN, "--cfg", "job").out
    assert "lion" in command("--help").out
    (site / "big_cats" / "__init__.py").write_text("import runner\n\nrunner.option('x')(int)\n")
    code, _, err = command("epochs=1")
    assert code == 2 and "site/big_cats/__init__.py:3: unknown group 'x'" in err


def test_a_command_leaves_no_trace_of_its_plugins(command: Command, lion: Path) -> None:
    before, path = {g: dict(o) for g, o in registry.OPTIONS.items()}, list(sys.path)
    assert command("--plugin", "lion", *CHOSEN, "--cfg", "job").code == 0
    assert before == registry.OPTIONS
    assert path == sys.path and "lion" not in sys.modules
    assert "unknown optimizer 'lion'" in command(*CHOSEN).err


FAULTY = """
from runner.options.architectures import MLP
import runner
from typing import Literal


@runner.option("architecture")
class Faulty(MLP):
    name: Literal["faulty"] = "faulty"

    def problems(self, regularizer):
        if self.hidden == (1,):
            yield 1 / 0

    def build(self, shape, classes, regularizer):
        from torch import nn

        if self.hidden == (2,):
            raise KeyError("built")
        return nn.Sequential(nn.Flatten(), nn.Linear(3, classes))
"""
FAULTS = [
    (["architecture.hidden=[1]"], "faulty.py:13: ZeroDivisionError: division by zero", 2),
    (["architecture.hidden=[2]"], "faulty.py:19: KeyError: 'built'", 2),
    ([], "architecture=faulty: RuntimeError: ", 2),
]


@pytest.mark.parametrize(("words", "said", "code"), FAULTS, ids=[said for _, said, _ in FAULTS])
def test_what_fails_later_is_told_in_a_line_too(
    command: Command, tmp_path: Path, words: list[str], said: str, code: int
) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    chosen = ("architecture=faulty", "architecture.hidden=[5]", "architecture.activation=relu")
    ended = command("--plugin", "faulty", *chosen, *TINY, *words)
    assert ended.code == code and "Traceback" not in ended.err
    assert said in ended.err + ended.out and len(ended.err.splitlines()) <= 1


def test_importing_the_package_is_light() -> None:
    """What is offered by name comes when it is asked for."""
    asked = "import runner, sys; print({'torch', 'pydantic', 'hydra'} & {*sys.modules});"
    asked += "print(runner.Option, runner.option, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    light, offered = done.stdout.splitlines()
    assert light == "set()" and offered.endswith("False")
    with pytest.raises(AttributeError, match="no attribute 'optoin'"):
        _ = runner.optoin


PLANTED = "from pathlib import Path\nPath('PLANTED').touch()\n" + LION
FILES = [
    "plugin: evil\n",
    "plugins: {optimizer: {plugin: evil, file: evil.py, sha256: '%s'}}\n" % ("0" * 64),
    "plugin: [evil, ./evil.py]\n",
    "hydra: {plugins: [evil]}\n",
    "hydra: {plugin: evil}\n",
    "hydra: {launcher: {plugin: evil}}\n",
    "hydra: {searchpath: ['pkg://evil']}\n",
    "optimizer: {plugin: evil}\n",
    "optimizer: {_target_: evil.Lion}\n",
    "optimizer: {name: evil.Lion}\n",
    "optimizer: {name: evil:Lion}\n",
    "optimizer: {name: ./evil.py}\n",
    "defaults:\n- override /optimizer: evil\n",
    "defaults:\n- /plugin: evil\n",
    "'--plugin': evil\n",
    "trainer: {plugins: [evil]}\n",
    *(
        f"study: {{question: q, source: s, seeds: 1, arms: {{a: ['{word}'], b: [seed=1]}}}}\n"
        for word in ("plugin=evil", "+plugin=evil", "--plugin evil", "hydra.plugins=[evil]")
    ),
]


@pytest.mark.parametrize("text", FILES)
def test_no_file_names_a_plugin(command: Command, tmp_path: Path, text: str) -> None:
    """Neither an experiment nor what is given as a run's config.yaml; evil.py lies in the working directory."""
    (tmp_path / "evil.py").write_text(PLANTED)
    path = tmp_path / "mine" / "experiment" / "e.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"# @package _global_\n{text}")
    for words in (("--config-dir", "mine", "+experiment=e"), (str(path),)):
        code, out, err = command(*words)
        assert code == 2 and not out
        assert 1 <= len(err.splitlines()) <= 6 and "Traceback" not in err
    assert not (tmp_path / "PLANTED").exists() and not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("word", ["plugin=evil", "+plugin=evil", "hydra.plugins=[evil]"])
def test_nor_does_an_override(command: Command, tmp_path: Path, word: str) -> None:
    (tmp_path / "evil.py").write_text(PLANTED)
    assert command(word).code == 2
    assert not (tmp_path / "PLANTED").exists()
