"""The engine: the runtime's parts, put together over one `Host`, and its life from the first read to the drain.

The daemon and the simulator make the same engine over different hosts. Order at the start: memory, recovery, the facts
that only memory knows to ask for, the desired state from the disk, and then the first run, with no delay in between.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from eventd.core.containers import Seen
from eventd.core.desired import Desired, Tree
from eventd.core.errors import EventdError
from eventd.core.events import Event, KernelEvent, KernelOrigin
from eventd.core.facts import FactKey
from eventd.core.gates import WorkloadGates
from eventd.core.layout import Layout, manager_unit
from eventd.core.manager_trouble import ManagerUnavailableError
from eventd.core.plan import Context
from eventd.core.predicates import Probe
from eventd.core.provenance_places import Names, names_of
from eventd.core.verdicts import Policy
from eventd.kernel.action import Action
from eventd.kernel.action_table import ActionTable
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.repository.model_events import RepositoryEvent
from eventd.runtime.approval_rules import Rules as ApprovalRules
from eventd.runtime.approvals import Approvals
from eventd.runtime.converge import Converger
from eventd.runtime.dispatch import Dispatcher
from eventd.runtime.fetch import Fetcher, nothing
from eventd.runtime.host import Host
from eventd.runtime.index import Index
from eventd.runtime.judging import View
from eventd.runtime.keeper import Keeper
from eventd.runtime.ledger import Ledger
from eventd.runtime.load import Loaded, Loader, ReadLive
from eventd.runtime.rebuild import Rebuild
from eventd.runtime.reconcile import Reconciler
from eventd.runtime.recover import Recovery
from eventd.runtime.removals import Removals
from eventd.runtime.renames import Renames
from eventd.runtime.steps import Steps
from eventd.runtime.store_resets import StoreResets
from eventd.runtime.transaction import Handler

log = logging.getLogger(__name__)
CONNECT_TIMEOUT = 30.0
"""Seconds for the bus of a manager that is up."""


@dataclass(slots=True)
class Parts:
    """What the engine is made of besides the host."""

    layout: Layout
    owner_uid: int
    handlers: Mapping[type[Action], Handler]
    policies: Sequence[Policy]
    assemble: Callable[[Tree], Awaitable[Desired]]
    actions: ActionTable
    """How each action ends in the journal, and what it means for data."""
    concurrency: int = 8
    poll: float | None = None
    wall: Callable[[], float] = time.time
    jitter: Callable[[], float] = random.random
    track: Callable[[Iterable[str]], Awaitable[None]] | None = None
    """Told which accounts to keep ACCOUNT facts of, and reads them; None: the engine reads them once."""
    need: Callable[[frozenset[FactKey]], Awaitable[None]] | None = None
    """Told which facts any gate mentions, so that their sources keep them."""
    named: Callable[[Mapping[str, frozenset[str]]], Awaitable[None]] | None = None
    """Told which files of the host workloads name, and looks at them."""
    probe: Callable[[frozenset[Probe]], None] | None = None
    """Told what has to be probed now, each time that changes."""
    audit: Callable[[Mapping[str, Names]], Awaitable[None]] | None = None
    """Told under which names foreign files would concern a workload, and looks for them."""
    diagnose: Callable[[Account, EventdError | None], Awaitable[ManagerUnavailableError | None]] | None = None
    """Says why a user's manager cannot be used; None: errors are reported as they are."""
    look: Callable[[str], Awaitable[None]] | None = None
    """Looks for foreign files of one workload, right now."""
    allow: frozenset[str] = frozenset()
    """Foreign files that an operator accepts."""
    approvals: ApprovalRules = field(default_factory=ApprovalRules)
    """Who may approve what destroys, and for how long that counts."""
    keepers: Sequence[Keeper] = ()
    """What converges beside the workloads."""
    containers: Callable[[Account], Sequence[Seen]] = lambda _account: ()
    """Tells the containers of an account, from memory."""
    reread: Callable[[], Awaitable[None]] = nothing
    """Has every source read the host afresh."""
    live_graph: ReadLive | None = None
    """Reads what the host's units wait for; None: only what the repository says is known."""


