"""What every option of every config group is: a frozen model whose fields are checked strictly.

An option is one class: its settings (the keys of its YAML file, with their ranges) and a method that
builds the object they describe. Nothing here imports torch, so that a configuration is checked in a
fraction of a second; the build methods import what they need.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Option(BaseModel):
    """A frozen set of settings: no unknown keys, no type conversions, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]  # in [0, 1)
Count = Annotated[int, Field(ge=1, lt=2**63)]

# A YAML list becomes a tuple, so that an option is hashable; what it holds is checked strictly.
Counts = Annotated[tuple[Count, ...], Field(strict=False)]
