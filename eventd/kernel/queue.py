"""The work queue: the dirty subjects, and the events that made them dirty.

What becomes dirty during a run is collected here and handled by one following run. Nothing is lost: `take` empties the
queue in one step of the event loop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import anyio

from eventd.kernel.model.events import Event
from eventd.kernel.model.report import RunReport
from eventd.kernel.triggers import KEPT, noted


@dataclass(slots=True)
class RunHandle:
    """A caller that waits for the run that takes its request."""

    done: anyio.Event = field(default_factory=anyio.Event)
    started: anyio.Event = field(default_factory=anyio.Event)
    run: int | None = None
    report: RunReport | None = None
    left: bool = False
    """The caller has left, or never waited."""


def still(handles: Iterable[RunHandle]) -> list[RunHandle]:
    """Return the handles whose callers still wait."""
    return [handle for handle in handles if not handle.left]


@dataclass(slots=True)
class Batch:
    """What one run has to cover."""

    names: set[str] = field(default_factory=set)
    everything: bool = False
    forced: bool = False
    """An operator asked: retry what was given up, and report even if there was nothing to do."""
    forced_names: set[str] = field(default_factory=set)
    """Subjects for which that was asked, if not for all."""
    record: bool = False
    """Report the run even if there was nothing to do."""
    triggers: list[Event] = field(default_factory=list)
    self_caused: Event | None = None
    """The trigger to name if the run has no other: an event that an earlier run probably caused itself."""
    handles: list[RunHandle] = field(default_factory=list)
    requests: int = 0
    """The number of requests, including those of callers that did not wait or have left."""
    restarts: dict[str, list[RunHandle]] = field(default_factory=dict)
    """Workload to restart -> the handles that wait for that."""

    def __bool__(self) -> bool:
        return bool(self.names or self.everything)

    def answer(self, *handles: RunHandle) -> None:
        """Add handles that the run answers."""
        self.requests += len(handles)
        self.handles = still((*self.handles, *handles))

    def asks(self, name: str) -> bool:
        """Return whether an operator asked for this subject."""
        return self.forced or name in self.forced_names


@dataclass(slots=True)
class Queue:
    """The dirty subjects."""

    pending: Batch = field(default_factory=Batch)
    coalesced: int = 0
    """Triggers that were merged with waiting ones."""
    _more: anyio.Event = field(default_factory=anyio.Event)

    def touch(self, name: str, trigger: Event | None, *, self_caused: bool = False) -> None:
        """Make one subject dirty. `self_caused`: probably by the run that is working on it."""
        if self_caused:
            self.pending.self_caused = trigger or self.pending.self_caused
        else:
            self._note(trigger)
        self.pending.names.add(name)
        self._more.set()

    def touch_all(
        self,
        trigger: Event | None,
        *,
        forced: bool = False,
        record: bool = True,
        handle: RunHandle | None = None,
    ) -> None:
        """Make everything dirty."""
        self._note(trigger)
        batch = self.pending
        batch.everything = True
        batch.forced |= forced
        batch.record |= record
        if handle is not None:
            batch.answer(handle)
        self._more.set()

    def ask(self, name: str, trigger: Event | None, handle: RunHandle | None) -> None:
        """Make one subject dirty at an operator's request. `handle`: the caller, if it waits."""
        self.ask_all((name,), trigger, handle)

    def ask_all(self, names: Collection[str], trigger: Event | None, handle: RunHandle | None) -> None:
        """Make subjects dirty at an operator's request. `handle`: the caller, if it waits."""
        self._note(trigger)
        batch = self.pending
        batch.names |= set(names)
        batch.forced_names |= set(names)
        batch.record = True
        if handle is not None:
            batch.answer(handle)
        self._more.set()

    def restart(self, name: str, trigger: Event | None, handle: RunHandle) -> None:
        """Make one workload dirty, with a restart of its units."""
        self._note(trigger)
        batch = self.pending
        batch.names.add(name)
        batch.record = True
        batch.restarts[name] = still((*batch.restarts.get(name, ()), handle))
        batch.answer(handle)
        self._more.set()

    def _note(self, trigger: Event | None) -> None:
        batch = self.pending
        if batch:
            self.coalesced += 1
        if trigger is not None and (trigger.kind.is_cause or len(batch.triggers) < KEPT):
            batch.triggers = list(noted(batch.triggers, (trigger,)))

    async def wait(self, timeout: float | None) -> None:
        """Wait until something is dirty, at most `timeout` seconds (None: without limit)."""
        with anyio.move_on_after(timeout):
            while not self.pending:
                self._more = anyio.Event()
                await self._more.wait()

    def put_back(self, batch: Batch) -> None:
        """Put a batch back that a run could not handle. It is merged with what became dirty meanwhile."""
        came, self.pending = self.pending, batch
        batch.names |= came.names
        batch.everything |= came.everything
        batch.forced |= came.forced
        batch.forced_names |= came.forced_names
        batch.record |= came.record
        batch.handles = still((*batch.handles, *came.handles))
        batch.requests += came.requests
        for name, handles in came.restarts.items():
            batch.restarts[name] = still((*batch.restarts.get(name, ()), *handles))
        for trigger in came.triggers:
            self._note(trigger)
        if batch:
            self._more.set()

    def listen(self) -> None:
        """Start listening for touches and nudges. Call it before looking at the queue, so that none is missed."""
        self._more = anyio.Event()

    async def nudged(self, timeout: float | None) -> None:
        """Wait for the first touch or nudge since `listen`, at most `timeout` seconds."""
        with anyio.move_on_after(timeout):
            await self._more.wait()

    def nudge(self) -> None:
        """Wake the waiter without making anything dirty."""
        self._more.set()

    def take_names(self, busy: set[str]) -> tuple[set[str], list[Event]]:
        """Take the dirty subjects that are not `busy`, with their triggers. The busy ones stay in the queue.

        Takes nothing while everything is dirty or a caller waits for a report: that is for the following run.
        """
        batch = self.pending
        names = batch.names - busy
        if batch.everything or batch.forced_names or not names:
            return set(), []
        batch.names -= names
        triggers, batch.triggers = batch.triggers, []
        return names, triggers

    def take_restarts(self, names: set[str]) -> dict[str, list[RunHandle]]:
        """Take the restarts of subjects that `take_names` returned, with the handles that wait for them."""
        batch = self.pending
        found = {name: batch.restarts.pop(name) for name in names & batch.restarts.keys()}
        moved = [handle for handles in found.values() for handle in handles]
        batch.handles = [handle for handle in batch.handles if handle not in moved]
        batch.requests -= len(moved)
        return found

    def take(self) -> Batch:
        """Take everything that is dirty."""
        batch, self.pending = self.pending, Batch()
        return batch
