"""The desired state in force: the repository's at the wanted commit, but for what an order has in force instead.

Owns which revision that is, its gates, which subjects there are, and whose facts have to be kept for it. It decides
nothing about them, and remembers nothing of what became of them: who does is told which workloads have another content
(`afresh`), and that some may be gone (`forget_gone`).

    commit -> load -> take_in -> in force -> Outlook (what is left to do for each)
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from eventd.core.desired import Desired, HostPort, Workload
from eventd.core.errors import EventdError
from eventd.core.events import Event
from eventd.core.facts import FactKey, Facts
from eventd.core.gates import OPEN, WorkloadGates
from eventd.core.orders import Rollback
from eventd.core.predicates import Predicate, atoms
from eventd.core.readiness import needs_of
from eventd.repository.model_facts import RepositoryFact
from eventd.runtime.host import Host
from eventd.runtime.keeper import Keeper, keeper_of
from eventd.runtime.ledger import Ledger
from eventd.runtime.load import Loaded
from eventd.runtime.orders import Orders
from eventd.runtime.queue import Batch
from eventd.runtime.supervise import bug

REVISION = FactKey(RepositoryFact.REVISION)
FETCH = FactKey(RepositoryFact.FETCH)
log = logging.getLogger(__name__)

Load = Callable[[str], Awaitable[Loaded]]


@dataclass(slots=True)
class InForce:
    """See the module."""

    host: Callable[[], Host]
    facts: Facts
    ledger: Ledger
    orders: Orders
    keepers: Mapping[str, Keeper]
    read: Load
    take_in: Callable[[Loaded], Awaitable[None]] | None
    """Told of each revision that comes into force, before it does; what it raises keeps the one before."""
    attend: Callable[[Mapping[FactKey, Iterable[str]]], None]
    """Told which workloads expect something of which fact, each time that changes."""
    afresh: Callable[[str], None]
    """Called with each workload that another content is in force for."""
    forget_gone: Callable[[], None]
    """Called after each load."""
    ordered: Callable[[], Awaitable[None]] | None = None
    """Called when an order begins, with gates whose facts may not be kept yet."""
    desired: Desired | None = None
    """The repository's."""
    gates: Mapping[str, WorkloadGates] = field(default_factory=dict)
    """The repository's."""
    circular: Mapping[str, Workload] = field(default_factory=dict)
    """Those of the refused that wait for themselves."""
    asked_of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Units of a workload that gates of any workload mention."""
    probed: dict[str, Predicate] = field(default_factory=dict)
    """What is expected by workloads of which a part has to be probed."""
    error: EventdError | None = None
    """Why the wanted commit is not in force."""
    _needs: dict[str, tuple[Workload, frozenset[FactKey]]] = field(default_factory=dict)
    stale: bool = False
    """The desired state is to be made anew, though its commit is the wanted one."""

    # What is in force

    def workload(self, name: str) -> Workload | None:
        """Return what is to be made of a workload now: the repository's content, unless an order says otherwise."""
        order = self.orders.rollback_of(name)
        if order is not None:
            return order.good.workload
        return self.desired.workloads.get(name) if self.desired else None

    def ports(self) -> Mapping[str, Sequence[HostPort]]:
        """Return which ports of the host each workload publishes."""
        workloads = self.desired.workloads if self.desired is not None else {}
        return {name: workload.ports for name, workload in workloads.items()}

    def commit_of(self, name: str) -> str:
        """Return the commit of the revision that is in force; empty before the first one."""
        order = self.orders.rollback_of(name)
        return order.good.commit if order else self.desired.commit if self.desired else ""

    def gates_of(self, name: str) -> WorkloadGates:
        """Return the gates of the revision that is in force."""
        return self.orders.gates_of(name) or self.gates.get(name, OPEN)

    def needs_of(self, name: str) -> frozenset[FactKey]:
        """Return the facts of what the start of the revision in force takes; made once for each content."""
        workload = self.workload(name)
        if workload is None:
            return frozenset()
        known = self._needs.get(name)
        if known is None or known[0] is not workload:
            known = self._needs[name] = workload, needs_of(workload)
        return known[1]

    def known(self, name: str) -> bool:
        """Tell whether `name` is a workload that is wanted here or recorded, or a keeper's subject."""
        keeper = keeper_of(self.keepers, name)
        if keeper is not None:
            return name in keeper.names()
        wanted = self.desired is not None and name in self.desired.workloads
        return wanted or name in self.ledger.records.workloads

    def subjects(self, batch: Batch) -> list[str]:
        """Return which subjects a batch is about, sorted."""
        if self.desired is None:
            return []
        kept = {name for keeper in self.keepers.values() for name in keeper.names()}
        if not batch.everything:
            wanted = {*self.desired.workloads, *self.desired.refused, *kept}
            if not self.desired.partial:
                wanted |= self.ledger.records.workloads.keys()
            return sorted(batch.names & wanted)
        left = [n for n, r in self.ledger.records.workloads.items() if not r.retained]
        if self.desired.partial:
            left = []  # it may still be in the part that could not be read
        return sorted({*self.desired.workloads, *self.desired.refused, *left, *kept})

    def watch(self, name: str) -> None:
        """Have the facts of every unit that the plan, the records, or a gate of any workload looks at."""
        workload = self.workload(name)
        units = {u.name for u in workload.units} if workload else set()
        units |= self.ledger.records.units.get(name, {}).keys() | self.asked_of.get(name, frozenset())
        units |= self.orders.mentioned(name)
        self.host().user_managers.watch(name, frozenset(units))

    # What changes it

    async def load(self) -> None:
        """Bring the wanted commit into force, unless it is; what goes wrong is in `error`."""
        wanted = self.facts.get(REVISION)
        known = self.desired is not None and self.desired.commit == wanted and not self.stale
        if not isinstance(wanted, str) or known:
            return
        self.stale = False
        try:
            loaded = await self.read(wanted)
            if self.take_in is not None:
                await self.take_in(loaded)
            self.desired, self.gates = loaded.desired, loaded.gates
            self.circular = loaded.circular
            self.asked_of = loaded.asked_of()
            for name in await self.orders.desired_changed(loaded.desired, loaded.gates):
                self._afresh(name)
            if self.ordered is not None and self.orders.gates:
                await self.ordered()
            # Of what stands as it should, too, no unit may be unknown: one that only a timer starts has no record.
            for name in {**self.asked_of, **loaded.desired.workloads}:
                self.watch(name)
            for name, workload in loaded.desired.workloads.items():
                await self.orders.verified(workload, self.ledger.records.workloads.get(name))
            self.error = None
            self._attend()
            for keeper in self.keepers.values():
                keeper.loaded(loaded)
            self.forget_gone()
        except EventdError as error:
            self.error, self.stale = error, True
        except Exception as error:
            log.exception("bug: reading %s ended with %s", wanted, type(error).__name__)
            self.error, self.stale = bug(error), True

    async def roll_back(self, order: Rollback) -> None:
        """Put an order in force."""
        await self.orders.roll_back(order)
        self._attend()
        self._afresh(order.workload)
        if self.ordered is not None:
            await self.ordered()

    async def end_orders(self) -> None:
        """End the rollbacks whose cause is gone: the repository's revision gets another chance."""
        if self.orders.rollbacks.rows:
            ended = await self.orders.end_what_came_right(tuple(self.orders.rollbacks))
            for name in ended:
                self._afresh(name)
            if ended:
                self._attend()

    async def resume(self, name: str, by: str) -> Event:
        """End the suspension and the rollback of a workload (empty: the suspension of the host)."""
        event = await self.orders.resume(name, by)
        if name:
            self._afresh(name)
            self._attend()
        return event

    def _attend(self) -> None:
        """Tell which workloads a fact concerns because they expect something of it, and which of that is probed."""
        concerns: dict[FactKey, set[str]] = {}
        self.probed = {}
        for name in self.desired.workloads if self.desired is not None else ():
            gates = self.gates_of(name)
            for key in gates.keys() | self.needs_of(name):
                concerns.setdefault(key, set()).add(name)
            healthy = gates.healthy
            if healthy is not None and any(atom.probe is not None for atom in atoms(healthy)):
                self.probed[name] = healthy
        self.attend(concerns)

    def _afresh(self, name: str) -> None:
        self.afresh(name)
        self.watch(name)
