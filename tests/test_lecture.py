from pathlib import Path

import pytest

from runner import lecture
from runner.command.compose import CONF
from runner.command.request import read_request
from runner.command.yaml_files import PACKAGE_HEADER
from runner.studies.campaign import Campaign

EXPERIMENTS = sorted((CONF / "experiment").rglob("*.yaml"))
STUDIES = [path for path in EXPERIMENTS if "\nstudy:" in path.read_text()]


def test_the_lecture_has_every_study_once():
    names = [path.stem for path in STUDIES]
    paper = {name for name in names if name.endswith("_paper")}  # at the scale of the source
    assert sorted(lecture.STUDIES) == sorted(set(names) - paper)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_composes_and_every_study_can_be_judged(path):
    request = read_request([f"+experiment={path.stem}"])
    config = request.jobs[0].config
    assert config.name == path.stem
    if config.study:
        campaign = Campaign(request)
        assert campaign.study.claims


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_says_what_a_reader_asks_first(path):
    text = path.read_text()
    assert text.startswith(PACKAGE_HEADER)
    assert "# source " in text
    assert f"python -m runner +experiment={path.stem}" in text


def test_a_part_of_the_lecture(command, capfd):
    words = ["reduced_problem", "overfit_small", "study.seeds=2", "epochs=2"]
    assert lecture.main(words) == 0
    out = capfd.readouterr().out
    assert "6 claims" in out
    assert "| reduced_problem |" in Path("outputs/lecture.md").read_text()
