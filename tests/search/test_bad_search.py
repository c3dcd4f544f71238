"""Mistakes in a search are told before anything is trained: the place, what was found, what to write instead."""

import re
from pathlib import Path

import pytest
from conftest import Command

SEARCH = """# @package _global_
name: s
epochs: 9
search:
  space:
    optimizer.lr: {log: [1e-4, 1.0]}
  trials: 9
  stop: halving
"""
SPACE = "search.space"
LR, TRIALS, STOP = "    optimizer.lr: {log: [1e-4, 1.0]}", "  trials: 9", "  stop: halving"
# What is written in place of a line, the line of the file that is named, and what is told of it.
MISTAKES = {
    "a key that does not exist": (
        LR, "    optimizer.lrr: {log: [1e-4, 1.0]}",
        6, f"{SPACE}.optimizer.lrr: unknown key 'lrr'; did you mean 'lr'?",
    ),
    "an empty range": (
        LR, "    optimizer.lr: {log: [0.1, 0.1]}", 6, "[0.1, 0.1] is a single value",
    ),
    "a reversed range": (
        LR, "    optimizer.lr: {uniform: [1.0, 0.1]}", 6, "is reversed; write [0.1, 1]",
    ),
    "the logarithm of 0": (
        LR, "    optimizer.lr: {log: [0.0, 1.0]}", 6, "has no logarithm; begin above 0",
    ),
    "a range that a setting does not allow": (
        LR, "    regularizer.dropout: {uniform: [0.0, 1.5]}",
        6, f"{SPACE}.regularizer.dropout: 1.5: must be less than 1",
    ),
    "a number that must be whole": (
        LR, "    batch_size.size: {log: [8, 64]}", 6, f"{SPACE}.batch_size.size: 8.0: ",
    ),
    "no choice": (LR, "    optimizer.lr: {choice: []}", 6, "at least 1 item"),
    "a choice twice": (LR, "    optimizer.lr: {choice: [0.1, 0.1]}", 6, "each value once"),
    "a kind that does not exist": (
        LR, "    optimizer.lr: {logg: [0.1, 1]}", 6, "unknown kind 'logg'; did you mean 'log'?",
    ),
    "two kinds": (
        LR, "    optimizer.lr: {log: [0.1, 1], choice: [1]}", 6, "must have exactly one of log,",
    ),
    "a list": (LR, "    optimizer.lr: [0.1, 1.0]", 6, "write {choice: ...} or {log: ...}"),
    "a number": (LR, "    optimizer.lr: 0.1", 6, "write {choice: [0.1]} or {log: [from, to]}"),
    "an option that does not exist": (
        LR, "    optimizer: {choice: [sgd, adamm]}",
        6, f"{SPACE}.optimizer: unknown optimizer 'adamm'; did you mean 'adam'?",
    ),
    "a range of options": (LR, "    optimizer: {log: [1, 2]}", 6, "a group has options; write {choice"),
    "a key that one option has": (
        LR, "    optimizer: {choice: [sgd, adam]}\n    optimizer.beta2: {choice: [0.9]}",
        7, "sgd has no such setting; optimizer@adam.beta2 asks for it only with adam",
    ),
    "a key of an option that is never chosen": (
        LR, "    optimizer: {choice: [sgd, momentum]}\n    optimizer@adam.beta2: {choice: [0.9]}",
        7, "optimizer=adam is never chosen here, only sgd, momentum",
    ),
    "a key that the search sets": (LR, "    epochs: {choice: [1, 2]}", 5, "'epochs' is not for searching"),
    "a word that is no key": (LR, "    ++optimizer.lr: {choice: [1, 2]}", 5, "'++optimizer.lr' is no key"),
    "a launcher": (LR, "    hydra/launcher: {choice: [basic]}", 5, "'hydra/launcher' is no key"),
    "a setting of Hydra's": (LR, "    hydra.launcher.width: {choice: [2]}", 5, "is not for searching"),
    "a choice that is a sweep": (
        LR, "    optimizer: {choice: ['sgd,adam', sgd]}",
        6, f"{SPACE}.optimizer: unknown optimizer 'sgd,adam'; did you mean",
    ),
    "a choice outside its folder": (
        LR, "    optimizer: {choice: [../../x, sgd]}", 6, f"{SPACE}.optimizer: unknown optimizer '../../x'",
    ),
    "an environment variable": (LR, "    name: {choice: ['${oc.env:HOME}']}", 6, "${oc.env:HOME}"),
    "no space": (LR, "    {}", 5, "at least 1 item"),
    "the test split": (TRIALS, "  trials: 9\n  by: test/error", 8, "'test/error': the test split is not for choosing"),
    "a metric that does not exist": (
        TRIALS, "  trials: 9\n  by: val/lss", 8, "unknown metric 'val/lss'; did you mean 'val/loss'?",
    ),
    "more rungs than epochs": (
        STOP, "  stop: halving\n  first_rung: 4",
        9, "search.first_rung: no rung before the end: 4 × eta=3 epochs are more than epochs=9; epochs=12",
    ),
    "trials under a bracket's need": (
        TRIALS, "  trials: 8",
        7, "search.trials: 8 are too few: halving needs 9, for one of eta=3 is kept after epoch 1, 3; trials=9",
    ),
    "trials under all brackets' need": (
        STOP, "  stop: hyperband", 7, "9 are too few: hyperband needs 13, for",
    ),
    "trials under a grid's need": (
        TRIALS, "  trials: 1\n  sampler: grid", 7, "1 are too few for a grid with two values of each range",
    ),
    "the lecture's sampler without η": (
        LR, "    regularizer.l2: {log: [1e-6, 1e-2]}\n  sampler: lecture",
        5, "sampler=lecture tries decades of η: optimizer.lr",
    ),
    "a sampler that does not exist": (TRIALS, "  trials: 9\n  sampler: nsga", 8, "must be 'random'"),
    "a key of the search that does not exist": (TRIALS, "  trials: 9\n  trails: 3", 8, "unknown key 'trails'; did you mean 'trials'?"),
    "an eta of 1": (STOP, "  stop: halving\n  eta: 1", 9, "must be greater than or equal to 2"),
    "an abort that ends all": (STOP, "  stop: halving\n  abort: 1.0", 9, "must be greater than 1"),
}  # fmt: skip


def told(command: Command, text: str, *words: str) -> str:
    folder = Path("conf/experiment")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "s.yaml").write_text(text)
    ended = command("--config-dir", "conf", "+experiment=s", *words)
    assert ended.code == 2, ended
    assert not ended.out and not Path("outputs").exists()
    assert 0 < ended.err.count("\n") <= 6 and "Traceback" not in ended.err
    return ended.err


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place(command: Command, mistake: str) -> None:
    line, written, number, message = MISTAKES[mistake]
    found = told(command, SEARCH.replace(line, written))
    assert message in found, found
    assert re.search(rf"conf/experiment/s\.yaml:{number}: (search|\S+: \$)", found), found


def test_words_of_the_command_line_are_the_place_of_their_mistakes(command: Command) -> None:
    few = told(command, SEARCH, "search.trials=3")
    assert "search.trials=3: 3 are too few: halving needs 9" in few
    assert "search.by=test/loss: 'test/loss'" in told(command, SEARCH, "search.by=test/loss")
    assert "leave out -m" in told(command, SEARCH, "hydra.mode=MULTIRUN", "seed=0,1")
    study = "study={question: q, source: s, seeds: 1, arms: {a: []}}"
    assert "a study or a search" in told(command, SEARCH, study)
