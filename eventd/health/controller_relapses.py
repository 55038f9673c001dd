"""Relapses: how often each workload went wrong by itself of late, and for how long it has to be well to count as well.

Owns that memory, and nothing else. What goes wrong once and is well again counts as well at once; what does so over and
over has to stay well for longer each time, so that a state that flaps is told a few times and not for ever.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

FORGET = 600.0
"""Seconds of quiet after which the count begins anew."""
KEPT = 8
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0


@dataclass(slots=True)
class _Row:
    times: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    """Loop times at which it went wrong."""
    bad: bool = False
    well_since: float | None = None
    """Since when it has been well again; None: it is not, or it counts as well."""
    taken: bool = False
    """That it counts as well by now has been said; the next look takes it in."""


@dataclass(slots=True)
class Relapses:
    """Of one kind of trouble. `free`: how many times within FORGET cost nothing."""

    free: int = 1
    rows: dict[str, _Row] = field(default_factory=dict)

    def count(self, name: str, now: float) -> int:
        """Return how often it went wrong within FORGET seconds."""
        row = self.rows.get(name)
        return sum(now - at < FORGET for at in row.times) if row is not None else 0

    def fell(self, name: str, now: float) -> int:
        """It went wrong (again) just now; return how often it has of late."""
        row = self.rows.setdefault(name, _Row())
        row.times.append(now)
        row.bad, row.well_since = True, None
        return self.count(name, now)

    def is_ill(self, name: str, now: float) -> int:
        """It is found to be wrong: counted where it was well before. Returns how often it has been of late."""
        row = self.rows.get(name)
        if row is None or not row.bad or row.well_since is not None:
            return self.fell(name, now)
        return self.count(name, now)

    def is_well(self, name: str, now: float) -> float:
        """It is found to be well; return for how many more seconds it has to be, until it counts as well."""
        row = self.rows.get(name)
        if row is None or not row.bad:
            return 0.0
        if row.well_since is None:
            row.well_since, row.taken = now, False
        left = row.well_since + self._pause(self.count(name, now)) - now
        if left > 0:
            return left
        row.bad, row.well_since = False, None
        return 0.0

    def forget(self, name: str) -> None:
        """Another content, or an operator's request: it gets another chance."""
        self.rows.pop(name, None)

    def next_due(self) -> float | None:
        """Return the loop time at which the next one counts as well, if it stays so."""
        return min((at for _, at in self._due()), default=None)

    def take_due(self, now: float) -> list[str]:
        """Return which count as well by now, each once."""
        due = [name for name, at in self._due() if at <= now]
        for name in due:
            self.rows[name].taken = True
        return due

    def _due(self) -> list[tuple[str, float]]:
        return [
            (name, row.well_since + self._pause(self.count(name, row.well_since)))
            for name, row in self.rows.items()
            if row.bad and row.well_since is not None and not row.taken
        ]

    def _pause(self, count: int) -> float:
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (count - self.free - 1)) if count > self.free else 0.0
