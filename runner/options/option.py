"""What every option of every config group is: a frozen model whose fields are checked strictly.

An option is one class: its settings (the keys of its YAML file, with their ranges) and a method that
builds the object they describe. Nothing here imports torch, so that a configuration is checked in a
fraction of a second; the build methods import what they need.
"""

import inspect
import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Option(BaseModel):
    """A frozen set of settings: no unknown keys, no type conversions, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Its JSON Schema, with what the docstring says of the option and of each setting."""
        found = handler(schema)
        node = handler.resolve_ref_schema(found)
        node["description"] = told(cls)
        for key, meaning in meanings(cls).items():
            if key in node["properties"]:
                node["properties"][key]["description"] = meaning
        return found


def told(kind: type[Option]) -> str:
    """What an option's docstring says of it as a whole."""
    return _parts(kind)[0]


def meanings(kind: type[Option]) -> dict[str, str]:
    """What the settings of an option mean: the attributes in its docstring and those of its bases."""
    found: dict[str, str] = {}
    for above in reversed(kind.__mro__):
        if issubclass(above, Option):
            found |= _parts(above)[1]
    return found


def _parts(kind: type[Option]) -> tuple[str, dict[str, str]]:
    text = inspect.cleandoc(vars(kind).get("__doc__") or "")
    about, _, rest = text.partition("\nAttributes:\n")
    section = re.split(r"\n(?=\S)", rest)[0]  # up to the next heading
    entries = re.findall(r"^ {4}([\w, ]+): ((?:.|\n {5,})*)", section, re.MULTILINE)
    meanings = {
        key: " ".join(meaning.split()) for keys, meaning in entries for key in keys.split(", ")
    }
    return about.strip(), meanings


Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]  # in [0, 1)
Count = Annotated[int, Field(ge=1, lt=2**63)]

# A YAML list becomes a tuple, so that an option is hashable; what it holds is checked strictly.
Counts = Annotated[tuple[Count, ...], Field(strict=False)]