def _folders(desired: Desired) -> frozenset[FactKey]:
    """Return the facts of the folders that workloads have on volumes."""
    return frozenset(
        FactKey(PlatformFact.FILE, use.folder(name))
        for name, workload in desired.workloads.items()
        for use in workload.volumes
    )


class Engine:
    """See the module."""

    def __init__(self, host: Host, dispatcher: Dispatcher, parts: Parts) -> None:
        """Wire everything; nothing runs yet. Sources hold `dispatcher.emit` already."""
        parts.actions.check(parts.handlers)
        self.host = host
        self.dispatcher = dispatcher
        self.parts = parts
        self.ledger = Ledger(host.store)
        self.index = Index(
            dispatcher.facts, parts.layout, known=self._known, dirty=self._dirty, woken=self._woken
        )
        self.loader = Loader(host, parts.assemble, parts.live_graph)
        context = Context(parts.layout, parts.owner_uid, allow=parts.allow)
        view = View(dispatcher.facts, lambda: self.ledger.records, self.index.paths_of)
        self.approvals = Approvals(
            host.store, dispatcher.facts, dispatcher.emit, parts.approvals, wall=parts.wall
        )
        self.removals = Removals(self.ledger, self.approvals, wall=parts.wall)
        self.renames = Renames(self.ledger, self.removals)
        self.resets = StoreResets(self.ledger, self.approvals)
        self.keepers: tuple[Keeper, ...] = (self.removals, self.renames, self.resets, *parts.keepers)
        self.reconciler = Reconciler(
            host=host,
            dispatcher=dispatcher,
            ledger=self.ledger,
            converger=Converger(
                parts.handlers,
                parts.policies,
                view,
                context,
                Steps(parts.actions),
                approvals=self.approvals,
                diagnose=parts.diagnose,
                look=parts.look,
            ),
            index=self.index,
            load=self._load,
            concurrency=parts.concurrency,
            wall=parts.wall,
            jitter=parts.jitter,
            probe=parts.probe,
            containers=parts.containers,
            examine=self.resets.examine,
            keepers={keeper.prefix: keeper for keeper in self.keepers},
            take_in=self._take_in,
        )
        self.fetcher = Fetcher(
            host, dispatcher, self.reconciler, parts.jitter, parts.poll, parts.wall, parts.reread
        )
        self.recovery = Recovery(host, self.ledger, dispatcher.facts, dispatcher.emit, parts.actions)
        self.rebuild = self.reconciler.rebuild = Rebuild(
            host, self.ledger, dispatcher.facts, parts.layout, parts.owner_uid, self.loader, parts.wall
        )
        self.reconciler.runs.recovery = self.reconciler.converger.steps.recovery = self.recovery
        self.reconciler.in_force.ordered = self._ordered
        self.reconciler.going_back.read = self.loader.load
        dispatcher.listen(self._on_event)

    async def start(self) -> None:
        """Remember, and begin, for who has nothing to do in between."""
        await self.remember()
        await self.begin()

    async def remember(self) -> None:
        """Read what the last life left: of the state file, and of nothing else of the host."""
        await self.ledger.load()
        await self.reconciler.orders.load()
        await self.reconciler.updates.load()
        await self.approvals.load()
        for keeper in self.keepers:
            await keeper.remember(self.host.store)

    async def begin(self) -> None:
        """Recover, read what memory says to read, and ask for the first run.

        The system's units must have been read before. What needs another source that has not been read is held.
        """
        self.reconciler.start()
        for keeper in self.keepers:
            keeper.attach(self.dispatcher.facts, self.reconciler.dirty)
        await self.rebuild.workloads(await self.host.store.open_steps())
        for record in self.ledger.records.workloads.values():
            if record.retained:
                await self.reconciler.orders.forget(record.name)  # a crash may have come between the two
        await self.recovery.begin()
        await self._read_accounts(())
        async with anyio.create_task_group() as group:
            for record in self.ledger.records.workloads.values():
                if not record.retained:
                    group.start_soon(self._reconnect, record.name)
        await self.recovery.finish()
        boot = self.dispatcher.emit(
            KernelOrigin.DAEMON, KernelEvent.BOOT, "eventd", attributes={"interrupted": self.recovery.found}
        )
        try:
            await self.fetcher.start_offline()
        except EventdError as error:
            log.error("cannot read the commit on the disk: %s", error)  # noqa: TRY400 - reported, not a bug
        self.reconciler.request(boot, asked=False)
        self.fetcher.request()

    async def serve(self) -> None:
        """Fetch and reconcile for ever."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.fetcher.serve)
            group.start_soon(self.approvals.serve)
            group.start_soon(self.reconciler.serve)

    def _on_event(self, event: Event) -> None:
        if event.kind is RepositoryEvent.PUSHED:
            self.fetcher.request(event)

    async def _load(self, commit: str) -> Loaded:
        loaded = await self.loader.load(commit)
        await self._read_accounts(loaded.desired.workloads)
        await self.rebuild.files(loaded.desired)
        await self._need(loaded.gates, loaded.desired)
        return loaded

    async def _ordered(self) -> None:
        """Another revision is in force, whose gates may mention other facts."""
        if self.reconciler.desired is not None:
            await self._need(self.reconciler.in_force.gates, self.reconciler.desired)

    async def _need(self, gates: Mapping[str, WorkloadGates], desired: Desired) -> None:
        """Have the facts kept that any gate mentions, those of revisions that are in force by an order too."""
        if self.parts.need is not None:
            mentioned = self.reconciler.orders.keys().union(*(each.keys() for each in gates.values()))
            starts = (self.reconciler.in_force.needs_of(name) for name in desired.workloads)
            await self.parts.need(mentioned.union(_folders(desired), *starts))
        orders = self.reconciler.orders
        rolled = {name: orders.rollback_of(name) for name in desired.workloads}
        current = {
            name: order.good.workload if (order := rolled[name]) is not None else each
            for name, each in desired.workloads.items()
        }
        if self.parts.named is not None:
            await self.parts.named(
                {
                    name: frozenset(named.path for unit in each.units for named in unit.named)
                    for name, each in current.items()
                }
            )
        if self.parts.audit is not None:
            await self.parts.audit({name: names_of(each) for name, each in current.items()})

    async def _take_in(self, loaded: Loaded) -> None:
        """Write down what a revision says of data and approvals, before anything is done for it."""
        await self.removals.note(loaded.desired)
        await self.approvals.committed(loaded.approvals)

    async def _read_accounts(self, wanted: Iterable[str]) -> None:
        """Have ACCOUNT facts of every wanted and recorded workload, and FILE facts of those that are eventd's."""
        recorded = self.ledger.records.workloads
        names = {*wanted, *recorded}
        if self.parts.track is not None:
            await self.parts.track(names)
        for name in sorted(names):
            key = FactKey(PlatformFact.ACCOUNT, name)
            account = self.dispatcher.facts.get(key)
            if account is None and self.parts.track is None:
                account = await self.host.accounts.lookup(name)
                self.dispatcher.emit(
                    KernelOrigin.DAEMON, KernelEvent.READ, name, scope=name, facts=[(key, account)]
                )
            if name in recorded and isinstance(account, Account):
                for folder in self.parts.layout.folders(account.uid):
                    await self.host.file_watch.watch(folder)

    async def _reconnect(self, name: str) -> None:
        """Connect to the manager of a known workload if it is up; if not, the first plan starts it."""
        account = self.dispatcher.facts.get(FactKey(PlatformFact.ACCOUNT, name))
        if not isinstance(account, Account):
            return
        unit = as_unit(self.dispatcher.facts.get(FactKey(PlatformFact.UNIT, manager_unit(account.uid))))
        units = frozenset(self.ledger.records.units.get(name, {}))
        self.host.user_managers.watch(name, units | self.recovery.units_of(name))
        if unit is None or not unit.up:
            return
        try:
            await self.host.user_managers.connect(account, timeout=CONNECT_TIMEOUT)
        except EventdError as error:
            log.warning("the manager of %s cannot be reached yet: %s", name, error)

    def _known(self, name: str) -> bool:
        return self.reconciler.in_force.known(name)

    def _dirty(self, name: str) -> None:
        self.reconciler.dirty(name)

    def _woken(self, name: str) -> None:
        self.reconciler.woken(name)
