"""What measures read off the curve of a run that was measured inside its epochs."""

import json
from pathlib import Path
from shutil import rmtree

import pytest
from made_up import claim, made_up, write_run

from runner.config.claims import parse_measure
from runner.reporting.mean_curves import mean_of
from runner.runs.folder import RunFolder
from runner.studies.examples import resolution
from runner.studies.measuring import value_in

EVERY_4 = [  # of ten steps in an epoch
    (0, 0, 0.1), (0.4, 4, 0.5), (0.8, 8, 0.7), (1, 10, 0.6), (1.2, 12, 0.9), (1.6, 16, 0.8), (2, 20, 0.85),
]  # fmt: skip


def measured_inside(path: Path) -> RunFolder:
    write_run(path, {"val/accuracy": 0.85}, [{}, {}, {}])
    lines = [
        {"epoch": epoch, "step": step, "seconds": step / 10, "val/accuracy": value}
        for epoch, step, value in EVERY_4
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (path / "metrics.jsonl").write_text(text)
    return RunFolder(path)


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("steps_to(val/accuracy >= 0.5)", 4),
        ("epochs_to(val/accuracy >= 0.5)", 0.4),
        ("seconds_to(val/accuracy >= 0.7)", 0.8),
        ("steps_to(val/accuracy >= 0.9)", 12),
        ("steps_to(val/accuracy >= 0.95)", float("inf")),
        ("range(val/accuracy)", 0.8),
        ("range(val/accuracy@1)", 0.3),
        ("val/accuracy@1", 0.6),
        ("val/accuracy@last", 0.85),
    ],
)
def test_a_measure_sees_what_lies_between_epochs(
    tmp_path: Path, measure: str, value: float
) -> None:
    folder = measured_inside(tmp_path / "run")
    assert value_in(folder, parse_measure(measure)) == pytest.approx(value)


def test_a_mean_curve_has_every_point(tmp_path: Path) -> None:
    folders = [measured_inside(tmp_path / name) for name in "ab"]
    line = mean_of(folders, "val/accuracy")
    assert line.epochs.tolist() == [epoch for epoch, *_ in EVERY_4]
    assert line.steps.tolist() == [step for _, step, _ in EVERY_4]
    assert line.mean.tolist() == pytest.approx([value for *_, value in EVERY_4])


@pytest.mark.parametrize(("measure", "way"), [("epochs_to", 0.4), ("steps_to", 4)])
def test_a_difference_is_no_finer_than_the_way_between_measurements(
    tmp_path: Path, measure: str, way: float
) -> None:
    said = claim("a < b", f"{measure}(val/accuracy >= 0.5)")
    evidence = made_up(tmp_path, [said], {arm: [{"val/accuracy": 0.85}] * 2 for arm in "ab"})
    for run in ("a-0", "a-1", "b-0", "b-1"):
        rmtree(tmp_path / run)
        measured_inside(tmp_path / run)
    (comparison,) = evidence.study.claims[0].comparisons
    assert resolution(evidence, comparison, parse_measure(said["measure"])) == pytest.approx(way)
