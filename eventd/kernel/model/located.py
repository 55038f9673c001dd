"""A text with the place it was written in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Located:
    """A text and where it is written, for messages."""

    text: str
    file: str
    line: int
