"""Whether the run that is on makes progress: for as long as it does, or none is on, the watchdog is fed.

A run may take hours: a pull has ten minutes, a health check as long as its workload says. But each step has deadlines,
and all of them together are known before it begins (`longest`). A run is stuck when a step is on beyond that, or when
none is on and for `QUIET` none has begun or ended: something waits that nothing will end. It holds the lock, nothing on
the host is repaired any more, and only the next life of the daemon can do something about it. No run is stuck because
it is long.

    Runs (lock held), Executor (steps) -> RunWatch -> daemon -> watchdog -> systemd
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from eventd.kernel.model.action import Action

QUIET = 3600.0
"""Seconds that a run may be between two steps, and that a step may take beyond its own deadlines. Loading a revision,
writing the journal, and the calls of a step that have a deadline of their own take minutes at the very worst."""
DEADLINES = ("timeout", "deadline", "grace")
"""The fields of actions that are deadlines, in seconds."""
PARTS = ("units", "references")
"""The fields that say for what each."""
TWICE = 2
"""A step may wait for a unit to stop, and then for it to start."""


def longest(action: Action) -> float:
    """Return the seconds after which an action has ended in any case; infinite where its deadline is.

    What an action has several of (units, images) may take that long each.
    """
    deadlines = sum(getattr(action, name, 0.0) for name in DEADLINES)
    parts = max(len(getattr(action, name, ())) for name in PARTS)
    return TWICE * deadlines * max(1, parts) + QUIET


@dataclass(slots=True)
class RunWatch:
    """What the run that is on waits for, and until when. `now`: seconds on the loop's clock."""

    now: Callable[[], float] = anyio.current_time
    _held: int = 0
    _moved: float = 0.0
    """When a run or a step began or ended last."""
    _steps: dict[int, tuple[str, float]] = field(default_factory=dict)
    """Each step that is on, and when it has ended in any case."""
    _last: int = 0

    @contextmanager
    def run(self) -> Iterator[None]:
        """Be in a run, or in what takes the place of one."""
        self._held += 1
        self._moved = self.now()
        try:
            yield
        finally:
            self._held -= 1
            self._moved = self.now()  # who has waited for the lock begins now

    @contextmanager
    def step(self, action: Action) -> Iterator[None]:
        """Carry out a step of it."""
        self._last = number = self._last + 1
        self._moved = self.now()
        self._steps[number] = (f"{action.verb} {action.target}".strip(), self._moved + longest(action))
        try:
            yield
        finally:
            del self._steps[number]
            self._moved = self.now()

    def stuck(self) -> str:
        """Return what the run that is on is stuck at, as a sentence; empty if it is not, or none is on."""
        now = self.now()
        for title, until in self._steps.values():
            if now > until:
                return f"the run that is on is stuck: its step {title!r} has not ended after all of its deadlines"
        if self._held and not self._steps and now > self._moved + QUIET:
            return (
                f"the run that is on is stuck: no step of it has begun or ended for {now - self._moved:.0f} s"
            )
        return ""
