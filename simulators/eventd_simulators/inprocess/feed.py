"""The facts of one manager's units, kept current by its signals, as eventd's own source does on a real bus.

Watched units are emitted in full whenever they change; after a gap, a reload or a re-execution everything is
read again.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import DisconnectedError
from eventd.kernel.model.events import Attribute, EventKind, KernelEvent
from eventd.kernel.model.facts import FactKey, FactValue
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import PlatformFact, UnitState
from eventd.platform.systemd.ports import JobResult
from eventd_simulators.faults import Lossy
from eventd_simulators.inprocess.life import Channel, Life
from eventd_simulators.model import signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventd_simulators.model.manager import Manager


class Feed:
    """One connection to one manager."""

    def __init__(
        self,
        life: Life,
        hub: signals.Hub,
        scope: str,
        manager: Callable[[], Manager | None],
        watched: frozenset[str],
    ) -> None:
        self._life = life
        self._scope = scope
        self._origin = PlatformOrigin.USER_MANAGER if scope else PlatformOrigin.SYSTEMD
        self._manager = manager
        self._sent: dict[str, UnitState] = {}
        self._jobs: dict[int, asyncio.Future[JobResult]] = {}
        self.watched = watched
        self.channel = Channel(life, self.gap)
        self._stop = hub.listen(self._on_signal)

    @property
    def lost(self) -> bool:
        """Whether the connection is closed."""
        return not self.channel.open

    def close(self, *, forget: bool) -> None:
        """Close the connection, end what waits on it, and forget the facts if nothing backs them."""
        self._stop()
        self.channel.close()
        for waiter in self._jobs.values():
            if not waiter.done():
                waiter.set_exception(DisconnectedError(f"the bus of {self._scope or 'the system'} went away"))
                waiter.exception()
        self._jobs.clear()
        if forget:
            for name in list(self._sent):
                self._emit_state(name, None)

    def expect(self, job: int) -> asyncio.Future[JobResult]:
        """Return a future that ends with the job's JobRemoved."""
        waiter: asyncio.Future[JobResult] = asyncio.get_running_loop().create_future()
        self._jobs[job] = waiter
        return waiter

    def give_up(self, job: int) -> None:
        """Nobody waits for the job any more."""
        self._jobs.pop(job, None)

    def watch(self, units: frozenset[str]) -> None:
        """Change what is watched: the new ones are read, the others forgotten."""
        gone, new = self.watched - units, units - self.watched
        self.watched = units
        for name in sorted(gone):
            self.channel.post(lambda name=name: self._emit_state(name, None))  # type: ignore[misc]
        self._post_states(sorted(new))

    def read_all(self) -> None:
        """Read every watched unit as it is now; the answers come in order with the signals."""
        self._post_states(sorted(self.watched))
        self.channel.post(
            lambda: self._life.emit(self._origin, KernelEvent.READ, "systemd", scope=self._scope)
        )

    def reread(self) -> None:
        """Read every tracked unit again. An unchanged unit is emitted again too, and changes no fact."""
        self._post_states(sorted(self.watched | self._sent.keys()))

    def gap(self) -> None:
        """Something may have been missed."""
        if not self.lost:
            self._life.emit(self._origin, KernelEvent.GAP, "systemd", scope=self._scope)
            # A job's end may be what was missed: nobody may wait for it forever.
            manager = self._manager()
            for job, waiter in list(self._jobs.items()):
                if (manager is None or manager.jobs.get(job) is None) and not waiter.done():
                    waiter.set_exception(DisconnectedError("a gap in the signals: the job's end may be lost"))
                    waiter.exception()
            self.read_all()

    def _post_states(self, names: list[str]) -> None:
        manager = self._manager()
        for name in names:
            state = manager.peek(name) if manager else UnitState(name)
            self.channel.post(lambda name=name, state=state: self._emit_state(name, state))  # type: ignore[misc]

    def _on_signal(self, signal: signals.Signal) -> None:
        match signal:
            case signals.UnitChanged(self._scope, unit, state):
                if unit in self.watched or not self._scope:
                    self.channel.post(lambda: self._changed(unit, state), signal=Lossy.UNIT)
            case signals.UnitRemoved(self._scope, unit):
                self._post(PlatformEvent.UNIT_REMOVED, unit)
            case signals.JobNew(self._scope, job, unit):
                self._post(PlatformEvent.JOB_NEW, unit, job=job)
            case signals.JobRemoved(self._scope, job, unit, result):
                self.channel.post(lambda: self._job_removed(job, unit, result), signal=Lossy.JOB)
            case signals.Reloading(self._scope, active):
                self._reloading(active=active)
            case signals.Reexecuted(self._scope):
                self.channel.post(self.gap)
            case _:
                pass

    def _changed(self, unit: str, state: UnitState) -> None:
        # The properties that no signal carries keep the value of the last read (org.freedesktop.systemd1(5)).
        known = self._sent.get(unit)
        if known is not None:
            state = replace(state, needs_reload=known.needs_reload)
        self._emit_state(unit, state)

    def _reloading(self, *, active: bool) -> None:
        kind = PlatformEvent.RELOADING if active else PlatformEvent.RELOADED
        facts = ((FactKey(PlatformFact.RELOADING, "", self._scope), active),)
        self.channel.post(
            lambda: self._life.emit(self._origin, kind, "systemd", scope=self._scope, facts=facts)
        )
        if not active:
            self.read_all()

    def _job_removed(self, job: int, unit: str, result: str) -> None:
        waiter = self._jobs.pop(job, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(JobResult(unit, result))
        attributes: dict[str, Attribute] = {"job": job, "result": result}
        self._life.emit(
            self._origin, PlatformEvent.JOB_REMOVED, unit, scope=self._scope, attributes=attributes
        )

    def _post(self, kind: EventKind, subject: str, **attributes: int) -> None:
        self.channel.post(
            lambda: self._life.emit(self._origin, kind, subject, scope=self._scope, attributes=attributes)
        )

    def _emit_state(self, name: str, state: UnitState | None) -> None:
        if state is None:
            self._sent.pop(name, None)
        else:
            self._sent[name] = state
        facts: tuple[tuple[FactKey, FactValue], ...] = (
            (FactKey(PlatformFact.UNIT, name, self._scope), state),
        )
        self._life.emit(self._origin, PlatformEvent.UNIT_CHANGED, name, scope=self._scope, facts=facts)
