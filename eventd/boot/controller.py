"""The boot log: observes from the daemon's start until the host has converged, and then unsubscribes.

Owns what is collected, its limits and its end. It changes nothing, and nothing waits for it. Next:
`eventd.boot.controller_record` makes an `eventd.boot.model.BootRecord` of what was observed.

Cost: a dictionary look-up per change of a fact in a gate, and per run a pass over the workloads that have not
converged. After the end there is none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import anyio

from eventd.boot.controller_record import ALWAYS, Observations, ObservedFact, Timeline, make_record, roots
from eventd.boot.controller_units import read_units
from eventd.boot.model import BootOrigin, BootRecord, Span, SpanKind
from eventd.boot.model_facts import brought_by, parts
from eventd.desired.controller_activation import REVISION
from eventd.gates.model_predicate_atoms import ManagerUp, UnitIs
from eventd.gates.model_predicates import Predicate
from eventd.health.model_expectations import CRASHED
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import WorkloadState, WorkloadStatus
from eventd.kernel.progress import Progress
from eventd.platform.model_facts import ActiveState
from eventd.platform.model_facts import unit as as_unit
from eventd.platform.systemd.model_times import Startup, UnitTimes
from eventd.queries import Queries
from eventd.workloads.model_facts import WorkloadFact

log = logging.getLogger(__name__)
LONGEST = 1800.0
"""Seconds after which a boot that has not converged is no longer watched."""
MOST_SPANS = 20_000
"""How many spans are kept. 1,000 workloads converge in 6,000."""
REST = frozenset(
    {
        WorkloadState.CONVERGED,
        WorkloadState.AT_RISK,
        WorkloadState.REMOVED,
        WorkloadState.REFUSED,
        WorkloadState.ROLLED_BACK,
    }
)
STUCK = frozenset({WorkloadState.HELD, WorkloadState.FAILED})


class BootTimes(Protocol):
    """The times that systemd keeps; raises EventdError."""

    async def startup(self) -> Startup:
        """Return the times of the boot's phases."""
        ...

    async def unit_times(self, name: str) -> UnitTimes:
        """Return the times of a loaded unit."""
        ...


class RecordStore(Protocol):
    """Storage for the record that outlives the daemon, within the boot."""

    @property
    def boot_id(self) -> str:
        """Return the id of the current boot."""
        ...

    async def load(self) -> BootRecord | None:
        """Return this boot's record, if there is one."""
        ...

    async def save(self, record: BootRecord) -> None:
        """Store the record; raises EventdError."""
        ...


