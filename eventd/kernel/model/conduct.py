"""How a peer has behaved: after each offence it is left alone for a while, longer each time. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = 2.0
LONGEST = 300.0
FORGIVEN = 600.0
"""Seconds without an offence after which it is as if there had been none."""


@dataclass(slots=True)
class Conduct:
    """One peer's."""

    offences: int = 0
    """In a row."""
    until: float = 0.0
    """When it is spoken to again."""

    def offended(self, now: float) -> float:
        """Note an offence; return for how many seconds the peer is left alone: 2, 4, 8, … up to 300."""
        self.offences = 1 if now - self.until > FORGIVEN else self.offences + 1
        pause = min(FIRST * 2.0 ** min(self.offences - 1, 16), LONGEST)
        self.until = now + pause
        return pause

    def left(self, now: float) -> float:
        """Return for how many seconds more it is left alone."""
        return max(0.0, self.until - now)
