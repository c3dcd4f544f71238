from typing import Any

import pytest
import torch

from runner.data.inputs import Inputs
from runner.errors import DataError

GOOD: dict[str, Any] = {
    "shape": (1, 2, 2), "scale": torch.tensor(0.5), "shift": torch.zeros(1, 2, 2), "class_names": ("a", "b"),
    "black": 0.0, "white": 255.0, "mean": 30.0, "bytes": True,
}  # fmt: skip


def test_what_is_saved_is_read() -> None:
    saved = Inputs.read(GOOD).saved()
    assert saved.keys() == GOOD.keys()
    assert all(torch.equal(saved[key], GOOD[key]) for key in ("scale", "shift"))
    assert all(saved[key] == GOOD[key] for key in GOOD if key not in ("scale", "shift"))
    assert Inputs.read(GOOD | {"class_names": None}).class_names is None


@pytest.mark.parametrize(
    "forged",
    [
        {"shape": (1, 2)}, {"shape": (1, 2, -2)}, {"shape": (1, True, 2)}, {"shape": "abc"}, {"shape": None},
        {"scale": torch.zeros(3)}, {"scale": torch.tensor(1)}, {"scale": 1.0}, {"shift": torch.tensor(float("nan"))},
        {"class_names": ()}, {"class_names": (1, 2)}, {"class_names": 3}, {"white": float("inf")}, {"mean": "x"},
        {"another": 1},
    ],
    ids=str,
)  # fmt: skip
def test_anything_else_is_refused_in_a_line(forged: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"^inputs: [^\n]+$"):
        Inputs.read(GOOD | forged)
    with pytest.raises(DataError):
        Inputs.read([1])  # type: ignore[arg-type]
