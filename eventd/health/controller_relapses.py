"""Relapses: counts how often each workload failed recently, and how long it has to be well to count as recovered.

Owns only that memory. A workload that failed once has recovered as soon as it is well again. With each further failure
it has to stay well for longer, so that a flapping state is reported a few times and not forever.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

FORGET = 600.0
"""Seconds without a failure after which the count starts again."""
KEPT = 8
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0


@dataclass(slots=True)
class _Row:
    times: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    """Loop times of its failures."""
    bad: bool = False
    well_since: float | None = None
    """Since when it has been well again; None: it is not, or it has recovered."""
    taken: bool = False
    """`take_due` has returned it; the next assessment takes that in."""


@dataclass(slots=True)
class Relapses:
    """For one kind of failure. `free`: how many failures within FORGET cause no delay."""

    free: int = 1
    rows: dict[str, _Row] = field(default_factory=dict)

    def count(self, name: str, now: float) -> int:
        """Return the number of failures within FORGET seconds."""
        row = self.rows.get(name)
        return sum(now - at < FORGET for at in row.times) if row is not None else 0

    def add_failure(self, name: str, now: float) -> int:
        """Count a failure. Returns the number of recent failures."""
        row = self.rows.setdefault(name, _Row())
        row.times.append(now)
        row.bad, row.well_since = True, None
        return self.count(name, now)

    def note_unhealthy(self, name: str, now: float) -> int:
        """Note that it is not well, which is a failure if it was before. Returns the number of recent failures."""
        row = self.rows.get(name)
        if row is None or not row.bad or row.well_since is not None:
            return self.add_failure(name, now)
        return self.count(name, now)

    def note_healthy(self, name: str, now: float) -> float:
        """Note that it is well. Returns for how many more seconds it has to be until it has recovered."""
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
        """Forget its failures: the content is new, or an operator asked for it."""
        self.rows.pop(name, None)

    def next_due(self) -> float | None:
        """Return the loop time at which the next one has recovered, if it stays well."""
        return min((at for _, at in self._due()), default=None)

    def take_due(self, now: float) -> list[str]:
        """Return those that have recovered by now, each once."""
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
