"""Whole searches of tiny networks: what is dropped, what is best, and what a user can do with it."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from conftest import Command

import runner.report
from runner.runs.folder import RunFolder
from runner.search.__main__ import main
from runner.search.record import Record

SEARCH = """# @package _global_
name: s
epochs: 3
data: {train_size: 64}
architecture: {hidden: [8]}
search:
  space:
    optimizer.lr: {log: [1.0e-6, 1.0]}
    regularizer.l2: {log: [1.0e-6, 1.0e-3]}
  trials: 6
  stop: halving
  audit: 0.2
"""
OUT = Path("outputs/s")


@pytest.fixture
def search(experiment: Command) -> Command:
    return lambda *words, text=SEARCH: experiment(text, *words)


def record() -> Record:
    return Record.read(OUT)


def folder(run: str) -> RunFolder:
    return RunFolder(OUT / run)


def test_a_rung_keeps_the_best_third_and_the_losers_are_whole_runs(
    search: Command, command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = search()
    assert ended.code == 0, ended.err
    found = record()
    first, last = found.decisions
    values = {n: folder(found.trials[n].runs[0]).metrics()[1]["val/loss"] for n in range(6)}
    assert first.values == values and first.kept == sorted(values, key=lambda n: values[n])[:2]
    assert (last.epoch, set(last.values), last.kept) == (3, set(first.kept), [])
    assert found.best == min(last.values, key=lambda n: last.values[n] or 0) == found.ended()[0]
    assert "bracket 1/1, epoch 1/3: 6 trials, 2 go on; best so far val/loss" in ended.out

    [*audited] = found.audited or {}
    assert len(audited) == 1 and not {*audited} & {*first.kept}
    dropped = next(n for n in range(6) if n not in [*first.kept, *audited])
    run = found.trials[dropped].runs[0]
    assert (folder(run).status, folder(run).epoch) == ("pruned", 1)
    assert list((OUT / run).glob("events.out.tfevents.*"))

    before = {path: path.stat().st_mtime_ns for path in OUT.glob("*/*.json*")}
    again = search()
    assert again.code == 0 and "bracket" not in again.out and "Finished before" in again.out
    assert before == {path: path.stat().st_mtime_ns for path in before}

    assert command(str(OUT / run / "config.yaml")).code == 0  # asked for as a run
    assert (folder(run).status, len(folder(run).metrics())) == ("complete", 4)
    assert search().code == 0 and record() == found

    report = (OUT / "report.md").read_text()
    for fact in (
        "architecture | mlp",
        "| runs | ",
        "data fingerprint | ",
        "torch ",
        "/mistakes.png)",
    ):
        assert fact in report
    for line in report.splitlines():
        if line.startswith("python -m runner ") and ("search=null" in line or "=best" in line):
            assert "Finished before" in command(*shlex.split(line)[3:]).out, line
    capfd.readouterr()
    assert main([str(OUT)]) == 0
    assert f"trial {found.best}: val/loss" in (told := capfd.readouterr().out)
    assert runner.report.main([str(OUT)]) == 0  # the report of whatever the folder holds
    assert capfd.readouterr().out == told
    page = (OUT / "report.html").read_text()
    assert "<th>dropped</th>" in page


def test_the_best_are_trained_with_fresh_seeds_which_decide(search: Command) -> None:
    ended = search(
        "search.final={best: 2, seeds: 2}", "search.seeds=2", "seed=5", "search.trials=3"
    )
    assert ended.code == 0, ended.err
    found = record()
    assert [run.split("seed=")[1][0] for run in found.trials[0].runs] == ["5", "6"]
    assert found.final and len(found.final) == 1  # only one has come to the end
    assert [run.split("seed=")[1][0] for run in found.final[0].runs] == ["7", "8"]
    results = [folder(run).result or {} for run in found.final[0].runs]
    assert found.final[0].value == pytest.approx(sum(r["val/loss"] for r in results) / 2)
    assert "2 fresh seeds" in ended.out


def test_a_best_value_at_the_border_is_said_loudly(search: Command) -> None:
    text = SEARCH.replace("1.0e-6, 1.0]", "1.0e-9, 1.0e-3]").replace("audit: 0.2", "sampler: grid")
    ended = search(text=text)
    assert (
        "optimizer.lr=0.001 lies at the upper end of its range [1e-09, 0.001]: widen it"
        in ended.out
    )


def test_where_all_diverge_there_is_no_best_and_the_exit_code_is_3(search: Command) -> None:
    ended = search(text=SEARCH.replace("1.0e-6, 1.0]", "1.0e+30, 1.0e+32]"))
    assert ended.code == 3
    assert "No trial has come to its end with a number: there is no best one." in ended.err
    assert record().best is None and record().complete
    assert "6 trials, 0 go on, 6 without a value; none is left" in ended.out
    assert main([str(OUT)]) == 3


def test_a_cost_that_grows_ends_a_trial(search: Command) -> None:
    text = SEARCH.replace("1.0e-6, 1.0]", "100.0, 200.0]")
    assert search("search.abort=1.5", "search.audit=0.0", text=text).code in (0, 3)
    reasons = [folder(trial.runs[0]).reason for trial in record().trials]
    assert any("is above 1.5 times the initial" in reason for reason in reasons)
    aborted = {n for n, reason in enumerate(reasons) if "above" in reason}
    assert all(
        record().decisions[0].values[n] is None
        for n in aborted
        if n in record().decisions[0].values
    )


def test_another_search_of_the_same_name_begins_anew_and_finds_its_runs(search: Command) -> None:
    search("search.trials=3", "search.audit=0.0")
    first = record()
    status = OUT / first.trials[0].runs[0] / "status.json"
    before = status.stat().st_mtime_ns
    search("search.trials=4", "search.audit=0.0")
    assert len(record().trials) == 4 and record().trials[:3] == first.trials
    assert first.best == 0 or status.stat().st_mtime_ns == before
    search("search.trials=4", "search.audit=0.0", "resume=false")
    assert len(record().trials) == 4 and status.stat().st_mtime_ns > before


@pytest.mark.parametrize(
    "sampler",
    ["tpe", *(pytest.param(s, marks=pytest.mark.slow) for s in ("gp", "grid", "lecture"))],
)
def test_the_other_samplers_come_to_an_end(search: Command, sampler: str) -> None:
    ended = search(f"search.sampler={sampler}", "search.trials=11", "search.stop=hyperband")
    assert ended.code == 0, ended.err
    found = record()
    assert (found.optuna is None) == (sampler in ("grid", "lecture"))
    assert found.best in found.ended()
    assert (OUT / "report.html").read_text().count("<svg") >= 4


def test_a_search_is_exported_to_optuna_once(
    search: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    import optuna

    search("search.trials=3", "search.audit=0.0")
    assert main(["--to-optuna", "x.db", str(OUT)]) == 0
    study = optuna.load_study(study_name="s", storage="sqlite:///x.db")
    assert study.best_trial.number == record().ended()[0]
    assert [trial.params for trial in study.trials] == [trial.draw for trial in record().trials]
    assert main(["--to-optuna", "x.db", str(OUT)]) == 2
    assert "exists already" in capfd.readouterr().err


def damaged(change: Any) -> str:
    values = json.loads((OUT / "search.json").read_text())
    change(values)
    return json.dumps(values)


FORGED = {
    "a run outside": lambda v: v["trials"][0].update(runs=["../../x"]),
    "a trial that does not exist": lambda v: v.update(best=99),
    "a kept trial without a value": lambda v: v["decisions"][0]["values"].update(
        dict.fromkeys(v["decisions"][0]["values"])
    ),
    "a setting that is not searched": lambda v: v["trials"][0]["draw"].update({"x": 1}),
    "a text as a number": lambda v: v["trials"][0]["draw"].update({"optimizer.lr": "1"}),
    "an unknown key": lambda v: v.update(colour="red"),
    "another type": lambda v: v.update(trials={}),
    "a bad space": lambda v: v["search"]["space"].update(x={"log": [0, 1]}),
}


def test_a_damaged_record_is_one_line_and_exit_code_2(
    search: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    search("search.trials=3", "search.audit=0.0")
    path = OUT / "search.json"
    sound = path.read_text()
    texts = [damaged(change) for change in FORGED.values()]
    texts += [sound[: len(sound) * part // 10] for part in range(10)]
    for text in texts:
        path.write_text(text)
        capfd.readouterr()
        assert main([str(OUT)]) == 2, text[:300]
        err = capfd.readouterr().err
        assert err.count("\n") == 1 and "search.json" in err
    ended = search("search.trials=3", "search.audit=0.0")
    assert ended.code == 2 and "resume=false" in ended.err
    assert search("search.trials=3", "search.audit=0.0", "resume=false").code == 0
    assert main(["nowhere"]) == 2
