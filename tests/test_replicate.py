import json
from pathlib import Path

import pytest
from conftest import Command

from runner import replicate, report
from runner.studies.evidence import Evidence
from runner.studies.record import RECORD, REPLICATION
from runner.studies.replication import read_replication

STUDY = """# @package _global_
name: s
epochs: 8
data: {train_size: 64}
architecture: {hidden: [8]}
study:
  question: Is it so?
  source: here
  seeds: 3
  arms: {good: [], bad: [optimizer.lr=1e-9]}
  tune: {optimizer.lr: [0.1, 0.2]}
  claims:
    - says: It is so.
      measure: test/error
      expect: good < bad
"""
BASIC = "hydra/launcher=basic"
FOLDER = Path("outputs/s")


@pytest.fixture
def studied(tmp_path: Path, command: Command) -> Command:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "s.yaml").write_text(STUDY)
    ended = command("--config-dir", "conf", "+experiment=s", BASIC)
    assert ended.code == 0, ended.err
    return command


def test_a_replication_has_fresh_seeds_the_same_values_and_its_own_verdict(
    studied: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    first = Evidence.read(FOLDER)
    study_json = (FOLDER / RECORD).read_bytes()
    # The experiment as it is today does not matter: the runs say what they were.
    Path("conf/experiment/s.yaml").write_text(STUDY.replace("epochs: 8", "epochs: 9"))
    words = [str(FOLDER), "--seeds", "4", BASIC]
    capfd.readouterr()
    assert replicate.main(words) == 0
    told = capfd.readouterr()
    _, heading, own = told.out.partition("Replicated with 4 fresh seeds:")
    assert heading and own.count("confirmed") == 1 and ", 4 seeds" in " ".join(own.split())
    assert (FOLDER / RECORD).read_bytes() == study_json
    again = read_replication(FOLDER)
    assert again and again.study.seed_list == [3, 4, 5, 6]
    assert set(again.study.seed_list).isdisjoint(first.study.tuning_seeds)
    for arm in ("good", "bad"):
        config, fresh = first.run(arm, 0).config(), again.run(arm, 3).config()
        assert config and fresh and fresh.seed == 3
        assert fresh.model_copy(update={"seed": config.seed}).identity() == config.identity()
    assert "## Replication with fresh seeds" in (FOLDER / "report.md").read_text()

    before = {path: path.stat().st_mtime_ns for path in FOLDER.glob("*/result.json")}
    assert replicate.main(words) == 0  # nothing is trained twice
    assert before == {path: path.stat().st_mtime_ns for path in FOLDER.glob("*/result.json")}
    capfd.readouterr()
    assert replicate.main([str(FOLDER), "--seeds", "9", BASIC]) == 2
    assert "is replicated with --seeds 4" in capfd.readouterr().err
    # Interrupted before its last run, it goes on.
    (again.run("good", 6).path / "status.json").unlink()
    assert report.main([str(FOLDER)]) == 0
    assert "not trained (the verdicts do without): good seed 6" in capfd.readouterr().out
    assert replicate.main(words) == 0
    assert again.run("good", 6).status == "complete"


def test_a_replication_of_what_the_study_was_before_is_left_out(
    studied: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    assert replicate.main([str(FOLDER), "--seeds", "2", BASIC]) == 0
    trial = studied("--config-dir", "conf", "+experiment=s", BASIC, "study.seeds=4")
    assert trial.code == 0 and REPLICATION not in trial.out and "Replicated" not in trial.out
    Path("conf/experiment/s.yaml").write_text(STUDY.replace("epochs: 8", "epochs: 9"))
    ended = studied("--config-dir", "conf", "+experiment=s", BASIC)
    assert ended.code == 0
    assert "replication.json is left out" in ended.out and "Replicated" not in ended.out
    # Forged or damaged, it is told.
    for text in ("{", json.dumps({"command": ""}), (FOLDER / RECORD).read_text()[:-20]):
        (FOLDER / REPLICATION).write_text(text)
        capfd.readouterr()
        for code in (report.main([str(FOLDER)]), replicate.main([str(FOLDER), "--seeds", "2"])):
            assert code == 2
        err = capfd.readouterr().err
        assert err.count(REPLICATION) == 2 and "Traceback" not in err


MISTAKES = [
    (["--seeds", "1"], "--seeds 1: takes 2 to"),
    (["--seeds", "2", "optimizer.lr=3"], "optimizer.lr=3: would change what is trained"),
    (["--seeds", "2", "optimizer.lrr=3"], "unknown key 'lrr'"),
    (["--seeds", "2", "name=other"], "its runs are of another name"),
    (["--seeds", "2", "--config-dir", "nowhere"], "no such folder"),
]


def test_mistakes_are_told_and_nothing_is_written(
    studied: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in FOLDER.iterdir())
    for words, told in MISTAKES:
        capfd.readouterr()
        assert replicate.main([str(FOLDER), *words]) == 2, words
        assert told in capfd.readouterr().err
        assert sorted(path.name for path in FOLDER.iterdir()) == before


def test_a_folder_without_a_study_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replicate.main([str(tmp_path), "--seeds", "2"]) == 2
    assert "no study has been run here" in capsys.readouterr().err
