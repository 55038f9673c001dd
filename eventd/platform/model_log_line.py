"""A line of the journal, and what wrote it."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class LogSource(StrEnum):
    """What wrote a line, by fields that journald sets itself."""

    PODMAN = "podman"
    HELPER = "helper"
    """conmon or pasta, about themselves."""
    COMPOSE = "compose"
    """eventd-compose, the program of a stack's unit."""
    CONTAINER = "container"
    """The container's own output, which conmon forwards."""
    OTHER = "other"


class LogLine(str):
    """The text of a journal line, with what wrote it and the unit's invocation at the time."""

    __slots__ = ("invocation", "source")
    source: LogSource
    invocation: str

    def __new__(cls, text: str, source: LogSource = LogSource.OTHER, invocation: str = "") -> Self:
        """Make a line."""
        line = super().__new__(cls, text)
        line.source, line.invocation = source, invocation
        return line
