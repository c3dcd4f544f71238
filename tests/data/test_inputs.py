from typing import Any

import pytest
import torch

from runner.data.inputs import Inputs
from runner.errors import DataError

FACTS: dict[str, Any] = {
    "data": "mine", "shape": (1, 2, 2), "class_names": ("a", "b"), "low": 0.0, "high": 1.0, "mean": 0.5,
    "spread": 0.5,
}  # fmt: skip
GOOD: dict[str, Any] = {
    "facts": FACTS, "scale": torch.tensor(0.5), "shift": torch.zeros(1, 2, 2),
    "black": 0.0, "white": 255.0, "mean": 30.0, "bytes": True,
}  # fmt: skip


def test_what_is_saved_is_read() -> None:
    saved = Inputs.read(GOOD).saved()
    assert saved.keys() == GOOD.keys()
    assert all(torch.equal(saved[key], GOOD[key]) for key in ("scale", "shift"))
    assert all(saved[key] == GOOD[key] for key in GOOD if key not in ("scale", "shift"))
    assert Inputs.read(GOOD | {"facts": FACTS | {"class_names": None}}).class_names is None


@pytest.mark.parametrize(
    "forged",
    [
        {"facts": FACTS | {"shape": (1, 2)}}, {"facts": FACTS | {"shape": (1, 2, -2)}},
        {"facts": FACTS | {"shape": (1, True, 2)}}, {"facts": FACTS | {"shape": "abc"}},
        {"facts": FACTS | {"shape": None}}, {"facts": FACTS | {"class_names": ()}},
        {"facts": FACTS | {"class_names": (1, 2)}}, {"facts": FACTS | {"class_names": 3}},
        {"facts": FACTS | {"high": float("nan")}}, {"facts": FACTS | {"spread": "x"}}, {"facts": {}}, {"facts": 1},
        {"scale": torch.zeros(3)}, {"scale": torch.tensor(1)}, {"scale": 1.0}, {"shift": torch.tensor(float("nan"))},
        {"white": float("inf")}, {"mean": "x"}, {"another": 1},
    ],
    ids=str,
)  # fmt: skip
def test_anything_else_is_refused_in_a_line(forged: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"^inputs: [^\n]+$"):
        Inputs.read(GOOD | forged)
    with pytest.raises(DataError):
        Inputs.read([1])  # type: ignore[arg-type]
