"""What YAML and JSON can hold, and names that may stand in a claim."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypeAliasType

Value = TypeAliasType(
    "Value",
    "bool | Annotated[int, Field(ge=-(2**63), lt=2**63)] | float | str"
    " | list[Value] | dict[str, Value] | None",
)
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=40)]
