"""Studies with runs whose numbers a test makes up, in the files that real runs leave."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runner.runs.folder import RunFolder
from runner.studies.evidence import Evidence
from runner.studies.record import Arm, Point, Record

Metrics = Mapping[str, float]
DIVERGED: Metrics = {}
FIELDS: dict[str, Any] = {
    "name": "s", "run": "r", "seed": 0, "best_epoch": None, "parameters": 10, "device": "cpu",
    "precision": "32-true", "threads": 1, "train_seconds": 0.5, "samples_per_second": 9.0,
    "updates_per_second": 3.0, "config_hash": "0", "git_commit": None, "versions": {},
}  # fmt: skip


def write_run(path: Path, final: Metrics, curve: Sequence[Metrics] = ()) -> None:
    """A finished run's files.

    Args:
        path: Its folder.
        final: Its metrics in result.json; DIVERGED for a run that did.
        curve: Its metrics after each epoch, from 0; a step is a tenth of an epoch.
    """
    path.mkdir(parents=True)
    status = "complete" if final else "diverged"
    curve = curve or [{}]
    lines = [
        {"epoch": epoch, "step": 10 * epoch, "seconds": 1.0 * epoch, **metrics}
        for epoch, metrics in enumerate(curve)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (path / "metrics.jsonl").write_text(text)
    ended = {"status": status, "epochs": len(curve) - 1, "steps": 10 * len(curve) - 10}
    (path / "result.json").write_text(json.dumps({**FIELDS, **ended, **final}))
    (path / "status.json").write_text(json.dumps({"status": status}))


def write_predictions(path: Path, wrong: Sequence[int], n: int) -> None:
    """Predictions of two classes, wrong in these of n examples."""
    right = np.ones(n, dtype=np.int64)
    right[list(wrong)] = 0
    RunFolder(path).write_predictions(
        {"probabilities": np.eye(2, dtype=np.float32)[right], "labels": np.ones(n, dtype=np.int64)}
    )


def claim(expect: str, measure: str = "val/loss", **settings: Any) -> dict[str, Any]:
    return {"says": expect, "measure": measure, "expect": expect, **settings}


def made_up(
    folder: Path,
    claims: Sequence[dict[str, Any]],
    arms: Mapping[str, Sequence[Metrics | tuple[Metrics, Sequence[Metrics]]]],
    **settings: Any,
) -> Evidence:
    """A study with a run of each arm and seed, given by its final metrics, or by these and its curve."""
    seeds = max(map(len, arms.values()))
    recorded = {}
    for arm, runs in arms.items():
        names = {seed: f"{arm}-{seed}" for seed in range(len(runs))}
        for seed, run in enumerate(runs):
            final, curve = run if isinstance(run, tuple) else (run, ())
            write_run(folder / names[seed], final, curve)
        recorded[arm] = arm_of(names)
    return recorded_study(folder, claims, recorded, seeds, **settings)


def arm_of(runs: dict[int, str], swept: Sequence[Point] = (), **settings: Any) -> Arm:
    values = {"overrides": [], "settings": {}, "chosen": {}, "candidates": [], "notes": []}
    return Arm.model_validate({**values, "runs": runs, "swept": list(swept), **settings})


def recorded_study(
    folder: Path,
    claims: Sequence[dict[str, Any]],
    arms: dict[str, Arm],
    seeds: int,
    **settings: Any,
) -> Evidence:
    study = {
        "question": "Is it so?",
        "source": "here",
        "seeds": seeds,
        "arms": {arm: [] for arm in arms},
        "claims": list(claims),
        **settings,
    }
    values = {"command": "python -m runner", "study": study}
    text = json.dumps({**values, "arms": {n: a.model_dump(mode="json") for n, a in arms.items()}})
    return Evidence(folder, Record.model_validate_json(text))
