"""What a report shows of the test split: the task's own pictures, and how well each class is recognised."""

import json
import re
from base64 import b64encode
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import TINY, Command
from test_foreign import Rendered, is_plain

from runner import report
from runner.reporting.run_findings import MOST_CLASSES, MOST_RUNS, findings_of
from runner.runs.folder import RunFolder

DENOISER = (
    "task=reconstruction",
    "task.noise=masking",
    "task.level=0.3",
    "loss=mean_squared_error",
)
IMAGE = re.compile(r"!\[[^]]*\]\(([^)]*\.png)\)")


def run_of(command: Command, *words: str) -> Path:
    assert command("name=one", *TINY, *words).code == 0
    (path,) = (status.parent for status in Path("outputs/one").glob("*/status.json"))
    return path


@pytest.mark.parametrize(
    ("words", "pictures"),
    [((), ["confusion_matrix", "mistakes"]), (DENOISER, ["reconstructions"])],
)
def test_a_runs_report_shows_what_its_task_has_left(
    command: Command, words: tuple[str, ...], pictures: list[str]
) -> None:
    run = run_of(command, *words)
    assert report.main([str(run)]) == 0
    text, html = ((run / f"report.{kind}").read_text() for kind in ("md", "html"))
    assert IMAGE.findall(text) == [f"{name}.png" for name in pictures]
    for name in pictures:
        assert b64encode((run / f"{name}.png").read_bytes()).decode() in html
    result = json.loads((run / "result.json").read_text())
    assert f"| data fingerprint | {result['data']['fingerprint'][:12]} |" in text
    for row in result.get("per_class", []):
        shares = ["–" if row[k] is None else f"{row[k]:.2%}" for k in ("precision", "recall", "f1")]
        assert f"| {' | '.join([row['name'], *shares, str(row['support'])])} |" in text


def test_a_sweep_shows_its_winner_whatever_its_folder_is_called(command: Command) -> None:
    assert command("-m", "name=grid", "optimizer.lr=0.1,0.5", *TINY).code == 0
    folder = Path("outputs/grid")
    for number, run in enumerate(sorted(path.parent for path in folder.glob("*/status.json"))):
        run.rename(folder / f"a ](x) <b> 1%2f\u202e {number}")
    assert report.main([str(folder)]) == 0
    text, html = ((folder / f"report.{kind}").read_text() for kind in ("md", "html"))
    assert is_plain(text) and is_plain(html)
    links = IMAGE.findall(text)
    assert len(links) == 2 and html.count("<img") == 2
    assert set(Rendered(html).tags).isdisjoint({"b", "a"})
    for link in links:
        png = (folder / unquote(link)).read_bytes()
        assert f"data:image/png;base64,{b64encode(png).decode()}" in html


@pytest.mark.parametrize("forged", ["text", "huge", "link"])
def test_a_picture_that_is_none_is_told_and_not_shown(command: Command, forged: str) -> None:
    run = run_of(command)
    path = run / "mistakes.png"
    png = path.read_bytes()
    path.unlink()
    if forged == "link":
        path.symlink_to("confusion_matrix.png")
    else:
        path.write_bytes(b"no picture" if forged == "text" else png[:16] + b"\0\1" * 4 + png[24:])
    assert report.main([str(run)]) == 0
    assert "mistakes.png: " in (run / "report.md").read_text()
    assert "<img" not in (run / "report.html").read_text()


def test_several_runs_stand_side_by_side_and_of_many_classes_the_worst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"name": f"c{n}", "precision": 1.0, "recall": None, "f1": n / 100, "support": n}
        for n in range(MOST_CLASSES + 5)
    ]
    monkeypatch.setattr(RunFolder, "result", {"per_class": rows})
    runs = {f"arm{n}": RunFolder(tmp_path / str(n)) for n in range(MOST_RUNS + 2)}
    found = findings_of(tmp_path, runs)
    assert found.headings == ["the worst 20 of 25 classes", *(f"F1: arm{n}" for n in range(6)), "examples"]  # fmt: skip
    assert [row[0] for row in found.classes] == [f"c{n}" for n in range(MOST_CLASSES)]
    assert found.classes[3] == ["c3", *["3.00%"] * 6, "3"]
    assert found.notes == ["2 more are not shown."]
    alone = findings_of(tmp_path, {"arm0": runs["arm0"]})
    assert alone.headings[1:] == ["precision", "recall", "F1", "examples"]
    assert alone.classes[3] == ["c3", "100.00%", "–", "3.00%", "3"]
