"""The JSON Schema for editors: it accepts what the runner accepts, and marks what is misspelt."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from omegaconf import OmegaConf

from runner.json_schema import json_schema, main

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "conf" / "experiment").glob("*.yaml"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    (page.name, block)
    for page in PAGES
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema()


def mistakes(schema: dict[str, Any], text: str) -> list[str]:
    values = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    return [error.message for error in Draft202012Validator(schema).iter_errors(values)]


def test_it_is_one(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    json.dumps(schema, allow_nan=False)
    assert "required" not in schema  # an experiment leaves out what it does not change
    assert schema["additionalProperties"] is False
    groups = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()}
    assert groups - {"experiment"} <= schema["properties"].keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_accepts_every_experiment(schema: dict[str, Any], file: Path) -> None:
    assert not mistakes(schema, file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("page", "text"), BLOCKS, ids=[page for page, _ in BLOCKS])
def test_it_accepts_what_the_pages_show(schema: dict[str, Any], page: str, text: str) -> None:
    assert not mistakes(schema, text)


def study(changed: str) -> str:
    return f"""study:
  question: q
  source: s
  seeds: 2
  {changed if changed.startswith("arms:") else f"arms: {ARMS}"}
  {"" if changed.startswith("arms:") else changed}
"""


ARMS = "{a: [optimizer=sgd], b: [optimizer.lr=0.3]}"


RIGHT = [
    "optimizer: {lr: 0.1}",  # of whatever optimizer is chosen
    "optimizer: {name: adam, beta1: 0.5}",
    "regularizer: {l2: 1.0e-4, max_norm: null}",
    "batch_size: {size: full}",
    "hydra: {launcher: {width: 8}, mode: MULTIRUN}",
    "defaults: [override /optimizer: adam, adam_bn, _self_]",
    study("arms: {c: [++epochs=3, regularizer.l2=0.1]}"),
    study("claims: [{says: s, measure: gradient_std/1@0 / gradient_std/5@0, expect: 0.1 * a < b}]"),
    study("claims: [{says: s, measure: epochs_to(val/accuracy >= 0.9), expect: a < 3 < b}]"),
    study("claims: [{says: s, measure: range(train/loss@2), expect: members(a) ~ b, margin: 0.1}]"),
    study("claims: [{says: s, measure: test/error - val/loss, expect: a > -1e-3}]"),
]
WRONG = [
    "optimiser: {lr: 0.1}",
    "optimizer: {lrr: 0.1}",
    "optimizer: {name: adm}",
    "optimizer: {name: sgd, beta1: 0.9}",
    "optimizer: {lr: -0.1}",
    "optimizer: adam",
    "epochs: 1.5",
    "seed: one",
    "architecture: {activation: swish}",
    "regularizer: {dropout: 1.0}",
    "batch_size: {size: half}",
    "defaults: [override /optimizer: adm]",
    "defaults: [override /optimiser: adam]",
    "defaults: [overide /optimizer: adam]",
    "defaults: [adam_nb]",
    "defaults: [{override /optimizer: adam, override /init: normal}]",
    "hydra: {callbacks: {}}",
    study("arm: {a: []}"),
    study("arms: {a: [optimiser=sgd]}"),
    study("arms: {a: [optimizer=sdg]}"),
    study("arms: {a: [optimizer.lrr=0.1]}"),
    study("arms: {a: [seed=3]}"),
    study("arms: {a: optimizer=sgd}"),
    study("tune: {optimizer.lrr: [0.1]}"),
    study("tune: {optimizer.lr: 0.1}"),
    study("tune_by: val/acuracy"),
    study("claims: [{says: s, measure: test/eror, expect: a < b}]"),
    study("claims: [{says: s, measure: saturation, expect: a < b}]"),
    study("claims: [{says: s, measure: epoch_to(val/loss <= 1), expect: a < b}]"),
    study("claims: [{says: s, measure: epochs_to(val/loss), expect: a < b}]"),
    study("claims: [{says: s, measure: test/error, expect: a = b}]"),
    study("claims: [{says: s, measure: test/error, expect: a}]"),
    study("claims: [{says: s, measure: test/error}]"),
    study("claims: [{say: s, measure: test/error, expect: a < b}]"),
]


@pytest.mark.parametrize("text", RIGHT)
def test_it_accepts(schema: dict[str, Any], text: str) -> None:
    assert not mistakes(schema, text)


@pytest.mark.parametrize("text", WRONG)
def test_it_rejects(schema: dict[str, Any], text: str) -> None:
    assert mistakes(schema, text)


def settings(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for group, node in schema["properties"].items():
        for member in node.get("anyOf", [node]):
            if "$ref" in member:
                member = schema["$defs"][member["$ref"].rpartition("/")[2]]
            for key, setting in member.get("properties", {}).items():
                yield f"{group}.{key}", setting


def test_every_setting_says_what_it_is(schema: dict[str, Any]) -> None:
    found = [(key, setting) for key, setting in settings(schema) if key.split(".")[0] != "hydra"]
    assert len(found) > 80
    for key, setting in found:
        assert setting["title"], key
        assert "description" in setting or key.endswith(".name"), key
        if key.split(".")[0] not in (
            "study",
            "search",
            "defaults",
            "data",
        ):  # data sets share classes
            assert "default" in setting or "const" in setting, key
    adam = dict(settings(schema))["optimizer.beta1"]
    assert (adam["default"], adam["minimum"], adam["exclusiveMaximum"]) == (0.9, 0, 1)


def test_it_knows_what_is_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "base.yaml").write_text("# @package _global_\n")
    assert main(["--config-dir", str(tmp_path / "mine")]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert not mistakes(schema, "defaults: [base]")
    assert main(["--config-dir", str(tmp_path / "other")]) == 2
    assert "no such folder" in capsys.readouterr().err
