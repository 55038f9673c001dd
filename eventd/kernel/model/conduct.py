"""The conduct of a peer: after each offence it is avoided for a while, longer each time. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = 2.0
LONGEST = 300.0
FORGIVEN = 600.0
"""Seconds without an offence after which the count restarts."""


@dataclass(slots=True)
class Conduct:
    """The conduct of one peer."""

    offences: int = 0
    """In a row."""
    until: float = 0.0
    """Until when it is avoided."""

    def offended(self, now: float) -> float:
        """Record an offence. Return for how many seconds the peer is avoided: 2, 4, 8, … up to 300."""
        self.offences = 1 if now - self.until > FORGIVEN else self.offences + 1
        pause = min(FIRST * 2.0 ** min(self.offences - 1, 16), LONGEST)
        self.until = now + pause
        return pause

    def left(self, now: float) -> float:
        """Return for how many more seconds it is avoided."""
        return max(0.0, self.until - now)
