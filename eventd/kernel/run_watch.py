"""Detects a stuck run. The watchdog is fed as long as the current run makes progress, or there is none.

A long run is not stuck: a pull may take ten minutes, a health check as long as its workload says. But each step has
deadlines, and `longest` adds them up before it begins. A run is stuck if a step takes longer than that, or if no step
has begun or ended for `QUIET` seconds.

A stuck run holds the lock, so nothing on the host is repaired. Only a restart of the daemon by systemd helps.

    Runs (lock held), Executor (steps) -> RunWatch -> daemon -> watchdog -> systemd
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from eventd.kernel.model.action import Action

QUIET = 3600.0
"""Seconds that a run may spend between two steps, and a step beyond its own deadlines. Loading a revision, writing the
journal and a step's calls with deadlines of their own take minutes at worst."""
DEADLINES = ("timeout", "deadline", "grace")
"""The fields of actions that are deadlines, in seconds."""
PARTS = ("units", "references")
"""The fields with the parts of an action. Each part may take that long."""
TWICE = 2
"""A step may wait for a unit to stop, and then for it to start."""


def longest(action: Action) -> float:
    """Return the most seconds that an action can take; infinite if its deadline is.

    Each part of it (a unit, an image) may take the whole deadline.
    """
    deadlines = sum(getattr(action, name, 0.0) for name in DEADLINES)
    parts = max(len(getattr(action, name, ())) for name in PARTS)
    return TWICE * deadlines * max(1, parts) + QUIET


@dataclass(slots=True)
class RunWatch:
    """The steps of the current run and when each must have ended. `now`: seconds on the loop's clock."""

    now: Callable[[], float] = anyio.current_time
    _held: int = 0
    _moved: float = 0.0
    """When a run or a step last began or ended."""
    _steps: dict[int, tuple[str, float]] = field(default_factory=dict)
    """Each current step, and when it must have ended."""
    _last: int = 0

    @contextmanager
    def run(self) -> Iterator[None]:
        """Mark a run, or other work under the run lock, as current."""
        self._held += 1
        self._moved = self.now()
        try:
            yield
        finally:
            self._held -= 1
            self._moved = self.now()  # the next one that waited for the lock begins now

    @contextmanager
    def step(self, action: Action) -> Iterator[None]:
        """Mark a step as current."""
        self._last = number = self._last + 1
        self._moved = self.now()
        self._steps[number] = (f"{action.verb} {action.target}".strip(), self._moved + longest(action))
        try:
            yield
        finally:
            del self._steps[number]
            self._moved = self.now()

    def stuck(self) -> str:
        """Return where the current run is stuck, as a sentence; empty if it is not, or if there is none."""
        now = self.now()
        for title, until in self._steps.values():
            if now > until:
                return f"the current run is stuck: its step {title!r} has passed all of its deadlines"
        if self._held and not self._steps and now > self._moved + QUIET:
            return f"the current run is stuck: none of its steps has begun or ended for {now - self._moved:.0f} s"
        return ""
