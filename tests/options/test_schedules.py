"""Learning-rate schedules against closed forms."""

import math
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from runner.options import registry
from runner.options.schedules import factor

FILES = sorted((Path(__file__).parents[2] / "conf" / "schedule").glob("*.yaml"))
OPTIONS = registry.OPTIONS["schedule"]
STEPS, EPOCHS = 7, 10  # steps per epoch; epochs

# Settings, and the factor as a function of the step.
CLOSED_FORMS: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "constant": [({}, lambda step: 1.0)],
    "step": [
        (
            {"at": (0.5, 0.8), "gamma": 0.3},
            lambda step: 1.0 if step < 35 else 0.3 if step < 56 else 0.09,
        ),
        ({"at": (0.05,), "gamma": 2.0}, lambda step: 1.0 if step < 4 else 2.0),  # step 3.5
    ],
    "exponential": [({"gamma": 0.9}, lambda step: math.exp(step / 7 * math.log(0.9)))],
    "cosine": [
        ({"final": 0.0}, lambda step: math.cos(math.pi * step / 140) ** 2),
        ({"final": 0.2}, lambda step: 0.2 + 0.8 * math.cos(math.pi * step / 140) ** 2),
    ],
}


def option(name: str, warmup_epochs: float = 0.0, **settings: Any) -> Any:
    return OPTIONS[name](name=name, warmup_epochs=warmup_epochs, **settings)


@pytest.mark.parametrize("name", OPTIONS)
def test_closed_form(name: str) -> None:
    if name not in CLOSED_FORMS:
        pytest.fail(f"schedule '{name}' has no closed form in CLOSED_FORMS")
    for settings, expected in CLOSED_FORMS[name]:
        schedule = option(name, **settings)
        for step in range(STEPS * EPOCHS):
            assert factor(schedule, step, STEPS, EPOCHS) == pytest.approx(expected(step)), step


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(("warmup_epochs", "n"), [(1.0, 7), (3.0, 21), (2 / 7, 2), (1 / 7, 1)])
def test_warmup(name: str, warmup_epochs: float, n: int) -> None:
    """Linear from 1/n in the first step to 1 in the n-th, times the schedule; nothing afterwards."""
    settings, expected = CLOSED_FORMS[name][0]
    schedule = option(name, warmup_epochs, **settings)
    for step in range(STEPS * EPOCHS):
        ramp = (step + 1) / n if step < n else 1.0
        value = factor(schedule, step, STEPS, EPOCHS)
        assert value == pytest.approx(ramp * expected(step)), step


def test_cosine_ends() -> None:
    cosine = option("cosine", final=0.25)
    assert factor(cosine, 0, STEPS, EPOCHS) == 1
    assert factor(cosine, STEPS * EPOCHS // 2, STEPS, EPOCHS) == pytest.approx(0.625)
    assert factor(cosine, STEPS * EPOCHS, STEPS, EPOCHS) == pytest.approx(0.25)


def test_step_falls_at_the_very_step() -> None:
    """Though 0.55·100 is 55.00000000000001 in floating point."""
    for epoch in range(1, 100):
        schedule = option("step", at=(epoch / 100,), gamma=0.1)
        before, after = (factor(schedule, epoch * 9 + step, 9, 100) for step in (-1, 0))
        assert (before, after) == (1.0, 0.1), epoch


def test_is_a_pure_function_of_the_step() -> None:
    steps = list(range(STEPS * EPOCHS))
    for name, forms in CLOSED_FORMS.items():
        schedule = option(name, 2.0, **forms[0][0])
        in_order = {step: factor(schedule, step, STEPS, EPOCHS) for step in steps}
        random.Random(0).shuffle(steps)
        assert {step: factor(schedule, step, STEPS, EPOCHS) for step in steps} == in_order


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("constant", {"warmup_epochs": -1.0}),
        ("constant", {"gamma": 0.1}),
        ("step", {"at": (), "gamma": 0.1}),
        ("step", {"at": (1.0,), "gamma": 0.1}),
        ("step", {"at": (0.5,), "gamma": 0.0}),
        ("exponential", {"gamma": -0.1}),
        ("cosine", {"final": 1.0}),
    ],
)
def test_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        option(name, **settings)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files(file: Path) -> None:
    schedule = OPTIONS[file.stem].model_validate(yaml.safe_load(file.read_text()))
    assert schedule.name == file.stem
    assert factor(schedule, 0, STEPS, EPOCHS) == 1


def test_every_option_has_a_file() -> None:
    assert {file.stem for file in FILES} == OPTIONS.keys()
