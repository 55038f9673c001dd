"""The dispatcher: numbers events, folds the facts they carry, and keeps the latest for `eventctl events`.

Owns `Facts`. Decides nothing: others watch facts or subscribe to events. It implements
`eventd.kernel.model.events.Emit`, the only part of the runtime that sources know.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import anyio

from eventd.kernel.listeners import Listeners
from eventd.kernel.model.event_ring import EventRing
from eventd.kernel.model.events import NO_ATTRIBUTES, Attribute, Event, EventKind, Origin
from eventd.kernel.model.facts import FactKey, Facts, FactValue

log = logging.getLogger(__name__)
LONGEST = 4096
"""Most characters of each text of an event (PATH_MAX). Peers and people may send longer ones; they are cut."""


@dataclass(slots=True)
class Dispatcher:
    """The one place where events come in."""

    facts: Facts = field(default_factory=lambda: Facts(_watcher_failed))
    wall: Callable[[], float] = time.time
    events: EventRing = field(default_factory=EventRing)
    sequence: int = 0
    current: Event | None = None
    """The event whose facts are being folded: the cause, for the watchers of a fact."""
    _listeners: Listeners[[Event]] = field(default_factory=lambda: Listeners("an event"))
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
        """Number one event, fold its facts and return it (see `Emit`)."""
        self.sequence += 1
        if len(subject) > LONGEST or any(
            isinstance(v, str) and len(v) > LONGEST for v in attributes.values()
        ):
            subject, attributes = subject[:LONGEST], {k: _cut(v) for k, v in attributes.items()}
        event = Event(
            self.sequence, origin, kind, subject, anyio.current_time(), self.wall(), scope, attributes
        )
        self.events.append(event)
        before, self.current = self.current, event  # a watcher may emit another event
        try:
            for key, value in facts:
                self.facts.set(key, value)
            self._listeners(event)
        finally:
            self.current = before
        self._more.set()
        return event

    def subscribe(self, name: str, listener: Callable[[Event], object]) -> Callable[[], None]:
        """Call `listener(event)` for each event, after its facts are folded. Return a function that unsubscribes."""
        return self._listeners.subscribe(name, listener)

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


def _watcher_failed(watcher: object, error: Exception) -> None:
    """Log a watcher that raised. The fact is set, and the other watchers are called."""
    name = getattr(watcher, "__qualname__", repr(watcher))
    log.error("bug: %s failed when notified of a changed fact", name, exc_info=error)


def _cut(value: Attribute) -> Attribute:
    return value[:LONGEST] if isinstance(value, str) else value
