"""An `Emit` that remembers: what the source tests wait on and look at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from eventd.core.events import NO_ATTRIBUTES, Attribute, EventKind, Origin
from eventd.core.facts import FactKey, FactKind, Facts, FactValue


@dataclass
class Seen:
    origin: Origin
    kind: EventKind
    subject: str
    scope: str
    attributes: Mapping[str, Attribute]
    facts: dict[FactKey, FactValue]


@dataclass
class Recorder:
    """Folds facts as the dispatcher does, and wakes whoever waits for a state of affairs."""

    seen: list[Seen] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(
        self,
        origin: Origin,
        kind: EventKind,
        subject: str,
        *,
        scope: str = "",
        attributes: Mapping[str, Attribute] = NO_ATTRIBUTES,
        facts: Iterable[tuple[FactKey, FactValue]] = (),
    ) -> None:
        given = dict(facts)
        for key, value in given.items():
            self.facts.set(key, value)
        self.seen.append(Seen(origin, kind, subject, scope, attributes, given))
        self._changed.set()

    def kinds(self) -> list[EventKind]:
        return [seen.kind for seen in self.seen]

    def fact(self, kind: FactKind, name: object) -> FactValue:
        return self.facts.get(FactKey(kind, str(name)))

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Return when `condition` holds, looked at after each event."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()
