"""The base of the tables of eventd.toml: a pydantic model that refuses unknown keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import ErrorDetails

from eventd.kernel.model.durations import parse_duration
from eventd.kernel.model.names import did_you_mean


def seconds(value: object) -> object:
    """Return a duration in seconds. Raises ValueError."""
    return parse_duration(value)


def _optional_seconds(value: object) -> object:
    return None if value == "off" else seconds(value)


Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=86400)]
OptionalSeconds = Annotated[
    Annotated[float, Field(ge=10, le=86400)] | None, BeforeValidator(_optional_seconds)
]


def place(name: str, location: tuple[int | str, ...], lines: Mapping[tuple[str | int, ...], int]) -> str:
    """Return file and line of a key; for a missing one, those of its table. `lines`: `toml_lines.locate`."""
    known = (lines.get(location[:length]) for length in range(len(location), 0, -1))
    line = next((each for each in known if each), 0)
    return f"{name}:{line}" if line else name


def mistake(row: ErrorDetails, table: type[BaseModel]) -> str:
    """Return what is wrong with a key of `table`, without its value, which may be a secret."""
    if row["type"] == "missing":
        return "required, but missing"
    if row["type"] == "extra_forbidden":
        near = did_you_mean(str(row["loc"][-1]), table.model_fields)
        return f"unknown key{': ' + near if near else ''}"
    return row["msg"].removeprefix("Value error, ")


class Table(BaseModel):
    """The base of all tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    live: ClassVar[bool] = False
    """A reload applies changes. Otherwise the daemon logs that it has to be restarted."""
