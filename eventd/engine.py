"""The engine: makes the parts of the runtime over one `Host`, and starts and serves them.

The daemon and the simulator make the same engine over different hosts. Each part is complete when it is made. The order
is: observed state, desired state, decisions, actions, runs. At the start it loads the state file, recovers, reads the
facts of recorded workloads, loads the last commit from the disk, and begins the first run at once.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from eventd.adoption.controller import forget_stores
from eventd.adoption.controller_aside import MovingAside
from eventd.adoption.controller_disown import Disowning
from eventd.approvals.controller import Approvals
from eventd.approvals.controller_rules import Rules as ApprovalRules
from eventd.audit.controller_alarms import Alarms
from eventd.commands import Commands
from eventd.containers.model import ObservedContainer
from eventd.desired.controller_activation import Activation, Participant
from eventd.desired.controller_active import ActiveRevision
from eventd.desired.controller_interests import Interests, Wants
from eventd.desired.controller_load import Loader, ReadLive
from eventd.desired.model import Desired, Tree
from eventd.gates.controller_probing import Probing
from eventd.gates.model_predicates import Probe
from eventd.health.controller import HealthController
from eventd.health.controller_wellbeing import Wellbeing
from eventd.kernel.agenda import Agenda
from eventd.kernel.controller import Controllers, RetryState
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.domain import Built
from eventd.kernel.domain import Context as SharedContext
from eventd.kernel.draining import Draining
from eventd.kernel.executor import Executor
from eventd.kernel.failures import Failures
from eventd.kernel.holds import Holds
from eventd.kernel.index import Index
from eventd.kernel.leftovers import Leftovers
from eventd.kernel.listeners import Listeners
from eventd.kernel.model.action_table import ActionTable
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import Event, KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.kernel.progress import Progress
from eventd.kernel.queue import Queue
from eventd.kernel.run_loop import RunLoop
from eventd.kernel.run_watch import RunWatch
from eventd.kernel.runs import Runs
from eventd.kernel.source_errors import SourceErrors
from eventd.kernel.status_board import StatusBoard
from eventd.kernel.status_store import Records, Statuses
from eventd.kernel.steps import Steps
from eventd.kernel.supervise import beside
from eventd.kernel.turns import Tell, Turns
from eventd.managers.model_trouble import ManagerUnavailableError
from eventd.overrides.controller import Overrides
from eventd.overrides.controller_rollback import RollbackController
from eventd.platform.model_facts import Account, PlatformFact
from eventd.port_set import Host
from eventd.queries import Queries
from eventd.removal.controller import Removals
from eventd.removal.controller_gone import Gone
from eventd.repository.controller_fetch import Fetcher, nothing
from eventd.repository.model_events import RepositoryEvent
from eventd.state.controller_inventory import Inventory
from eventd.state.controller_rebuild import Rebuild
from eventd.state.controller_recovery import Recovery
from eventd.status.controller_problems import Problems
from eventd.updates.controller import UpdateController
from eventd.updates.controller_images import VerifiedImages
from eventd.workloads.controller import WorkloadController
from eventd.workloads.controller_accounts import KnownAccounts, Track
from eventd.workloads.controller_judging import UNSEEN, Judge, Sight, View
from eventd.workloads.controller_managers import diagnosed
from eventd.workloads.controller_owners import Owners
from eventd.workloads.controller_planner import Planner
from eventd.workloads.controller_transaction import Transaction
from eventd.workloads.model_case import Policy
from eventd.workloads.model_context import Context
from eventd.workloads.model_final import FINAL
from eventd.workloads.model_layout import Layout

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Parts:
    """What the engine needs besides the host."""

    layout: Layout
    owner_uid: int
    context: SharedContext
    """What the domains share on this host. The engine adds observed and desired state before it builds them."""
    build: Callable[[SharedContext], Built]
    """Makes the controllers and handlers of the domains."""
    policies: Sequence[Policy]
    assemble: Callable[[Tree], Awaitable[Desired]]
    actions: ActionTable
    """How a step of each action is settled, and what the action means for data."""
    concurrency: int = 8
    poll: float | None = None
    jitter: Callable[[], float] = random.random
    track: Track | None = None
    wants: Wants = field(default_factory=Wants)
    """Tells sources which facts the active revision needs."""
    probe: Callable[[frozenset[Probe]], None] | None = None
    """Called with the probes that are needed, whenever they change."""
    diagnose: Callable[[Account, EventdError | None], Awaitable[ManagerUnavailableError | None]] | None = None
    """Returns why a user's manager cannot be used. None: errors are reported as they are."""
    look: Callable[[str], Awaitable[None]] | None = None
    """Reads the foreign files of one workload now."""
    allow: frozenset[str] = frozenset()
    """Foreign files that an operator accepts."""
    approvals: ApprovalRules = field(default_factory=ApprovalRules)
    """Who may approve destructive actions, and how long an approval is valid."""
    containers: Callable[[Account], Sequence[ObservedContainer]] = lambda _account: ()
    """Returns the containers of an account, from memory."""
    reread: Callable[[], Awaitable[None]] = nothing
    """Makes every source read the host again."""
    live_graph: ReadLive | None = None
    """Reads the dependencies of the host's units. None: only those in the repository are known."""


