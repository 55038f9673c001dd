"""One process of the daemon, as the ports see it: its calls take time, fail, and are where it can be killed.

A crash is a kill -9: from that boundary on, nothing of that process has an effect or is emitted. The call that it
hits never returns; whoever runs the daemon gives `on_crash`, which cancels it. Whatever it still tries
while it is being torn down (its `finally` clauses, which a real kill would not run) raises
`SimulatedCrash`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from eventd.kernel.model.errors import DisconnectedError, EventdError, TemporaryError
from eventd.kernel.model.events import NO_ATTRIBUTES, Attribute, Emit, EventKind, Origin

if TYPE_CHECKING:
    from eventd.kernel.model.facts import FactKey, FactValue
    from eventd_simulators.faults import Faults, Lossy
    from eventd_simulators.model.signals import Clock

T = TypeVar("T")
Effect = Callable[[], T]


class SimulatedCrash(BaseException):
    """The daemon is dead; like KeyboardInterrupt, no `except Exception` may catch this."""


class Life:
    """From one start of the daemon to its end."""

    def __init__(self, emit: Emit, faults: Faults, clock: Clock) -> None:
        self.faults = faults
        self.clock = clock
        self.dead = False
        self.steps = 0
        """Step boundaries passed: two for each change of the world, before and after it."""
        self.calls: list[str] = []
        """Every requested change of the world, in order, for tests to count."""
        self.on_crash: Callable[[], object] = lambda: None
        self._emit = emit

    def emit(
        self,
        origin: Origin,
        kind: EventKind,
        subject: str,
        *,
        scope: str = "",
        attributes: Mapping[str, Attribute] = NO_ATTRIBUTES,
        facts: Iterable[tuple[FactKey, FactValue]] = (),
    ) -> None:
        """Pass on an event, occasionally twice; nothing once the daemon is dead."""
        kept = tuple(facts)
        for _ in range(2 if self.faults.hits(self.faults.duplicates) else 1):
            if not self.dead:
                self._emit(origin, kind, subject, scope=scope, attributes=attributes, facts=kept)

    def kill(self) -> None:
        """End this daemon process now."""
        self.dead = True
        self.on_crash()

    async def read(self, read: Effect[T]) -> T:
        """Read something, with a latency each way."""
        await self._travel()
        result = read()
        await self._travel()
        return result

    async def change(self, what: str, effect: Effect[T], *, failure: float | None = None) -> T:
        """Change the world, with a crash boundary before and after; it may fail before or after taking effect."""
        self.calls.append(what)
        await self._travel()
        await self._boundary()
        probability = self.faults.call_failures if failure is None else failure
        fails = self.faults.hits(probability)
        if fails and self.faults.random.random() < 0.5:
            raise self._failure(what)
        result = effect()
        for beginning in self.faults.lost_replies:
            if what.startswith(beginning):
                self.faults.lost_replies.remove(beginning)
                raise self._failure(what)
        await self._boundary()
        await self._travel()
        if fails:
            raise self._failure(what)
        return result

    async def _travel(self) -> None:
        if self.dead:
            raise SimulatedCrash
        await asyncio.sleep(self.faults.delay())
        if self.dead:
            raise SimulatedCrash

    async def _boundary(self) -> None:
        if self.dead:
            raise SimulatedCrash
        self.steps += 1
        if self.faults.crash_at is not None and self.steps >= self.faults.crash_at:
            self.faults.crash_at = None
            self.kill()
            await asyncio.get_running_loop().create_future()

    def _failure(self, what: str) -> EventdError:
        return TemporaryError(f"simulated: {what} failed", reason="simulated-failure")


class Channel:
    """An ordered connection: what is posted is delivered later, each after the one before it.

    That is D-Bus's promise (one connection, one order) and inotify's. Between two channels there is no order:
    a signal of the system bus may overtake one of a user's bus that was sent before it.
    """

    def __init__(self, life: Life, gap: Callable[[], object]) -> None:
        self._life = life
        self._gap = gap
        self._last = 0.0
        self._gap_due = False
        self._waiting: dict[asyncio.Future[None], None] = {}
        self.open = True

    def post(
        self, deliver: Callable[[], object], *, signal: Lossy | None = None, announced: bool = True
    ) -> None:
        """Deliver later. A signal that is dropped makes its source call `gap` a little later, unless it is silent.

        `signal`: its kind; None: an answer, which cannot be lost. `announced`: a random loss is announced.
        """
        faults = self._life.faults
        if signal in faults.silent:
            return
        if signal is not None and announced and faults.hits(faults.drops):
            if not self._gap_due:
                self._gap_due = True
                self._at(self._noticed)
            return
        self._at(deliver)

    def _noticed(self) -> None:
        self._gap_due = False
        self._gap()

    def _at(self, deliver: Callable[[], object]) -> None:
        clock = self._life.clock
        now = clock.time()
        self._last = max(self._last, now + self._life.faults.delay())

        def arrive() -> None:
            if self.open and not self._life.dead:
                deliver()

        clock.call_later(self._last - now, arrive)

    async def flush(self) -> None:
        """Return when everything posted before has been delivered. Raises DisconnectedError."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def arrived() -> None:
            if not done.done():
                done.set_result(None)

        self._at(arrived)
        await self.reply(done)

    async def reply(self, done: asyncio.Future[None]) -> None:
        """Await a reply over this connection. Raises DisconnectedError if the connection is lost."""
        if not self.open:
            raise DisconnectedError("the connection is lost")
        self._waiting[done] = None
        try:
            await done
        finally:
            del self._waiting[done]

    def close(self) -> None:
        """Deliver nothing more; pending replies end with an error."""
        self.open = False
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(DisconnectedError("the connection is lost"))
