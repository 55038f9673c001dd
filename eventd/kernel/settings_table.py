"""The base of the tables of eventd.toml: a pydantic model that refuses unknown keys."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from eventd.kernel.model.durations import parse_duration


def seconds(value: object) -> object:
    """Return a duration in seconds. Raises ValueError."""
    return parse_duration(value)


def _optional_seconds(value: object) -> object:
    return None if value == "off" else seconds(value)


Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=86400)]
OptionalSeconds = Annotated[
    Annotated[float, Field(ge=10, le=86400)] | None, BeforeValidator(_optional_seconds)
]


class Table(BaseModel):
    """The base of all tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    live: ClassVar[bool] = False
    """A reload applies changes. Otherwise the daemon logs that it has to be restarted."""
