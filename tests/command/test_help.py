"""--help: every group, option and setting, with what they mean and what they may be."""

import re
from pathlib import Path

import pytest
from conftest import Command

from runner.command.help import range_of

CONF = Path(__file__).parents[2] / "conf"
GROUPS = [path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"]


def test_help_lists_every_group_and_option(command: Command) -> None:
    code, out, _ = command("--help")
    assert code == 0
    for group in GROUPS:
        (listed,) = re.findall(rf"^{group.name}: (.*(?:\n  .*)*)", out, re.MULTILINE)
        assert listed.replace("\n ", "").split(", ") == sorted(f.stem for f in group.glob("*.yaml"))


@pytest.mark.parametrize("words", [[], ["optimizer=adam"], *([group.name] for group in GROUPS)])
def test_it_is_readable_in_eighty_columns(command: Command, words: list[str]) -> None:
    code, out, err = command("--help", *words)
    assert (code, err) == (0, "") and out
    # A link is not broken.
    assert max(len(line) for line in out.splitlines() if len(line.split()) > 1) <= 80


def test_every_setting_has_its_value_meaning_and_range(command: Command) -> None:
    plain = " ".join(command("--help").out.split())
    config = command("--cfg", "job").out
    keys = re.findall(r"^(?:  )?(\w+): ?\S+$", config, re.MULTILINE)
    assert len(keys) > 35
    assert not [key for key in keys if key != "name" and f"{key}=" not in plain]
    for line in (
        "optimizer.lr=0.1 η. A number above 0.",
        "epochs=30 Passes over the training split. An integer of at least 1.",
        "architecture.hidden=[100] The widths",
        "A list of integers of at least 1.",
        "trainer.tf32=false Matrix products of a GPU in TensorFloat-32. True or false.",
        "batch_size.size=32 The number, or full. An integer of at least 1 or full.",
        "optimizer=sgd: w ← w − ηg.",
    ):
        assert line in plain
    adam = " ".join(command("--help", "optimizer=adam", "optimizer.beta1=0.5").out.split())
    assert "optimizer=adam: m ← β₁m" in adam
    assert "optimizer.beta1=0.5 β₁, how much of the average of g a step keeps." in adam


def test_of_a_group_it_tells_all_options(command: Command) -> None:
    out = command("--help", "schedule", "loss").out
    assert "schedule=cosine: " in out and "loss=quadratic: " in out and "optimizer" not in out
    assert "optimizer=lion: Lion" not in command("--help", "optimizer").out
    told = command("--help", "regularizer").out
    assert told.count("Batch normalisation before") == 1
    assert re.search(r"regularizer=l2: .*\n(  .*\n)*?.*regularizer.l2=0.0001", told)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("optimizr", "no such group; did you mean 'optimizer'?"),
        ("xyzzy", "no such group. Known: architecture, batch_size,"),
    ],
)
def test_of_what_is_no_group_it_tells_the_nearest(command: Command, word: str, said: str) -> None:
    code, out, err = command("--help", word)
    assert (code, out) == (2, "") and f"--help {word}: {said}" in err


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "number", "exclusiveMinimum": 0}, "a number above 0"),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "a number in [0, 1)"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "a number in (0, 1]"),
        ({"type": "number", "maximum": 2}, "a number of at most 2"),
        ({"type": "integer", "minimum": 0, "exclusiveMaximum": 2**63}, "an integer of at least 0"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "an integer or null"),
        ({"enum": ["a", "b"]}, "one of a, b"),
        (
            {"type": "array", "items": {"type": "number"}, "minItems": 2},
            "a list of at least 2 numbers",
        ),
        ({"type": "array"}, "an empty list"),
        ({"anyOf": [{"$ref": "#/$defs/Study"}, {"type": "null"}]}, ""),
    ],
)
def test_ranges_in_words(schema: dict[str, object], words: str) -> None:
    assert range_of(schema) == words
