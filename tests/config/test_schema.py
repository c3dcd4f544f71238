"""What a run is: the settings that decide its numbers."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.config.schema import Config
from runner.data.fingerprint import forget

CONF = Path(__file__).parents[2] / "conf"


def read(path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CONF / path).read_text())
    return found


def plain(**changed: Any) -> Config:
    """The defaults, composed by hand."""
    values = read("config.yaml")
    for entry in values.pop("defaults"):
        for group, option in entry.items() if isinstance(entry, dict) else ():
            if " " not in group:
                values[group] = read(f"{group}/{option}.yaml")
    for key, value in changed.items():
        group, _, rest = key.partition("__")
        values[group] = values[group] | {rest: value} if rest else value
    return Config.model_validate(values)


OTHER_RUNS = {
    "seed": 1, "epochs": 31, "select": "best", "data__val_size": 301, "data__train_size": 1,
    "optimizer__lr": 0.2, "batch_size__size": "full", "trainer__precision": "bf16-mixed",
    "trainer__tf32": True, "diagnostics__layers": True,
}  # fmt: skip
SAME_RUN = {
    "name": "x", "resume": False, "fail_fast": True, "data__root": "/", "trainer__threads": 3,
    "trainer__accelerator": "cpu", "trainer__checkpoint_seconds": 0.0, "trainer__progress": False,
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), OTHER_RUNS.items())
def test_what_makes_another_run(key: str, value: object) -> None:
    assert plain(**{key: value}).digest != plain().digest


@pytest.mark.parametrize(("key", "value"), SAME_RUN.items())
def test_what_does_not(key: str, value: object) -> None:
    assert plain(**{key: value}).digest == plain().digest


def test_one_example_is_not_all_of_them() -> None:
    assert plain(data__train_size=1).digest != plain(data__train_size=1.0).digest


def test_the_hash_is_the_start_of_the_digest() -> None:
    config = plain()
    assert len(config.digest) == 64 and config.digest.startswith(config.hash)
    assert len(config.hash) == 16
    changed = config.model_copy(update={"seed": 1})
    assert changed.digest == plain(seed=1).digest


def test_two_seeds_that_share_eight_digits_do_not_share_sixteen() -> None:
    one, other = (plain(seed=seed, data__train_size=64, epochs=1) for seed in (2890, 60234))
    former = [config.former_digest or "" for config in (one, other)]
    assert former[0][:8] == former[1][:8] == "65e30ec1"  # as version 0.1 named both
    assert former[0][:16] != former[1][:16] and one.hash != other.hash


def test_other_bytes_are_another_run(tmp_path: Path) -> None:
    def digest(path: Path) -> str:
        forget()
        return plain(data=read("data/csv.yaml") | {"path": str(path), "target": 1}).digest

    table, same, other = (tmp_path / name for name in ("a.csv", "b.csv", "c.csv"))
    for path, text in ((table, "a,b\n1,2\n"), (same, "a,b\n1,2\n"), (other, "a,b\n1,3\n")):
        path.write_text(text)
    assert digest(table) == digest(same) != digest(other)
    first = digest(table)
    table.write_text("a,b\n1,4\n")
    assert digest(table) not in (first, digest(other))


def test_a_run_that_is_measured_inside_its_epochs_is_another_one() -> None:
    never, each, seldom = (plain(evaluate_every=steps) for steps in (None, 1, 10))
    assert len({never.digest, each.digest, seldom.digest}) == 3
    assert "evaluate_every" not in never.identity()  # as before there was the setting
    assert never.former_digest == plain().former_digest != each.former_digest
