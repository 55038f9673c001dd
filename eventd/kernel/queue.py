"""The queue between what happens and what is done about it: the dirty workloads, and the events that made them so.

While a run is on, everything that comes in gathers here and gets one following run (the trailing edge). Nothing is
dropped: taking empties the set in one step of the loop.
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
    """Somebody waits for the run that takes this request."""

    done: anyio.Event = field(default_factory=anyio.Event)
    started: anyio.Event = field(default_factory=anyio.Event)
    run: int | None = None
    report: RunReport | None = None
    left: bool = False
    """Nobody waits any more, or ever did."""


def still(handles: Iterable[RunHandle]) -> list[RunHandle]:
    """Return those that somebody still waits with: while a run is on, any number may come and go."""
    return [handle for handle in handles if not handle.left]


@dataclass(slots=True)
class Batch:
    """What one run has to look at."""

    names: set[str] = field(default_factory=set)
    everything: bool = False
    forced: bool = False
    """An operator asked: give what gave up another chance, and report even if there was nothing to do."""
    forced_names: set[str] = field(default_factory=set)
    """Workloads for which just that was asked, and not for the others."""
    record: bool = False
    """Report the run even if there was nothing to do."""
    triggers: list[Event] = field(default_factory=list)
    self_caused: Event | None = None
    """What to name where nothing but the echo of a run's own work is known."""
    handles: list[RunHandle] = field(default_factory=list)
    requests: int = 0
    """How many asked, those who did not wait or have left among them."""
    restarts: dict[str, list[RunHandle]] = field(default_factory=dict)
    """Workloads whose units have to be restarted, with those of the run handles that wait for it."""

    def __bool__(self) -> bool:
        return bool(self.names or self.everything)

    def answer(self, *handles: RunHandle) -> None:
        """Answer these too."""
        self.requests += len(handles)
        self.handles = still((*self.handles, *handles))

    def asks(self, name: str) -> bool:
        """Tell whether an operator asked for a run over this workload."""
        return self.forced or name in self.forced_names


@dataclass(slots=True)
class Queue:
    """Dirty workloads."""

    pending: Batch = field(default_factory=Batch)
    coalesced: int = 0
    """Triggers that found others waiting."""
    _more: anyio.Event = field(default_factory=anyio.Event)

    def touch(self, name: str, trigger: Event | None, *, self_caused: bool = False) -> None:
        """Make one workload dirty. `self_caused`: probably by what a run is doing to it just now."""
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
        """Make one workload dirty because somebody asked, who may wait for the run."""
        self.ask_all((name,), trigger, handle)

    def ask_all(self, names: Collection[str], trigger: Event | None, handle: RunHandle | None) -> None:
        """Make workloads dirty because somebody asked, who may wait for the run."""
        self._note(trigger)
        batch = self.pending
        batch.names |= set(names)
        batch.forced_names |= set(names)
        batch.record = True
        if handle is not None:
            batch.answer(handle)
        self._more.set()

    def restart(self, name: str, trigger: Event | None, handle: RunHandle) -> None:
        """Make one workload dirty, and have its units restarted."""
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
        """Return when something is dirty, or after `timeout` seconds (None: only then)."""
        with anyio.move_on_after(timeout):
            while not self.pending:
                self._more = anyio.Event()
                await self._more.wait()

    def put_back(self, batch: Batch) -> None:
        """Take in again what a run could not deal with; what has come meanwhile joins it."""
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
        """Have each touch or nudge from now on end `nudged`: before what has come is looked at, and not after it."""
        self._more = anyio.Event()

    async def nudged(self, timeout: float | None) -> None:
        """Return at the first touch or nudge since `listen`, or after `timeout` seconds."""
        with anyio.move_on_after(timeout):
            await self._more.wait()

    def nudge(self) -> None:
        """Wake who waits, without making anything dirty."""
        self._more.set()

    def take_names(self, busy: set[str]) -> tuple[set[str], list[Event]]:
        """Return dirty workloads that are not `busy`, with what made them so; the busy ones stay for later.

        Nothing while everything is dirty, or somebody waits for a report: that is for the following run.
        """
        batch = self.pending
        names = batch.names - busy
        if batch.everything or batch.forced_names or not names:
            return set(), []
        batch.names -= names
        triggers, batch.triggers = batch.triggers, []
        return names, triggers

    def take_restarts(self, names: set[str]) -> dict[str, list[RunHandle]]:
        """Return the restarts of workloads that `take_names` has returned, with who waits for them."""
        batch = self.pending
        found = {name: batch.restarts.pop(name) for name in names & batch.restarts.keys()}
        moved = [handle for handles in found.values() for handle in handles]
        batch.handles = [handle for handle in batch.handles if handle not in moved]
        batch.requests -= len(moved)
        return found

    def take(self) -> Batch:
        """Return what is dirty and begin anew."""
        batch, self.pending = self.pending, Batch()
        return batch
