"""The dispatcher: numbers events, folds the facts that come with them, keeps the latest for `eventctl events`.

Owns `Facts`. Decides nothing: who is interested watches the facts, or listens for events. Implements
`eventd.core.events.Emit`, so sources hold nothing of the runtime but this one callable.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import anyio

from eventd.core.events import NO_ATTRIBUTES, Attribute, Event, EventKind, Origin
from eventd.core.facts import FactKey, Facts, FactValue

KEPT = 4096
"""Events in memory; about 1 MB."""


@dataclass(slots=True)
class Dispatcher:
    """The one place where events come in."""

    facts: Facts = field(default_factory=Facts)
    wall: Callable[[], float] = time.time
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=KEPT))
    sequence: int = 0
    current: Event | None = None
    """The event whose facts are being folded, so that a fact's watcher knows its cause."""
    _listeners: list[Callable[[Event], None]] = field(default_factory=list)
    _more: anyio.Event = field(default_factory=anyio.Event)

    def emit(
        self,
        origin: Origin,
        kind: EventKind,
        subject: str,
        *,
        scope: str = "",
        attributes: Mapping[str, Attribute] = NO_ATTRIBUTES,
        facts: Iterable[tuple[FactKey, FactValue]] = (),
    ) -> Event:
        """Take in one event (see `Emit`); return it numbered."""
        self.sequence += 1
        event = Event(
            self.sequence, origin, kind, subject, anyio.current_time(), self.wall(), scope, attributes
        )
        self.events.append(event)
        before, self.current = self.current, event  # a watcher may emit what follows from a fact
        try:
            for key, value in facts:
                self.facts.set(key, value)
            for listener in self._listeners:
                listener(event)
        finally:
            self.current = before
        self._more.set()
        return event

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener(event)` for each event, after its facts are folded."""
        self._listeners.append(listener)

    def since(self, sequence: int) -> list[Event]:
        """Return the kept events after `sequence`."""
        newer = itertools.takewhile(lambda event: event.sequence > sequence, reversed(self.events))
        return list(newer)[::-1]  # from the end: a follower asks this after every event

    async def more(self, sequence: int) -> None:
        """Return as soon as there is an event after `sequence`."""
        while self.sequence <= sequence:
            if self._more.is_set():
                self._more = anyio.Event()
            await self._more.wait()
