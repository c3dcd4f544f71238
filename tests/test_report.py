import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from runner import report

WORDS = (
    "+experiment=ensemble", "epochs=2", "data.train_size=64", "study.seeds=3",
    "+study.tune={optimizer.lr:[0.1,0.2]}", "diagnostics=layers",
    "study.ensembles.five.size=3",
)  # fmt: skip


@pytest.fixture
def reported(command) -> Path:
    ended = command(*WORDS)
    assert ended.code == 0, ended.err
    return Path("outputs/ensemble")


def test_the_report_is_complete_loads_nothing_and_can_be_written_again(reported):
    html = (reported / "report.html").read_text()
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="(?!#)', html)
    markdown = (reported / "report.md").read_text()
    for name in ("points", "curves", "tuning", "layers", "ensembles"):
        assert f"figures/{name}.svg" in markdown
        picture = (reported / "figures" / f"{name}.svg").read_text()
        ElementTree.fromstring(picture)
        assert "prefers-color-scheme:dark" in picture
        assert "currentColor" in picture
    assert "python -m runner +experiment=ensemble" in markdown
    assert report.main([str(reported)]) == 0
    assert (reported / "report.html").read_text() == html

    events = EventAccumulator(str(reported / "mean" / "arm=deep")).Reload()
    assert [event.step for event in events.Scalars("val/accuracy")] == [0, 1, 2]


def test_a_folder_without_a_study_is_told(tmp_path, capsys):
    assert report.main([str(tmp_path)]) == 2
    assert "no study" in capsys.readouterr().err
