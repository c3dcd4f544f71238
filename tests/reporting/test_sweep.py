"""The report of any sweep: which combination is best, how sure that is, and what the page shows."""

import csv
import json
import re
import shutil
from pathlib import Path
from statistics import mean, stdev

import pytest
from conftest import Command
from test_foreign import HOSTILE, Rendered, is_plain, without_pictures

from runner import report
from runner.foreign import visible
from runner.reporting.sweep import Sweep
from runner.runs.folder import RunFolder
from runner.studies.statistics import compare, holm

FAST = ["trainer.progress=false", "trainer.accelerator=cpu", "epochs=2", "data.train_size=64"]
GRID = ["-m", "name=grid", "optimizer=sgd,adam", "optimizer.lr=0.001,0.1", "seed=0,1,2", *FAST]


@pytest.fixture
def grid(command: Command) -> Path:
    assert command(*GRID).code == 0
    return Path("outputs/grid")


def test_the_best_is_ranked_by_validation_and_compared_seed_by_seed(grid: Path) -> None:
    sweep = Sweep.read(grid)
    assert sweep.headings == ["optimizer", "optimizer.lr"]  # not β₁, which Adam alone has
    values: dict[tuple[str, float], dict[int, float]] = {}
    for path in grid.glob("*/result.json"):
        result, config = json.loads(path.read_text()), RunFolder(path.parent).config()
        assert config
        key = (config.optimizer.name, config.optimizer.lr)
        values.setdefault(key, {})[config.seed] = result["val/accuracy"]
    order = sorted(values, key=lambda key: -mean(values[key].values()))
    assert [tuple(c.values.values()) for c in sweep.ranked] == order
    best, *others = (values[key] for key in order)
    tests = [compare([other[s] - best[s] for s in best], "<").p for other in others]
    assert [c.p for c in sweep.ranked[1:]] == pytest.approx(holm(tests))
    told = sweep.ranked[0].told("val/accuracy", sweep.metric)
    assert told == f"{mean(best.values()):.2%} ± {stdev(best.values()):.2%}"


