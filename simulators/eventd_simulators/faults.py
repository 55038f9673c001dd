"""Faults, how often and when: drawn from one seed, so that a run replays exactly.

Probabilities are per occasion (a call, a signal, a start). `calm()` ends all faults: what follows must
converge.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, fields
from enum import StrEnum

_NEVER = 0.0


class Lossy(StrEnum):
    """Kinds of signals that can be lost."""

    UNIT = "unit-changed"
    JOB = "job-removed"
    USER = "user"
    SESSION = "session"
    LINGER = "linger"
    SHUTDOWN = "shutdown"
    FILE = "file"
    ACCOUNT = "account"
    DEVICE = "device"
    MOUNT = "mount"


@dataclass(slots=True)
class Faults:
    """The default is a healthy host with small, varying latencies."""

    random: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311
    latency: tuple[float, float] = (0.0002, 0.003)
    """Seconds that a message takes, each way: from, to."""
    duplicates: float = _NEVER
    """An event comes twice."""
    drops: float = _NEVER
    """A signal is lost; its source notices the gap and reads everything again."""
    silent: set[Lossy] = field(default_factory=set)
    """Signals of these kinds are lost silently: no gap, no error."""
    call_failures: float = _NEVER
    """A call fails with a temporary error, with or without having taken effect."""
    bus_losses: float = _NEVER
    """A call to a user's manager finds that the user's bus has just been restarted."""
    file_failures: float = _NEVER
    """A write fails: the disk is full."""
    store_failures: float = _NEVER
    """A write of the database fails, with or without having taken effect: its disk is full, its fsync failed."""
    fetch_failures: float = _NEVER
    """A fetch fails: the remote cannot be reached."""
    slow_managers: float = _NEVER
    """A user's manager takes `slow_manager` seconds to come up."""
    slow_manager: float = 40.0
    lost_replies: list[str] = field(default_factory=list)
    """Prefixes of calls (`useradd web`) whose answer is lost, once each: they take effect and fail."""
    unstoppable: set[str] = field(default_factory=set)
    """Units that may not be stopped by hand (RefuseManualStop=)."""
    crash_at: int | None = None
    """The daemon dies at this step boundary, counted from 1 in each of its processes; used once."""

    def hits(self, probability: float) -> bool:
        """Draw once."""
        return probability > 0 and self.random.random() < probability

    def delay(self) -> float:
        """Draw a latency in seconds."""
        return self.random.uniform(*self.latency)

    def calm(self) -> None:
        """End all faults."""
        for each in fields(self):
            if each.default is _NEVER:
                setattr(self, each.name, _NEVER)
        self.silent.clear()
        self.crash_at = None


def stormy(seed: int) -> Faults:
    """Return a host on which everything fails now and then, differently for each seed."""
    chance = random.Random(seed)  # noqa: S311

    def some(most: float) -> float:
        return chance.choice((_NEVER, chance.uniform(0, most)))

    return Faults(
        random=chance,
        latency=(0.0001, chance.choice((0.002, 0.05, 1.0))),
        duplicates=some(0.3),
        drops=some(0.2),
        call_failures=some(0.1),
        bus_losses=some(0.05),
        file_failures=some(0.1),
        fetch_failures=some(0.5),
        slow_managers=some(0.5),
    )
