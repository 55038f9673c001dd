"""The reconciler: single-flight runs over what is dirty, until nothing is.

Owns the order of runs, the desired state in force, and where each workload stands. It sees ports, facts and plans;
what a step does is the handlers' business, what may be done the policies'.

    trigger -> Queue -> run (async lock, then file lock) -> Converger per workload -> RunReport
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio

from eventd.core import backoff
from eventd.core.desired import Desired
from eventd.core.diagnostics import errors
from eventd.core.errors import DeadlineError, EventdError, PermanentError
from eventd.core.events import Event, EventKind, Origin
from eventd.core.facts import FactKey, FactKind, FetchFailure
from eventd.core.plan import Context
from eventd.core.predicates import Probe
from eventd.core.report import (
    Outcome,
    RunReport,
    RunResult,
    Standing,
    WorkloadReport,
    WorkloadState,
    overall,
)
from eventd.runtime.alarms import Alarms
from eventd.runtime.converge import Converger
from eventd.runtime.dispatch import Dispatcher
from eventd.runtime.failures import Failures
from eventd.runtime.holds import Holds
from eventd.runtime.host import Host
from eventd.runtime.in_force import FETCH, REVISION, InForce, Load
from eventd.runtime.index import Index
from eventd.runtime.keeper import Keeper
from eventd.runtime.ledger import Ledger
from eventd.runtime.load import Loaded
from eventd.runtime.orders import Orders
from eventd.runtime.outlook import Outlook
from eventd.runtime.probing import Probing
from eventd.runtime.progress import Progress
from eventd.runtime.queue import Batch, Queue, Ticket
from eventd.runtime.rebuild import Rebuild
from eventd.runtime.recover import Recovery
from eventd.runtime.rollback import GoingBack
from eventd.runtime.standings import Standings
from eventd.runtime.supervise import bug
from eventd.runtime.turn import Turns
from eventd.runtime.update import Updates

SHUTDOWN = FactKey(FactKind.SHUTDOWN)
log = logging.getLogger(__name__)
ALONE_TIMEOUT = 60.0
"""Seconds to wait for the end of the run that is on, for what is done between two runs."""
LOCK_TIMEOUT = 600.0
"""Seconds to wait for another eventd process on this host to finish its run."""


@dataclass(slots=True)
class Counters:
    """Totals since the daemon started."""

    runs: int = 0
    runs_failed: int = 0
    contended: int = 0
    """Triggers that came while a run was on, and got the following one."""
    checks: int = 0
    """Looks at dirty workloads that found nothing to do."""
    workload_failures: int = 0


@dataclass(slots=True)
class Reconciler:
    """See the module."""

    host: Host
    dispatcher: Dispatcher
    ledger: Ledger
    converger: Converger
    index: Index
    load: Load
    take_in: Callable[[Loaded], Awaitable[None]] | None = None
    """Told of each revision that comes into force, before it does; what it raises keeps the one before."""
    concurrency: int = 8
    wall: Callable[[], float] = time.time
    jitter: Callable[[], float] = random.random
    queue: Queue = field(default_factory=Queue)
    failures: Failures = field(default_factory=Failures)
    holds: Holds = field(default_factory=Holds)
    probe: Callable[[frozenset[Probe]], None] | None = None
    counters: Counters = field(default_factory=Counters)
    keepers: dict[str, Keeper] = field(default_factory=dict)
    """By prefix: what converges beside the workloads."""
    run_error: EventdError | None = None
    """Why the last run could not be made, or not be written down; gone with the next that is."""
    current: RunReport | None = None
    last: RunReport | None = None
    stopping: bool = False
    listeners: list[Callable[[Progress], None]] = field(default_factory=list)
    changed: list[Callable[[], None]] = field(default_factory=list)
    """Called after each look at the host, for STATUS= and metrics."""
    troubles: dict[str, EventdError] = field(default_factory=dict)
    """Sources that are down."""
    orders: Orders = field(init=False)
    """What is to be done otherwise than the repository says."""
    in_force: InForce = field(init=False)
    outlook: Outlook = field(init=False)
    standings: Standings = field(init=False)
    probing: Probing = field(init=False)
    going_back: GoingBack = field(init=False)
    updates: Updates = field(init=False)
    turns: Turns = field(init=False)
    recovery: Recovery | None = None
    """What the last life left open."""
    rebuild: Rebuild | None = None
    """What was lost with a state file."""
    _again: float | None = None
    """Loop time at which what could not be done as a whole is tried again."""
    _left: Batch | None = None
    """What that is."""
    _attempts: int = 0
    _batch: Batch | None = None
    """What the current run has to answer, as long as it can be joined."""
    _unwritten: list[RunReport] = field(default_factory=list)
    """Runs that have ended, and whose reports could not be written."""
    _interrupt: anyio.Event = field(default_factory=anyio.Event)
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    def __post_init__(self) -> None:
        """Make what is over the same store and events."""
        self.orders = Orders(self.host.store, self.dispatcher, self.wall)
        self.in_force = InForce(
            lambda: self.host,
            self.dispatcher.facts,
            self.ledger,
            self.orders,
            self.keepers,
            self.load,
            self.take_in,
            lambda name: self.standings.afresh(name),  # noqa: PLW0108 - they are made below
            lambda: self.standings.forget_gone(),  # noqa: PLW0108
        )
        self.updates = Updates(lambda: self.host, self.ledger, self.converger, self.wall)
        rows: dict[str, Standing] = {}
        facts = self.dispatcher.facts
        self.outlook = Outlook(
            self.in_force,
            self.converger,
            self.ledger,
            facts,
            self.failures,
            self.holds,
            self.updates,
            rows,
        )
        self.standings = Standings(
            rows,
            self.in_force,
            self.outlook,
            self.failures,
            self.holds,
            Alarms(self.dispatcher.emit),
            self.index,
            self.dispatcher,
            self.wall,
        )
        self.probing = Probing(self.probe, self.in_force, self.holds, facts)
        self.going_back = GoingBack(
            self.orders,
            self.ledger,
            self.converger,
            self.dispatcher.facts,
            self.in_force.roll_back,
            self.in_force.gates_of,
            lambda: self.host.repository,
            self.updates.as_verified,
        )
        self.turns = Turns(
            host=lambda: self.host,
            dispatcher=self.dispatcher,
            ledger=self.ledger,
            converger=self.converger,
            in_force=self.in_force,
            outlook=self.outlook,
            going_back=self.going_back,
            updates=self.updates,
            failures=self.failures,
            holds=self.holds,
            index=self.index,
            standings=self.standings,
            probing=self.probing,
            wall=self.wall,
            jitter=self.jitter,
            stopping=lambda: self.stopping,
            tell=self._tell_step,
        )

    def start(self) -> None:
        """Begin to listen to facts; runs begin with `serve`."""
        self.index.start()
        self.dispatcher.facts.watch((REVISION,), self._on_revision)

    @property
    def desired(self) -> Desired | None:
        """What the repository says, at the commit in force."""
        return self.in_force.desired

    @property
    def context(self) -> Context:
        """What every plan is made under."""
        return self.converger.context

    @property
    def load_error(self) -> EventdError | None:
        """Why the wanted commit is not in force."""
        return self.in_force.error

    def dirty(self, name: str) -> None:
        """One of its facts changed."""
        live = self.standings.rows.get(name)
        echo = live is not None and live.state in (WorkloadState.APPLYING, WorkloadState.VERIFYING)
        if not echo:
            self._note_contention()
        self.queue.touch(name, self.dispatcher.current, echo=echo)

    def woken(self, name: str) -> None:
        """A fact that it waits for, or failed on, changed."""
        self.failures.wake(name, anyio.current_time())
        self.dirty(name)

    def request(self, trigger: Event | None, *, asked: bool, ticket: Ticket | None = None) -> None:
        """Ask for a run over everything; `asked` gives what gave up another chance.

        A request joins a run that another request of the same kind has begun, at the wanted commit: what changed on
        the host since it began has made its workload dirty anyway.
        """
        current, batch = self.current, self._batch
        if (
            asked
            and ticket is not None
            and batch is not None
            and batch.asked
            and current is not None
            and self.dispatcher.facts.get(REVISION) == current.commit
            and not self.queue.pending
        ):
            self.current = replace(current, joined=current.joined + 1)
            batch.tickets.append(ticket)
            ticket.run = current.id
            ticket.started.set()
            return
        self._note_contention()
        self.queue.touch_all(trigger, asked=asked, ticket=ticket)

    def ask(self, name: str, trigger: Event | None, ticket: Ticket | None = None) -> None:
        """Ask for a run over one workload, which gets another chance if it gave up."""
        self._note_contention()
        self.queue.ask(name, trigger, ticket)

    def ask_all(self, names: Collection[str], trigger: Event | None, ticket: Ticket) -> None:
        """Ask for one run over several workloads; a run that has nothing to do is recorded all the same."""
        self._note_contention()
        self.queue.ask_all(names, trigger, ticket)

    def restart(self, name: str, trigger: Event | None, ticket: Ticket) -> None:
        """Ask for a run in which the units of a workload are restarted and verified.

        What is worked on just now gets it in the following run; a workload at rest joins the run that is on.
        """
        self._note_contention()
        self.queue.restart(name, trigger, ticket)

    async def serve(self) -> None:
        """Run for ever: wait for something dirty or a due retry, then deal with all of it."""
        while True:
            times = (self.failures.next_retry(), self.holds.next_deadline(), self._again)
            due = [at for at in times if at is not None]
            await self.queue.wait(max(0.0, min(due) - anyio.current_time()) if due else None)
            if self._forbidden():
                await self._until_allowed()
            now = anyio.current_time()
            self._touch_due()
            if self._again is not None and self._again <= now:
                self._again = None
                self.queue.put_back(self._left or Batch(everything=True))
                self._left = None
            batch = self.queue.take()
            if batch:
                await self._attempt(batch)

    async def _attempt(self, batch: Batch) -> None:
        """Run. What goes wrong with the run as a whole is told to who asked, and tried again after a pause.

        No exception may leave this loop: a bug in one place must not take down what still works elsewhere.
        """
        try:
            await self.run(batch)
        except EventdError as error:
            log.error("a run could not be made: %s", error)  # noqa: TRY400 - reported, not a bug
            self._failed(batch, error)
        except Exception as error:
            log.exception("bug: a run ended with %s", type(error).__name__)
            self._failed(batch, bug(error))
        else:
            if self.load_error is None:
                self._attempts = 0
            elif not isinstance(self.load_error, PermanentError):
                self._try_again(Batch(everything=True))

    def _failed(self, batch: Batch, error: EventdError) -> None:
        self.run_error = error
        self.counters.runs_failed += 1
        now, commit = self.wall(), self.desired.commit if self.desired else ""
        current = self.current or RunReport(0, now, commit, tuple(batch.triggers))
        report = replace(current, ended=now, result=RunResult.FAILED, error=str(error))
        self.current, self.last, self._batch = None, report, None
        self._answer(batch, report)
        self._try_again(replace(batch, tickets=[], restarts={}, asked=False, asked_for=set()))
        self._tell()

    def _try_again(self, batch: Batch) -> None:
        self._attempts += 1
        if self._left is not None:
            batch.names |= self._left.names
            batch.everything |= self._left.everything
        self._left = batch
        self._again = anyio.current_time() + backoff.delay(self._attempts, self.jitter())

    @staticmethod
    def _answer(batch: Batch, report: RunReport) -> None:
        for ticket in batch.tickets:
            ticket.run, ticket.report = report.id, report
            ticket.started.set()
            ticket.done.set()

    async def drain(self, grace: float) -> None:
        """Begin no new run, cut short what only waits, and give the current run `grace` seconds to end."""
        self.stopping = True
        self._interrupt.set()
        with anyio.move_on_after(grace):
            await self._lock.acquire()
            self._lock.release()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Be between two runs, of this process and of others. Raises DeadlineError(reason="busy")."""
        try:
            with anyio.fail_after(ALONE_TIMEOUT):
                await self._lock.acquire()
        except TimeoutError:
            raise DeadlineError(
                f"a run is on, and did not end within {ALONE_TIMEOUT:g} s",
                reason="busy",
                hint="eventctl status",
            ) from None
        try:
            await self.host.lock.acquire(timeout=ALONE_TIMEOUT)
            try:
                yield
            finally:
                self.host.lock.release()
        finally:
            self._lock.release()

    def forgotten(self, name: str) -> None:
        """Drop what this life knows of a workload whose records are gone, and look at it afresh."""
        self.standings.forget(name)
        self.dirty(name)

    async def run(self, batch: Batch) -> RunReport | None:
        """Deal with a batch; return the report, or None if there was nothing to do and nobody asked."""
        async with self._lock:
            if self._forbidden():
                self.queue.put_back(batch)
                return None
            await self._catch_up()
            self._interrupt = anyio.Event()
            if batch.asked:
                self.failures.forget_all()
            for name in batch.asked_for:
                self.failures.forget(name)
            before = self.load_error
            await self.in_force.load()
            batch.record |= before is not None and self.load_error is None
            if self.desired is None and self.load_error is None and FETCH not in self.dispatcher.facts:
                # The first fetch is still on; what it brings asks for a run, which answers who waits for one.
                self.queue.put_back(replace(batch, names=set(), everything=False))
                return None
            await self.in_force.end_orders()
            names = self.in_force.subjects(batch)
            todo = [name for name in names if self.outlook.has_work(name, batch)]
            if not todo and not batch.record:
                self.counters.checks += 1
                for name in names:
                    self.standings.stand(name, None)
                self._tell()
                return None
            await self.host.lock.acquire(timeout=LOCK_TIMEOUT)
            try:
                if self._forbidden():
                    self.queue.put_back(batch)
                    return None
                return await self._locked_run(batch, names, todo)
            finally:
                self.host.lock.release()

    def _behind(self) -> bool:
        """Tell whether there is something that could not be written, or not be settled."""
        unsettled = self.recovery is not None and not self.recovery.done
        return unsettled or bool(self._unwritten or self.converger.steps.unwritten)

    async def _catch_up(self) -> None:
        """Write and settle what could not be when it should have been. Raises what writing raises."""
        if not self._behind():
            return
        await self.converger.steps.write(self.host.store)
        while self._unwritten:
            await self.host.store.end_run(self._unwritten[0])
            del self._unwritten[0]
        if self.recovery is not None:
            await self.recovery.finish()
        self.run_error = None

    async def _locked_run(self, batch: Batch, names: list[str], todo: list[str]) -> RunReport:
        commit = self.desired.commit if self.desired else ""
        started = self.wall()
        triggers = tuple(batch.triggers) or ((batch.echo,) if batch.echo is not None else ())
        text = " ".join(f"{t.origin}:{t.kind}:{t.subject}" for t in triggers)
        number = await self.host.store.begin_run(started, commit, text)
        self.run_error = None
        joined = max(0, len(batch.tickets) - 1)
        self.current = RunReport(number, started, commit, triggers, joined=joined)
        self._batch = batch
        self.counters.runs += 1
        for ticket in batch.tickets:
            ticket.run = number
            ticket.started.set()
        self._tell()
        reports = {name: self.standings.stand(name, None) for name in names if name not in todo}
        limiter = anyio.CapacityLimiter(self.concurrency)

        busy: set[str] = set()

        async def one(name: str) -> None:
            try:
                async with limiter:
                    reports[name] = await self.turns.take(name, number, batch, self._interrupt)
            finally:
                busy.discard(name)
                self.queue.nudge()

        async with anyio.create_task_group() as group:
            late = todo
            while late or busy:
                for name in late:
                    busy.add(name)
                    group.start_soon(one, name)
                late = await self._latecomers(busy, batch)
        report = self._close(batch, reports)
        if self.desired is not None:
            self.standings.forget_gone()  # an account that was deleted, and its deletion, are nothing to tell of
        self._batch = None
        try:
            await self.host.store.end_run(report)
        except EventdError as error:
            # What was done is done, and who waits for it is told; it is written before anything else is done.
            log.error("the report of run %d is not written yet: %s", report.id, error)  # noqa: TRY400
            self.run_error = error
            self._unwritten.append(report)
        if self._behind():
            self._try_again(Batch(everything=True))
        self.current, self.last = None, report
        self._answer(batch, report)
        self._tell()
        return report

    async def _latecomers(self, busy: set[str], batch: Batch) -> list[str]:
        """Return which workloads became dirty while the run is on and may join it; waits until something happens.

        One workload that takes long (a slow user manager, a health check) must not keep an event of another from
        being acted on. A new revision, a request, or a workload that is worked on just now gets the following run.
        """
        if not self._interrupt.is_set() and not self._forbidden():
            names, triggers = self.queue.take_names(busy)
            for name, tickets in self.queue.take_restarts(names).items():
                batch.restarts[name] = tickets
                batch.tickets += tickets
                for ticket in tickets:
                    ticket.run = self.current.id if self.current is not None else None
                    ticket.started.set()
            await self.in_force.end_orders()
            known = self.in_force.subjects(Batch(names))
            late = [name for name in known if self.outlook.has_work(name, batch)]
            for name in known:
                if name not in late:
                    self.standings.stand(name, None)
            if late:
                if self.current is not None:
                    self.current = replace(self.current, triggers=(*self.current.triggers, *triggers))
                return late
            self._tell()
        if busy:
            times = [at for at in (self.failures.next_retry(), self.holds.next_deadline()) if at is not None]
            pause = max(0.05, min(times) - anyio.current_time()) if times else None
            await self.queue.nudged(None if self._interrupt.is_set() else pause)
            self._touch_due()
        return []

    def _touch_due(self) -> None:
        """Make dirty whose retry or deadline is due."""
        now = anyio.current_time()
        for name in (*self.failures.take_due(now), *self.holds.due(now)):
            self.queue.touch(name, self.dispatcher.emit(Origin.DAEMON, EventKind.RETRY, name, scope=name))

    def _close(self, batch: Batch, reports: dict[str, WorkloadReport]) -> RunReport:
        assert self.current is not None
        error = self.general_error() if batch.everything else ""
        rows = tuple(reports[name] for name in sorted(reports))
        result = overall([row.outcome for row in rows], error=bool(error))
        self.counters.runs_failed += result is RunResult.FAILED
        self.counters.workload_failures += sum(row.outcome is Outcome.FAILED for row in rows)
        return replace(self.current, ended=self.wall(), result=result, workloads=rows, error=error)

    async def resume(self, name: str, by: str) -> Event:
        """End the suspension and the rollback of a workload (empty: the suspension of the host).

        What they kept from being done wakes by itself; who wants to wait for it asks for a run with the event.
        """
        event = await self.in_force.resume(name, by)
        if name:
            self.dirty(name)
        return event

    def _forbidden(self) -> bool:
        """No run may begin: the daemon drains, or the host goes down."""
        return self.stopping or self.dispatcher.facts.get(SHUTDOWN) is True

    def general_error(self) -> str:
        """Return what is wrong with everything, not with one workload; empty if nothing is."""
        for error in (self.load_error, self.run_error, *self.troubles.values()):
            if error is not None:
                return str(error)
        failure = self.dispatcher.facts.get(FETCH)
        if isinstance(failure, FetchFailure):
            return failure.message
        wrong = errors(self.desired.diagnostics) if self.desired else ()
        return str(wrong[0]) if wrong else ""

    def allow(self, paths: frozenset[str]) -> None:
        """Accept these foreign files from now on."""
        if paths != self.converger.context.allow:
            self.converger.context = replace(self.converger.context, allow=paths)
            self.queue.touch_all(self.dispatcher.current, asked=False)

    def reload_desired(self) -> None:
        """Forget the desired state, so that the next run makes it anew (transforms or rules changed)."""
        self.in_force.stale = True

    def _on_revision(self, _key: FactKey) -> None:
        self._interrupt.set()
        self.request(self.dispatcher.current, asked=False)

    def _note_contention(self) -> None:
        if self.current is not None:
            self.counters.contended += 1

    async def _until_allowed(self) -> None:
        """A shutdown has been announced (or the daemon drains): nothing new begins until it is called off."""
        changed = anyio.Event()
        stop = self.dispatcher.facts.watch((SHUTDOWN,), lambda _key: changed.set())
        try:
            while self._forbidden():
                await changed.wait()
                changed = anyio.Event()
        finally:
            stop()

    def _tell_step(self, progress: Progress) -> None:
        for listener in self.listeners:
            listener(progress)

    def _tell(self) -> None:
        self.probing.look()
        for listener in self.changed:
            try:
                listener()
            except Exception:
                log.exception("bug: who is told of each look at the host failed")