def test_the_page_has_all_and_loads_nothing(grid: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    assert report.main([str(grid)]) == 0
    told = capfd.readouterr().out
    text, html = ((grid / f"report.{kind}").read_text() for kind in ("md", "html"))
    assert "Best of 4: optimizer=" in told and "Best of 4: optimizer=" in text
    assert "cannot be told from" in text or "better than every other one" in text
    assert (grid / "figures/map1.svg").is_file() and "map1.svg" in text and "curves.svg" in text
    for fact in ("12 complete", "digits, train_size=64", "| mlp |", "| 32 |", "torch", "| cpu, 32-true |",
                 "git commit", "date | 20", "python -m runner --multirun name=grid"):  # fmt: skip
        assert fact in text
    assert not re.search(r'(?:src|href)="(?!#|data:image/png;base64,)', html)
    assert html.count("<script>") == 1 and "ariaSort" in html
    assert report.main([str(grid)]) == 0
    assert (grid / "report.html").read_text() == html


def test_what_has_no_result_is_left_out_and_told(
    grid: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    failed, diverged, gone = sorted(path.parent for path in grid.glob("*/status.json"))[:3]
    (failed / "status.json").write_text('{"status": "failed", "reason": "x"}')
    (diverged / "status.json").write_text('{"status": "diverged"}')
    result = json.loads((diverged / "result.json").read_text())
    numbers = {k: None if "/" in k else v for k, v in result.items()} | {"status": "diverged"}
    (diverged / "result.json").write_text(json.dumps(numbers))
    (gone / "result.json").unlink()
    assert report.main([str(grid)]) == 3
    told = capfd.readouterr().out
    assert f"failed, left out: {failed.name}" in told
    assert "runs that diverged and count as the worst value: 1" in told
    assert f"{gone.name}/result.json" in told
    assert Sweep.read(grid).ranked[-1].diverged == 1


def test_what_a_stranger_wrote_is_shown_as_it_is(grid: Path) -> None:
    text = " ".join(HOSTILE).replace("\n", " ") + " ```` "
    (grid / "sweep.json").write_text(json.dumps([text]))
    assert report.main([str(grid)]) == 0
    markdown, html = ((grid / f"report.{kind}").read_text() for kind in ("md", "html"))
    assert is_plain(markdown) and is_plain(html)
    page = Rendered(re.sub(r"<script.*?</script>", "", without_pictures(html), flags=re.DOTALL))
    assert {"script", "a", "img", "iframe"}.isdisjoint(page.tags)
    assert " ".join(visible(text).split()) in " ".join(page.text.split())
    for damaged in ("{", '"x"', "[1]"):
        (grid / "sweep.json").write_text(damaged)
        assert report.main([str(grid)]) == 0


def test_one_run_and_one_seed(command: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert command("-m", "name=x", "optimizer.lr=0.1,0.2", *FAST).code == 0
    folder = Path("outputs/x")
    assert report.main([str(folder)]) == 0
    assert "One seed cannot say how sure that is" in capfd.readouterr().out
    assert (folder / "figures/setting.svg").is_file()
    run = next(path.parent for path in folder.glob("*/status.json"))
    assert report.main([str(run)]) == 0
    assert "accuracy: val" in capfd.readouterr().out
    assert f"python -m runner {run}/config.yaml" in (run / "report.md").read_text()
    assert report.main(["outputs"]) == 2
    assert "no runs here; there are in x" in capfd.readouterr().err


def test_a_second_sweep_adds_to_the_table(command: Command) -> None:
    words = ["name=t", *FAST]
    assert command("-m", "optimizer.lr=0.1,0.2", *words).code == 0
    assert command("-m", "optimizer=adam", "seed=1,2", *words).code == 0
    assert command("-m", "optimizer.lr=0.2,0.3", *words).code == 0
    with Path("outputs/t/sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["run"] for row in rows}) == len(rows) == 5
    assert {row["optimizer.lr"] for row in rows} == {"0.1", "0.2", "0.3", "0.001"}
    assert sorted(row["seed"] for row in rows) == ["0", "0", "0", "1", "2"]
    # No sweep varies it, and yet it tells their runs apart.
    assert sorted(row["optimizer"] for row in rows) == ["adam", "adam", "sgd", "sgd", "sgd"]
    assert len(json.loads(Path("outputs/t/sweep.json").read_text())) == 3


STUDY = """# @package _global_
name: s
epochs: 1
data: {train_size: 32}
study:
  question: q
  source: s
  seeds: 1
  arms: {a: [], b: [optimizer.lr=0.3]}
  claims: [{says: c, measure: test/error, expect: a < 0.0001}]
"""


def test_a_trial_replaces_no_report_and_again_works_as_printed(command: Command) -> None:
    path = Path("mine/experiment/s.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(STUDY)
    words = ["--config-dir", "mine", "+experiment=s"]
    assert command(*words).code == 0
    folder = Path("outputs/s")
    first = {name: (folder / name).read_bytes() for name in ("study.json", "report.html")}
    text = (folder / "report.md").read_text()
    assert ", expected < 0.01%" in text  # no falsehood such as 80% < 0.01%
    assert "| digits, train_size=32 |" in text
    again = next(line for line in text.splitlines() if line.startswith("python -m runner "))
    assert again == "python -m runner --config-dir mine +experiment=s"
    assert command(*again.split()[3:]).code == 0

    assert command(*words, "epochs=2").code == 0
    assert {name: (folder / name).read_bytes() for name in first} == first
    (trial,) = folder.glob("study-*.json")
    assert (folder / f"report{trial.stem.removeprefix('study')}.html").is_file()
    assert report.main([str(trial)]) == 0
    shutil.rmtree(folder)
    assert command(*words, "epochs=2").code == 0
    assert (folder / "report.html").is_file()  # there is no other
    assert command(*words).code == 0
    assert json.loads((folder / "study.json").read_text())["command"] == again
