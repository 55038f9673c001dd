"""A line of the journal, and who said it."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Speaker(StrEnum):
    """Who said a line, by fields that journald sets itself."""

    PODMAN = "podman"
    HELPER = "helper"
    """conmon and pasta, for themselves."""
    COMPOSE = "compose"
    """eventd-compose, the program of a stack's unit."""
    CONTAINER = "container"
    """The container's own output, by way of conmon."""
    OTHER = "other"


class Said(str):
    """A journal line, who said it, and in which run of the unit (its invocation)."""

    __slots__ = ("by", "run")
    by: Speaker
    run: str

    def __new__(cls, text: str, by: Speaker = Speaker.OTHER, run: str = "") -> Self:
        """Make a line."""
        line = super().__new__(cls, text)
        line.by, line.run = by, run
        return line
