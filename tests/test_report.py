import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_foreign import HOSTILE, Rendered, is_plain, without_pictures

from runner import report
from runner.foreign import visible
from runner.studies import measuring

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
    assert not re.search(r'(?:src|href)="(?!#|data:image/png;base64,)', html)
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


def test_what_a_stranger_wrote_is_shown_as_it_is(reported, capfd):
    """In every text of the study and its record, and in what its runs say of themselves."""
    record = json.loads((reported / "study.json").read_text())
    text = " ".join(HOSTILE).replace("\n", " ") + " ```` "
    study, arm = record["study"], record["arms"]["deep"]
    study["question"] = study["source"] = record["command"] = text
    study["tune"] = {text: [1]}
    for claim in study["claims"]:
        claim["says"] = text
    arm["notes"] = [f"{text} border"]
    arm["chosen"] = arm["settings"] = {text: text}
    for candidate in arm["candidates"]:
        candidate["values"] = {text: text}
    (reported / "study.json").write_text(json.dumps(record))
    status = reported / record["arms"]["tanh"]["runs"]["0"] / "status.json"
    status.write_text(json.dumps({"status": "failed", "reason": text}))

    capfd.readouterr()
    assert report.main([str(reported)]) == 3  # a run failed
    told = capfd.readouterr().out
    assert told.count(visible(text)[:40]) >= 3
    html, markdown = ((reported / name).read_text() for name in ("report.html", "report.md"))
    for shown in (told, html, markdown):
        assert is_plain(shown)

    own = {"h1", "h2", "p", "em", "strong", "ul", "li", "pre", "code", "br", "img",
           "table", "thead", "tbody", "tr", "th", "td"}  # fmt: skip
    rendered = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown)
    found = Rendered(rendered)
    assert set(found.tags) <= own
    images = re.findall(r'<img src="([^"]*)"', rendered)
    assert images
    assert all(re.fullmatch(r"figures/\w+\.svg|[\w.,=-]+/\w+\.png", image) for image in images)
    words = " ".join(found.text.split())
    assert words.count(" ".join(visible(text).split())) >= 8
    page = Rendered(without_pictures(html))
    shell = ["html", "head", "meta", "meta", "title", "style", "body"]
    assert page.tags[: len(shell)] == shell
    assert set(page.tags[len(shell) :]) <= own - {"img"}
    assert not re.search(
        r'(?:src|href)="(?!#|data:image/png;base64,)', re.sub(r">[^<]*<", "><", html)
    )


DAMAGES: dict[str, Any] = {
    "result.json": {
        "cut": lambda text: text[: len(text) // 2],
        "a list": lambda _: "[]",
        "a string": lambda _: '"test/error"',
        "text for a number": lambda text: re.sub(r'"test/error": [^,}\n]*', '"test/error": "0"', text),
        "true for a number": lambda text: re.sub(r'"test/error": [^,}\n]*', '"test/error": true', text),
        "NaN": lambda text: re.sub(r'"test/error": [^,}\n]*', '"test/error": NaN', text),
        "gone": lambda _: None,
    },
    "metrics.jsonl": {
        "half a line in the middle": lambda text: text[:40] + text[60:],
        "half a line at the end": lambda text: text[:-30],
        "a list": lambda text: "[]\n" + text,
        "no epoch": lambda text: text.replace('"epoch"', '"ecoph"'),
        "text for a number": lambda text: re.sub(r'"val/loss": [^,}]*', '"val/loss": "0"', text),
        "empty": lambda _: "",
        "gone": lambda _: None,
    },
    "status.json": {"cut": lambda text: text[:10], "a list": lambda _: "[]"},
}  # fmt: skip


def test_damaged_files_of_a_run_are_told_in_a_line(reported, capfd):
    run = reported / json.loads((reported / "study.json").read_text())["arms"]["tanh"]["runs"]["0"]
    for name, damages in DAMAGES.items():
        intact = (run / name).read_text()
        for case, damage in damages.items():
            damaged = damage(intact)
            assert damaged != intact, case
            (run / name).write_text(damaged) if damaged is not None else (run / name).unlink()
            measuring._numbers_of.cache_clear()
            assert report.main([str(reported)]) == 2, (name, case)
            told = capfd.readouterr().err.splitlines()
            assert len(told) == 1, (name, case, told)
            assert run.name in told[0], (name, case, told)
            (run / name).write_text(intact)
    measuring._numbers_of.cache_clear()
    assert report.main([str(reported)]) == 0


def test_a_folder_without_a_study_is_told(tmp_path, capsys):
    assert report.main([str(tmp_path)]) == 2
    assert "no study" in capsys.readouterr().err
