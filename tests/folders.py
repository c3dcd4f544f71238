"""What commands in real processes have left below outputs/."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from processes import TINY, Child

from runner.runs.folder import RunFolder

EVERY_EPOCH = "trainer.checkpoint_seconds=0"
LAUNCHERS = {"basic": ["hydra/launcher=basic"], "stacked": ["hydra.launcher.width=6"]}
WORDS = ["epochs=3", "optimizer=adam", EVERY_EPOCH, *TINY]
FILES = ("status.json", "result.json", "metrics.jsonl", "config.yaml")
SIX = ["-m", "seed=0,1,2,3,4,5", "epochs=3", EVERY_EPOCH, *TINY]


def statuses(root: Path) -> list[str | None]:
    """Of the six runs, by seed; None for a run that was not started."""
    found = {json.loads(p.read_text())["seed"]: p.parent for p in configs(root)}
    return [RunFolder(found[seed]).status if seed in found else None for seed in range(6)]


def configs(root: Path) -> Iterator[Path]:
    import yaml

    for path in root.glob("outputs/runs/*-*/config.yaml"):
        (path.parent / "seed.json").write_text(json.dumps(yaml.safe_load(path.read_text())))
        yield path.parent / "seed.json"


def table(root: Path) -> list[dict[str, str]]:
    with (root / "outputs/runs/sweep.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def only_folder(root: Path) -> RunFolder:
    (path,) = root.glob("outputs/runs/*-*")
    return RunFolder(path)


def begun_or_ended(root: Path, child: Child) -> bool:
    found = (json.loads(path.read_text()) for path in root.glob("outputs/runs/*-*/status.json"))
    return child.process.exitcode is not None or any(s["pid"] == child.process.pid for s in found)