class BootLog:
    """Collects the record. `clock` is the event loop's: CLOCK_MONOTONIC, like systemd's timestamps."""

    def __init__(
        self,
        queries: Queries,
        times: BootTimes,
        store: RecordStore,
        host: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Subscribe."""
        self._queries = queries
        self._facts = queries.facts
        self._times = times
        self._store = store
        self._clock = clock
        self._wall = wall
        self._seen = Observations(store.boot_id, host, clock())
        self._final: BootRecord | None = None
        self._open: dict[str, None] = {}
        """Workloads that have not converged yet."""
        self._count = 0
        self._loaded = False
        self._loading = anyio.Lock()
        self._settled = anyio.Event()
        self._done = anyio.Event()
        self._stops: list[Callable[[], None]] = [self._facts.watch((REVISION,), self._on_revision)]
        for name in ALWAYS:
            self._track(name, UnitIs(name, name))
        self._stops.append(queries.steps.subscribe("the boot log", self._on_progress))
        self._stops.append(queries.passes.subscribe("the boot log", self._observe))

    async def run(self) -> None:
        """Store the record as soon as it is complete, and return. A record of this boot that exists already is kept."""
        await self._load_stored()
        if self._final is not None:
            return
        await self._settled.wait()
        await self._save(await self.record())
        await self._done.wait()
        record = await self.record()
        self._final = record
        await self._save(record)
        self._seen.workloads.clear()
        self._seen.facts.clear()

    async def _load_stored(self) -> None:
        """Read the record stored earlier in this boot, if there is one, before another can be shown."""
        async with self._loading:
            if self._loaded:
                return
            kept = await self._store.load()
            if kept is not None and kept.origin is not BootOrigin.DAEMON:
                self._final = kept
                self._detach()
            self._loaded = True

    def ready(self) -> None:
        """Record that the daemon is ready: it has read the host, and listens."""
        self._seen.ready = self._clock()

    async def record(self) -> BootRecord:
        """Return the record so far."""
        await self._load_stored()
        if (ended := self._ended()) is not None:
            return ended
        startup: Startup | None = None
        units: dict[str, UnitTimes] = {}
        try:
            startup = await self._times.startup()
            units = await read_units(self._times, self._facts, roots(self._seen, startup, self._facts))
        except EventdError as error:
            log.info("the record of the boot lacks systemd's own times: %s", error)
        if (ended := self._ended()) is not None:
            return ended  # it was stored meanwhile, and the collected data is gone
        return make_record(
            self._seen,
            startup,
            units,
            self._facts,
            self._queries.gates,
            self._queries.statuses,
            now=self._clock(),
            wall=self._wall(),
        )

    def _ended(self) -> BootRecord | None:
        return self._final

    async def _save(self, record: BootRecord) -> None:
        try:
            await self._store.save(record)
        except EventdError as error:
            log.warning("%s", error)

    # Subscriptions.

    def _on_revision(self, _key: FactKey) -> None:
        if self._seen.commit_at is None:
            self._seen.commit_at = self._clock()

    def _on_progress(self, step: Progress) -> None:
        mine = self._seen.workloads.get(step.workload)
        if mine is None or mine.converged is not None:
            return
        now, kind = self._clock(), _kind(step.step)
        if step.state == "begin":
            mine.step = kind, step.step, now
            self._close_idle(mine, now)
            if kind is not SpanKind.PREPARE:
                self._close_waits(mine, (), now)
        elif mine.step is not None:
            self._add(mine, Span(*mine.step, now, failed=step.state == "failed"))
            mine.step = None

    def _on_fact(self, text: str) -> None:
        fact, now = self._seen.facts[text], self._clock()
        if fact.came is None and not fact.early:
            if fact.predicate.holds(self._facts):
                fact.came = now
                fact.unit, fact.workload = brought_by(fact.predicate, self._facts)
            elif fact.began is None and isinstance(fact.predicate, UnitIs) and fact.predicate.workload:
                state = as_unit(self._facts.get(fact.predicate.key))
                if state is not None and state.active is ActiveState.ACTIVATING:
                    fact.began = now

    def _observe(self) -> None:
        """After each pass: track the desired workloads, record their states, detect the end."""
        desired = self._queries.desired
        if desired is None:
            return
        if desired.commit != self._seen.commit:
            self._seen.commit = desired.commit
            self._track_workloads({*desired.workloads, *desired.refused})
        for name in tuple(self._open):
            self._record_status(name)
        states = [self._state(name) for name in self._open]
        if self._queries.current_run is None:
            self._seen.complete = all(state in REST for state in states)
            if all(state in REST or state in STUCK for state in states):
                self._settled.set()
        if self._seen.complete or self._clock() - self._seen.began > LONGEST:
            self._seen.ended = self._clock()
            self._settled.set()
            self._detach()
            self._done.set()

    def _track_workloads(self, names: Iterable[str]) -> None:
        wanted = set(names)
        for name in self._seen.workloads.keys() - wanted:
            del self._seen.workloads[name]
            self._open.pop(name, None)
        for name in sorted(wanted):
            if name not in self._seen.workloads:
                self._seen.workloads[name] = Timeline()
                self._open[name] = None
                key = FactKey(WorkloadFact.WORKLOAD, name)
                self._watch((key,), lambda _key, name=name: self._record_status(name))  # type: ignore[misc]
                self._track(f"manager:{name}", ManagerUp(f"manager:{name}", name))
            gates = self._queries.gates.get(name)
            for part in (*parts(gates.requires), *parts(gates.expect)) if gates is not None else ():
                self._track(part.text, part)

    def _track(self, text: str, predicate: Predicate) -> None:
        """Record when a predicate first holds."""
        if text in self._seen.facts:
            return
        self._seen.facts[text] = ObservedFact(predicate, early=predicate.holds(self._facts))
        self._watch(predicate.keys(), lambda _key: self._on_fact(text))

    def _watch(self, keys: Iterable[FactKey], watcher: Callable[[FactKey], None]) -> None:
        self._stops.append(self._facts.watch(keys, watcher))

    def _detach(self) -> None:
        """Unsubscribe."""
        for stop in self._stops:
            stop()
        self._stops.clear()
        self._open.clear()

    # The status of a workload.

    def _status(self, name: str) -> WorkloadStatus | None:
        return self._queries.statuses.get(name)

    def _state(self, name: str) -> WorkloadState:
        status = self._status(name)
        return WorkloadState.PENDING if status is None else status.state

    def _record_status(self, name: str) -> None:
        status, mine = self._status(name), self._seen.workloads.get(name)
        if status is None or mine is None or name not in self._open:
            return
        now = self._clock()
        match status.state:
            case WorkloadState.HELD | WorkloadState.FAILED if status.waits_for:
                self._close_idle(mine, now)
                self._close_waits(mine, status.waits_for, now)
                for text in status.waits_for:
                    mine.waits.setdefault(text, now)
            case WorkloadState.FAILED:
                self._close_waits(mine, (), now)
                self._idle(mine, SpanKind.FAILED, status.reason, now)
            case WorkloadState.PENDING if status.reason in ("starting", CRASHED):
                self._idle(mine, SpanKind.START, status.message, now)
            case WorkloadState.APPLYING | WorkloadState.VERIFYING | WorkloadState.PENDING:
                pass  # its steps are recorded
            case WorkloadState.CONVERGED | WorkloadState.AT_RISK:
                self._close_idle(mine, now)
                self._close_waits(mine, (), now)
                mine.converged = now
                del self._open[name]
            case _:
                pass

    def _idle(self, mine: Timeline, kind: SpanKind, text: str, now: float) -> None:
        if mine.idle is None or mine.idle[0] is not kind:
            self._close_idle(mine, now)
            mine.idle = kind, text, now

    def _close_idle(self, mine: Timeline, now: float) -> None:
        if mine.idle is not None:
            self._add(mine, Span(*mine.idle, now))
            mine.idle = None

    def _close_waits(self, mine: Timeline, still: Iterable[str], now: float) -> None:
        """End the waits that are over, each at the moment its fact was observed."""
        for text, since in tuple(mine.waits.items()):
            if text not in still:
                fact = self._seen.facts.get(text)
                came = fact.came if fact is not None and fact.came is not None else now
                self._add(mine, Span(SpanKind.WAIT, text, since, came if since <= came <= now else now))
                del mine.waits[text]

    def _add(self, mine: Timeline, span: Span) -> None:
        if self._count >= MOST_SPANS:
            self._seen.dropped += 1
            return
        self._count += 1
        mine.spans.append(span)


def _kind(step: str) -> SpanKind:
    match step.partition(" ")[0]:
        case "start-unit" | "restart-unit":
            return SpanKind.START
        case "verify":
            return SpanKind.VERIFY
        case _:
            return SpanKind.PREPARE
