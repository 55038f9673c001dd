"""Takes what a source emits, folds the facts, and lets a test wait for what it expects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from eventd.kernel.model.events import NO_ATTRIBUTES, Attribute, EventKind, Origin
from eventd.kernel.model.facts import FactKey, FactKind, Facts, FactValue
from eventd.platform.model_facts import PlatformFact, UnitState


@dataclass(frozen=True, slots=True)
class Seen:
    """An emitted event."""

    origin: Origin
    kind: EventKind
    subject: str
    scope: str
    attributes: Mapping[str, Attribute]
    facts: dict[FactKey, FactValue]


class Recorder:
    """An `Emit`, with the facts that result."""

    def __init__(self) -> None:
        self.facts = Facts()
        self.seen: list[Seen] = []
        self.history: list[tuple[FactKey, FactValue]] = []
        self._more = asyncio.Event()

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
        """See `kernel.model.events.Emit`."""
        given = list(facts)
        self.seen.append(Seen(origin, kind, subject, scope, attributes, dict(given)))
        for key, value in given:
            self.history.append((key, value))
            self.facts.set(key, value)
        self._more.set()

    async def until(self, condition: Callable[[], Any], timeout: float = 60) -> None:
        """Return once `condition` holds, looked at after each event."""
        async with asyncio.timeout(timeout):
            while not condition():
                self._more.clear()
                await self._more.wait()

    async def until_event(self, kind: EventKind, subject: str | None = None, *, times: int = 1) -> None:
        """Return once such an event was emitted so often in all."""
        await self.until(lambda: self.count(kind, subject) >= times)

    def count(self, kind: EventKind, subject: str | None = None) -> int:
        """How many such events there were."""
        return sum(e.kind is kind and subject in (None, e.subject) for e in self.seen)

    def kinds(self) -> list[EventKind]:
        """What there was, in order."""
        return [each.kind for each in self.seen]

    def fact(self, kind: FactKind, name: object) -> FactValue:
        """A fact of the system's."""
        return self.facts.get(FactKey(kind, str(name)))

    def unit(self, name: str, scope: str = "") -> UnitState | None:
        """The fact of a unit."""
        value = self.facts.get(FactKey(PlatformFact.UNIT, name, scope))
        assert value is None or isinstance(value, UnitState)
        return value

    def values(self, kind: FactKind, name: str = "", scope: str = "") -> list[FactValue]:
        """All values that a fact was set to, in order."""
        return [value for key, value in self.history if key == FactKey(kind, name, scope)]
