"""Active overrides: suspensions and rollbacks, and the verified revisions to roll back to. Kept across restarts.

Owns the effective workload. An override is stored before anything is done for it. Everything else follows from the
difference between the effective and the observed state, so the next plan continues after a crash at any point.
A suspension is also a fact (SUSPENSION), so that its end wakes what it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from eventd.desired.model import Desired, Workload
from eventd.gates.model import WorkloadGates, read_gates
from eventd.gates.model_predicates import All, Not, Predicate
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.document_table import DocumentTable, write
from eventd.kernel.model.events import Event, EventKind, KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.report import WorkloadReport
from eventd.kernel.ports import DocumentStore
from eventd.kernel.whole import wholly
from eventd.overrides.model import (
    TRIES,
    Revision,
    Revisions,
    Rollback,
    Suspension,
    came_right,
    failed_on,
    identity,
    wakes,
)
from eventd.overrides.model_events import OverrideEvent
from eventd.overrides.model_facts import OverrideFact
from eventd.platform.model_facts import PlatformFact
from eventd.workloads.model_records import WorkloadRecord

UNREADABLE = WorkloadGates(requires=Not(All(())))
"""Gates for a revision whose own can no longer be read: they are never met, so that nothing starts."""


@dataclass(slots=True)
class Overrides:
    """See the module."""

    store: DocumentStore
    dispatcher: Dispatcher
    wall: Callable[[], float]
    suspensions: DocumentTable[Suspension] = field(init=False)
    rollbacks: DocumentTable[Rollback] = field(init=False)
    revisions: DocumentTable[Revisions] = field(init=False)
    desired: Desired | None = None
    """The repository's desired state, active where there is no override."""
    gates: dict[str, WorkloadGates] = field(default_factory=dict)
    """The gates of revisions that are active by an override."""
    wanted_gates: Mapping[str, WorkloadGates] = field(default_factory=dict)
    """The gates of the repository's revision."""
    _identities: dict[str, tuple[Workload, str]] = field(default_factory=dict)
    _tries: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Name the document tables."""
        self.suspensions = DocumentTable(self.store, "suspension", Suspension)
        self.rollbacks = DocumentTable(self.store, "rollback", Rollback)
        self.revisions = DocumentTable(self.store, "revisions", Revisions)

    async def load(self) -> None:
        """Load what is stored, before the first run."""
        for table in (self.suspensions, self.rollbacks, self.revisions):
            await table.load()
        self.dispatcher.emit(
            KernelOrigin.DAEMON,
            KernelEvent.READ,
            "orders",
            facts=[(suspension_key(name), row.sentence) for name, row in self.suspensions.rows.items()],
        )

    # What is active

    def rollback_of(self, name: str) -> Rollback | None:
        """Return the active rollback of a workload: one away from exactly what the repository has now."""
        order = self.rollbacks.get(name)
        wanted = self.desired.workloads.get(name) if self.desired else None
        if order is None or wanted is None or self._identity(wanted) != order.bad:
            return None
        return order

    def effective(self, name: str) -> Workload | None:
        """Return the effective workload: the repository's, or that of a rollback."""
        order = self.rollback_of(name)
        if order is not None:
            return order.good.workload
        return self.desired.workloads.get(name) if self.desired else None

    def gates_of(self, name: str) -> WorkloadGates | None:
        """Return the gates of the revision that a rollback made active; None without one."""
        return self.gates.get(name, UNREADABLE) if self.rollback_of(name) is not None else None

    def suspension_of(self, name: str) -> Suspension | None:
        """Return the suspension of a workload: its own, or the host's."""
        return self.suspensions.get(name) or self.suspensions.get("")

    def keys(self) -> frozenset[FactKey]:
        """Return every fact in the gates that an override made active."""
        return frozenset().union(*(gates.keys() for gates in self.gates.values()))

    def wakes(self, name: str) -> frozenset[FactKey]:
        """Return the facts whose change may end the rollback of a workload."""
        order = self.rollback_of(name)
        if order is None or not order.automatic or self._exhausted(order):
            return frozenset()
        return wakes(order, self._wanted_expect(name))

    # Begin and end

    @wholly
    async def suspend(self, name: str, by: str, why: str) -> Suspension:
        """Suspend a workload (empty: the whole host)."""
        row = Suspension(name, self.wall(), by, why)
        await self.suspensions.put(name, row)
        self._override_event(OverrideEvent.SUSPENDED, name, {"by": by, "why": why}, row.sentence)
        return row

    @wholly
    async def resume(self, name: str, by: str) -> Event:
        """End the suspension and the rollback of a workload (empty: the suspension of the host)."""
        order = self.rollbacks.get(name)
        await write([(self.suspensions, name, None), (self.rollbacks, name, None)])
        self.gates.pop(name, None)
        if order is not None:
            self._tries.pop((name, order.bad), None)
        return self._override_event(OverrideEvent.RESUMED, name, {"by": by}, None)

    @wholly
    async def roll_back(self, order: Rollback) -> None:
        """Make another revision active. The plan does the rest."""
        self.gates[order.workload] = self._read_gates(order)
        await self.rollbacks.put(order.workload, order)
        self.dispatcher.emit(
            KernelOrigin.DAEMON if order.automatic else KernelOrigin.REQUEST,
            OverrideEvent.ROLLED_BACK,
            order.workload,
            scope=order.workload,
            attributes={
                "from": order.bad_commit,
                "to": order.good.commit,
                "automatic": order.automatic,
                "reason": order.reason,
            },
        )

    async def desired_changed(self, desired: Desired, gates: Mapping[str, WorkloadGates]) -> list[str]:
        """Set a new desired state; return the workloads whose rollback it ends.

        A refused workload keeps its state and its override.
        """
        self.desired, self.wanted_gates = desired, gates
        self._identities.clear()
        ended = []
        for name, order in list(self.rollbacks.rows.items()):
            wanted = desired.workloads.get(name)
            gone = wanted is None and name not in desired.refused and not desired.partial
            if gone or (wanted is not None and self._identity(wanted) != order.bad):
                await self.rollbacks.put(name, None)
                self.gates.pop(name, None)
                ended.append(name)
            else:
                self.gates[name] = self._read_gates(order)
        return ended

    async def end_what_came_right(self, names: Iterable[str]) -> list[str]:
        """End the automatic rollbacks among `names` whose cause is gone; return those workloads."""
        ended = []
        for name in names:
            order = self.rollback_of(name)
            if order is None or self._exhausted(order):
                continue
            if came_right(order, self._wanted_expect(name), self.dispatcher.facts):
                await self.rollbacks.put(name, None)
                self._tries[name, order.bad] = self._tries.get((name, order.bad), 0) + 1
                self.gates.pop(name, None)
                ended.append(name)
        return ended

    async def verified(self, workload: Workload, record: WorkloadRecord | None) -> None:
        """Store a revision that its record says is verified, unless it is stored already."""
        if record is None or record.retained or not record.verified_digest:
            return
        known = self.revisions.get(workload.name) or Revisions()
        newest = known.rows[0].workload if known.rows else None
        if newest is workload or newest == workload:
            return
        if record.verified_digest != workload.digest:
            return
        row = Revision(workload, workload.digest, record.verified_commit, record.verified_at)
        await self.revisions.put(workload.name, known.with_verified(row))

    async def forget(self, name: str) -> None:
        """Drop the revisions of a workload that left the repository: it cannot be rolled back."""
        if name in self.revisions:
            await self.revisions.put(name, None)

    def make_automatic(self, workload: Workload, report: WorkloadReport) -> Rollback | None:
        """Return the rollback of a change that failed; None if there is no revision to roll back to."""
        name = workload.name
        rows = self.revisions.get(name)
        good = rows.other_than((workload.digest,)) if rows is not None else None
        if good is None or self.desired is None or self.rollback_of(name) is not None:
            return None
        return Rollback(
            name,
            self._identity(workload),
            self.desired.commit,
            good,
            self.wall(),
            "eventd",
            automatic=True,
            reason=report.reason,
            message=report.message,
            unit=report.failing_unit,
            log=report.log,
            failed_on=failed_on(self._wanted_expect(name), report, name, self.dispatcher.facts),
        )

    def mentioned(self, name: str) -> frozenset[str]:
        """Return the units of a workload in the gates of any override."""
        return frozenset(
            key.name for key in self.keys() if key.kind is PlatformFact.UNIT and key.scope == name
        )

    def before(self, name: str) -> Revision | None:
        """Return the newest verified revision that is neither the repository's nor the active one."""
        rows, wanted = self.revisions.get(name), self.desired.workloads.get(name) if self.desired else None
        known = [each.digest for each in (wanted, self.effective(name)) if each is not None]
        return rows.other_than(known) if rows is not None else None

    def make(self, name: str, good: Revision, by: str) -> Rollback | None:
        """Return the rollback that an operator requests; None if the repository does not have the workload."""
        wanted = self.desired.workloads.get(name) if self.desired else None
        if wanted is None or self.desired is None:
            return None
        return Rollback(
            name, self._identity(wanted), self.desired.commit, good, self.wall(), by, automatic=False
        )

    def _exhausted(self, order: Rollback) -> bool:
        return self._tries.get((order.workload, order.bad), 0) >= TRIES

    def _wanted_expect(self, name: str) -> Predicate | None:
        gates = self.wanted_gates.get(name)
        return gates.expect if gates is not None else None

    def _identity(self, workload: Workload) -> str:
        known = self._identities.get(workload.name)
        if known is None or known[0] is not workload:
            known = self._identities[workload.name] = workload, identity(workload)
        return known[1]

    def _read_gates(self, order: Rollback) -> WorkloadGates:
        """Return the gates of a rollback's revision, parsed against the current workloads."""
        if self.desired is None:
            return UNREADABLE
        revision = order.good.workload
        others = {**self.desired.workloads, order.workload: revision}
        gates, mistakes = read_gates(replace(self.desired, workloads=others), only=order.workload)
        return UNREADABLE if mistakes else gates.get(order.workload, WorkloadGates())

    def _override_event(
        self, kind: EventKind, name: str, attributes: Mapping[str, str], value: str | None
    ) -> Event:
        return self.dispatcher.emit(
            KernelOrigin.REQUEST,
            kind,
            name or "host",
            scope=name,
            attributes=attributes,
            facts=[(suspension_key(name), value)],
        )


def suspension_key(name: str) -> FactKey:
    """Return the fact of a suspension; empty: the host's."""
    return FactKey(OverrideFact.SUSPENSION, name)


def suspended(name: str, facts: Facts) -> bool:
    """Return whether a workload is suspended, itself or with the host."""
    return suspension_key(name) in facts or suspension_key("") in facts