class Engine:
    """See the module."""

    def __init__(self, host: Host, inventory: Inventory, dispatcher: Dispatcher, parts: Parts) -> None:
        """Make all parts. Nothing runs yet. Sources already have `dispatcher.emit`."""
        facts, wall, context = dispatcher.facts, parts.context.wall, parts.context
        self.host, self.dispatcher, self.parts = host, dispatcher, parts
        self.steps: Listeners[[Progress]] = Listeners("a step")
        """Notified of each step of a run."""
        self.passes: Listeners[[]] = Listeners("a pass")
        """Notified after each pass, and when a run begins or waits for the host's lock."""
        content_changed: Listeners[[str]] = Listeners("changed content")
        revised: Listeners[[]] = Listeners("another revision")
        forced: Listeners[[]] = Listeners("a run that is asked for")
        # Observed state.
        self.inventory = inventory
        self.owners = owners = Owners(facts, parts.layout)
        self.index = Index(facts, owners.workload_of)
        self.queue = Queue()
        records = Records()
        self.statuses = Statuses(records)
        self.judge = judge = Judge(parts.policies, lambda: self.inventory.records, facts)
        self.retries = retries = RetryState(
            Failures(records, FINAL), Holds(records), self.index.wake_on, parts.jitter, judge
        )
        draining = Draining(facts, FactKey(PlatformFact.SHUTDOWN))
        # Desired state.
        self.approvals = Approvals(inventory.documents, facts, dispatcher.emit, parts.approvals, wall=wall)
        self.overrides = Overrides(inventory.documents, dispatcher, wall)
        self.loader = Loader(host, parts.assemble, parts.live_graph)
        self.active = active = ActiveRevision(self.overrides)
        interests = Interests(active, self.inventory, self.index, host, parts.wants)
        # Decisions.
        view = View(facts, lambda: self.inventory.records, owners.paths_of)
        planning = Context(parts.layout, parts.owner_uid, allow=parts.allow)
        self.planner = Planner(active, view, judge, self.inventory, facts, retries.failures, planning)
        self.wellbeing = Wellbeing(
            facts, dispatcher.emit, active.gates_of, active.needs_of, self.statuses, wall
        )
        context.share(Host, host)
        context.share(Inventory, inventory)
        context.share(Approvals, self.approvals)
        context.share(Overrides, self.overrides)
        context.share(ActiveRevision, active)
        context.share(Planner, self.planner)
        built = parts.build(context)
        parts.actions.check(built.handlers)
        self.handlers = built.handlers
        # Actions.
        self.recovery = Recovery(host, self.inventory, facts, dispatcher.emit, parts.actions)
        steps = Steps(inventory.journal, self._detail, self.recovery)
        handlers = diagnosed(built.handlers, parts.diagnose)
        self.watch = RunWatch()
        self.executor = executor = Executor(handlers, judge, steps, self.approvals, self.watch)
        workloads = WorkloadController(
            active, interests, self.planner, self.inventory, dispatcher, self.wellbeing, parts.look
        )
        self.images = images = context.need(VerifiedImages)
        self.updates, self.removals = context.need(UpdateController), context.need(Removals)
        self.alarms = context.need(Alarms)
        self.accounts = KnownAccounts(
            host, self.inventory, dispatcher, parts.layout, self.recovery, parts.track
        )
        self.rebuild = Rebuild(host, self.inventory, facts, parts.layout, parts.owner_uid, self.loader, wall)
        kept = [each for each in built.controllers if isinstance(each, Participant)]
        participants: list[Participant] = [self.accounts, self.rebuild, *kept, self.approvals]
        self.activation = activation = Activation(
            facts,
            self.loader.load,
            active,
            self.overrides,
            self.inventory,
            interests,
            retries,
            participants,
            content_changed,
            revised,
        )
        self.rollbacks = RollbackController(
            self.overrides, activation, workloads, executor, facts, host.repository, images, self.index,
            self.loader.load,
        )  # fmt: skip
        health = HealthController(
            active, self.planner, self.wellbeing, retries.failures, facts, self.rollbacks
        )
        self.controllers = Controllers(workloads, (health, self.rollbacks, *built.controllers))
        board = StatusBoard(self.statuses, self.controllers, retries, wall)
        gone = Gone(active, workloads, board, retries.holds, self.alarms, facts)
        revised.subscribe("what is gone", gone.sweep)
        # Runs.
        probing = Probing(parts.probe, active, retries.holds, facts)

        def open_transaction(name: str, run: int, interrupt: anyio.Event, progress: Tell) -> Transaction:
            return Transaction(
                run=run,
                workload=name,
                commit=active.commit_of(name),
                facts=facts,
                emit=dispatcher.emit,
                draining=draining,
                interrupt=interrupt,
                progress=progress,
                now=wall,
                host=host,
                inventory=self.inventory,
                layout=parts.layout,
                owner_uid=parts.owner_uid,
                ports=active.ports,
                expecting=lambda predicate: probing.expect(name, predicate),
            )

        turns = Turns(
            controllers=self.controllers, executor=executor, retries=retries, board=board, draining=draining,
            open=open_transaction, steps=self.steps, wall=wall,
        )  # fmt: skip
        sources = SourceErrors(facts, lambda: self.queue.touch_all(dispatcher.current))
        self.problems = problems = Problems(sources, activation, active, facts)
        self.runs = Runs(
            lock=host.lock, store=inventory.journal, dispatcher=dispatcher, queue=self.queue, revision=activation,
            agenda=Agenda(self.controllers, board, retries, self.queue, dispatcher, (self.wellbeing,)),
            turns=turns, leftovers=Leftovers(inventory.journal, steps, self.recovery, parts.jitter),
            draining=draining, wall=wall, watch=self.watch, concurrency=parts.concurrency,
            problems=problems, passes=self.passes, forget_gone=gone.sweep,
        )  # fmt: skip
        self.loop = RunLoop(
            dispatcher=dispatcher, index=self.index, queue=self.queue, controllers=self.controllers,
            board=board, forced=forced, runs=self.runs,
        )  # fmt: skip
        self.fetcher = Fetcher(
            host, dispatcher, self.loop, self.loader.load, parts.jitter, parts.poll, wall, parts.reread
        )
        self.aside = MovingAside(inventory.documents, host.account_inspector, host.accounts.lookup, wall)
        disowning = Disowning(
            host, dispatcher, self.inventory, self.runs, active, self.loop, gone, parts.layout, wall
        )
        self.queries = Queries(
            facts=facts, problems=problems, steps=self.steps, passes=self.passes, statuses=self.statuses, now=wall,
            containers=parts.containers, _host=host, _dispatcher=dispatcher, _queue=self.queue, _runs=self.runs,
            _retries=retries, _inventory=self.inventory, _active=active, _activation=activation,
            _overrides=self.overrides, _planner=self.planner, _wellbeing=self.wellbeing, _alarms=self.alarms,
            _updates=self.updates, _images=images, _approvals=self.approvals, _rebuild=self.rebuild,
            _recovery=self.recovery,
        )  # fmt: skip
        """The read side."""
        self.commands = Commands(
            _host=host, _dispatcher=dispatcher, _loop=self.loop, _runs=self.runs, _fetcher=self.fetcher,
            _activation=activation, _overrides=self.overrides, _rollbacks=self.rollbacks, _updates=self.updates,
            _inventory=self.inventory, _removals=self.removals, _approvals=self.approvals,
            _rebuild=self.rebuild, _disowning=disowning, _aside=self.aside, _planner=self.planner, _judge=judge,
            _problems=problems, _now=wall,
        )  # fmt: skip
        """The write side."""
        content_changed.subscribe("health", self.wellbeing.forget)
        forced.subscribe("adoption", lambda: forget_stores(facts))
        self.passes.subscribe("probing", probing.refresh)
        dispatcher.subscribe("the fetcher", self._on_event)

    def _detail(self, action: Any, sight: Sight | None) -> Mapping[str, str]:
        seen = sight.observed if sight is not None else UNSEEN
        return self.parts.actions.detail(action, seen, self.inventory.records, self.parts.layout)

    async def start(self) -> None:
        """Load the stored state and begin."""
        await self.remember()
        await self.begin()

    async def remember(self) -> None:
        """Load what the previous process stored: from the state file, and from nothing else of the host."""
        await self.inventory.load()
        await self.overrides.load()
        await self.approvals.load()
        await self.images.load()
        await self.aside.load()
        for controller in self.controllers.rows:
            await controller.load()

    async def begin(self) -> None:
        """Recover, read the facts of recorded workloads, and ask for the first run.

        The system's units must have been read before. What needs another source is held until that has been read.
        """
        self.owners.start()
        self.loop.start()
        self.wellbeing.start()
        for controller in self.controllers.rows:
            controller.attach(self.dispatcher.facts, self.loop.dirty)
        await self.rebuild.workloads(await self.inventory.journal.open_steps())
        for record in self.inventory.records.workloads.values():
            if record.retained:
                await self.overrides.forget(record.name)  # needed after a crash between the two writes
        await self.recovery.begin()
        await self.accounts.read(())
        await self.accounts.reconnect()
        await self.recovery.finish()
        boot = self.dispatcher.emit(
            KernelOrigin.DAEMON, KernelEvent.BOOT, "eventd", attributes={"interrupted": self.recovery.found}
        )
        try:
            await self.fetcher.start_offline()
        except EventdError as error:
            log.error("cannot read the commit on the disk: %s", error)  # noqa: TRY400 - reported, not a bug
        self.loop.request(boot, forced=False)
        self.fetcher.request()

    async def serve(self) -> None:
        """Fetch and reconcile for ever."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.fetcher.serve)
            group.start_soon(self.approvals.serve)
            group.start_soon(beside, "moving aside", self.aside.settle)
            group.start_soon(self.loop.serve)

    def _on_event(self, event: Event) -> None:
        if event.kind is RepositoryEvent.PUSHED:
            self.fetcher.request(event)
