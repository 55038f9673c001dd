"""Runs: one at a time on this host, each over a batch of subjects, until nothing of it is dirty.

Owns the two locks (of this process, of the host), the run that is on and who waits for it, who may still join it, and
its report, which is written before anything else is done. It decides neither when a run begins (the reconciler does)
nor what a subject needs (the outlook does).

    Batch -> what has work -> lock -> Turns, latecomers -> RunReport -> store, tickets
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio

from eventd.core.errors import DeadlineError, EventdError, TemporaryError
from eventd.core.events import Event, KernelEvent, KernelOrigin
from eventd.core.ports import LockHolder
from eventd.core.report import Outcome, RunReport, RunResult, WorkloadReport, overall
from eventd.runtime import waiting
from eventd.runtime.converge import Converger
from eventd.runtime.dispatch import Dispatcher
from eventd.runtime.failures import Failures
from eventd.runtime.holds import Holds
from eventd.runtime.host import Host
from eventd.runtime.in_force import FETCH, REVISION, InForce
from eventd.runtime.outlook import Outlook
from eventd.runtime.queue import Batch, Queue, Ticket
from eventd.runtime.recover import Recovery
from eventd.runtime.standings import Standings
from eventd.runtime.transaction import SHUTDOWN, EndingError
from eventd.runtime.triggers import noted
from eventd.runtime.turn import Turns
from eventd.runtime.wellbeing import Wellbeing

log = logging.getLogger(__name__)
ALONE_TIMEOUT = 60.0
"""Seconds to wait for the end of the run that is on, for what is done between two runs."""
LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process on this host to let go of the lock; who it is, is said at once."""


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


@dataclass(slots=True, kw_only=True)
class Runs:
    """See the module."""

    host: Callable[[], Host]
    dispatcher: Dispatcher
    converger: Converger
    queue: Queue
    in_force: InForce
    outlook: Outlook
    standings: Standings
    turns: Turns
    failures: Failures
    holds: Holds
    wellbeing: Wellbeing
    wall: Callable[[], float]
    concurrency: int
    """Turns side by side."""
    wrong: Callable[[], str]
    """Says what is wrong with everything, not with one workload."""
    try_again: Callable[[Batch], None]
    """Called with what could not be done as a whole."""
    tell: Callable[[], None]
    """Called after each look at the host."""
    recovery: Recovery | None = None
    """What the last life left open."""
    counters: Counters = field(default_factory=Counters)
    current: RunReport | None = None
    last: RunReport | None = None
    locked: EventdError | None = None
    """Who keeps a run from beginning, while that is so."""
    error: EventdError | None = None
    """Why the last run could not be made, or not be written down; gone with the next that is."""
    stopping: bool = False
    """The daemon drains: no run begins."""
    _batch: Batch | None = None
    """What the current run has to answer, as long as it can be joined."""
    _joined: list[tuple[Ticket, Event]] = field(default_factory=list)
    """Requests that the current run answers if it goes well: nobody asked for it, so another one is made if not."""
    applied: RunReport | None = None
    """The last run that did anything, for the commit that is in force."""
    _unwritten: list[RunReport] = field(default_factory=list)
    """Runs that have ended, and whose reports could not be written."""
    _interrupt: anyio.Event = field(default_factory=anyio.Event)
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def run(self, batch: Batch) -> RunReport | None:
        """Deal with a batch; return the report, or None if there was nothing to do and nobody asked."""
        async with self._lock:
            if self.forbidden():
                self.queue.put_back(batch)
                return None
            await self._catch_up()
            self._interrupt = anyio.Event()
            if batch.asked:
                self.failures.forget_all()
            for name in batch.asked_for:
                self.failures.forget(name)
            before = self.in_force.error
            await self.in_force.load()
            batch.record |= before is not None and self.in_force.error is None
            if (
                self.in_force.desired is None
                and self.in_force.error is None
                and FETCH not in self.dispatcher.facts
            ):
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
                self.tell()
                return None
            await self._acquire(LOCK_TIMEOUT)
            try:
                if self.forbidden():
                    self.queue.put_back(batch)
                    return None
                return await self._locked_run(batch, names, todo)
            finally:
                self.host().lock.release()

    async def _acquire(self, timeout: float) -> None:
        """Take the host's lock, and say at once who has it if that takes a while."""

        def waiting(holder: LockHolder | None) -> None:
            who = holder.text if holder is not None else "another process"
            self.locked = TemporaryError(
                f"{who} holds the lock of this host's runs, and a run waits for it for up to {timeout:g} s",
                reason="host-locked",
                hint=f"ps -fp {holder.pid} shows it" if holder is not None else "cat /proc/locks",
            )
            log.warning("%s", self.locked.message)
            self.dispatcher.emit(
                KernelOrigin.DAEMON,
                KernelEvent.LOCKED,
                "runs",
                attributes={"pid": holder.pid, "command": holder.command} if holder is not None else {},
            )
            self.tell()

        try:
            await self.host().lock.acquire(timeout=timeout, waiting=waiting)
        finally:
            self.locked = None

    async def _locked_run(self, batch: Batch, names: list[str], todo: list[str]) -> RunReport:
        commit = self.in_force.desired.commit if self.in_force.desired else ""
        started = self.wall()
        triggers = tuple(batch.triggers) or ((batch.echo,) if batch.echo is not None else ())
        text = " ".join(f"{t.origin}:{t.kind}:{t.subject}" for t in triggers)
        number = await self.host().store.begin_run(started, commit, text)
        self.error = None
        joined = max(0, batch.requests - 1)
        self.current = RunReport(number, started, commit, triggers, joined=joined)
        self._batch = batch
        self.counters.runs += 1
        for ticket in batch.tickets:
            ticket.run = number
            ticket.started.set()
        self.tell()
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
        if self.in_force.desired is not None:
            self.standings.forget_gone()  # an account that was deleted, and its deletion, are nothing to tell of
        self._batch = None
        try:
            await self.host().store.end_run(report)
        except EventdError as error:
            # What was done is done, and who waits for it is told; it is written before anything else is done.
            log.error("the report of run %d is not written yet: %s", report.id, error)  # noqa: TRY400
            self.error = error
            self._unwritten.append(report)
        for row in report.workloads:
            if row.outcome is Outcome.SUPERSEDED and row.reason == EndingError.reason:
                self.queue.touch(row.name, None)  # a shutdown may be called off
        if self._behind():
            self.try_again(Batch(everything=True))
        self.current, self.last = None, report
        if self.applied is not None and self.applied.commit != report.commit:
            self.applied = None
        if any(row.actions for row in report.workloads):
            self.applied = report
        self._answer(batch, report)
        self._answer_joined(report)
        self.tell()
        return report

    async def _latecomers(self, busy: set[str], batch: Batch) -> list[str]:
        """Return which workloads became dirty while the run is on and may join it; waits until something happens.

        One workload that takes long (a slow user manager, a health check) must not keep an event of another from
        being acted on. A new revision, a request, or a workload that is worked on just now gets the following run.
        """
        self.queue.listen()
        if self._is_open() and await self._may_join() and self._is_open():
            names, triggers = self.queue.take_names(busy)
            # Tried again with all the rest, should this run end with an error of its own.
            batch.names |= names
            for name, tickets in self.queue.take_restarts(names).items():
                batch.restarts[name] = tickets
                batch.answer(*tickets)
                for ticket in tickets:
                    ticket.run = self.current.id if self.current is not None else None
                    ticket.started.set()
            known = self.in_force.subjects(Batch(names))
            late = [name for name in known if self.outlook.has_work(name, batch)]
            for name in known:
                if name not in late:
                    self.standings.stand(name, None)
            if late:
                if self.current is not None:
                    self.current = replace(self.current, triggers=noted(self.current.triggers, triggers))
                return late
            self.tell()
        if busy:
            due = self.next_due()
            pause = max(0.05, due - anyio.current_time()) if due is not None else None
            await self.queue.nudged(None if self._interrupt.is_set() else pause)
            self.touch_due()
        return []

    def _is_open(self) -> bool:
        return not self._interrupt.is_set() and not self.forbidden()

    async def _may_join(self) -> bool:
        """End the orders that are over. If that cannot be written down, who came late waits for the next run."""
        try:
            await self.in_force.end_orders()
        except EventdError as error:
            log.warning("nothing joins the run that is on: %s", error)
            return False
        return True

    def _close(self, batch: Batch, reports: dict[str, WorkloadReport]) -> RunReport:
        assert self.current is not None
        error = self.wrong() if batch.everything else ""
        rows = tuple(reports[name] for name in sorted(reports))
        result = overall([row.outcome for row in rows], error=bool(error))
        self.counters.runs_failed += result is RunResult.FAILED
        self.counters.workload_failures += sum(row.outcome is Outcome.FAILED for row in rows)
        return replace(self.current, ended=self.wall(), result=result, workloads=rows, error=error)

    def next_due(self) -> float | None:
        """Return the loop time at which the next retry, deadline or recovery is due."""
        times = (self.failures.next_retry(), self.holds.next_deadline(), self.wellbeing.next_due())
        return min((at for at in times if at is not None), default=None)

    def touch_due(self) -> None:
        """Make dirty whose retry, deadline or recovery is due."""
        now = anyio.current_time()
        for name in self.wellbeing.take_due(now):
            self.queue.touch(name, None)
        for name in (*self.failures.take_due(now), *self.holds.due(now)):
            self.queue.touch(
                name, self.dispatcher.emit(KernelOrigin.DAEMON, KernelEvent.RETRY, name, scope=name)
            )

    def failed(self, batch: Batch, error: EventdError) -> None:
        """A run ended with an error of its own: tell who waits for it, and try again."""
        self.error = error
        self.counters.runs_failed += 1
        now, commit = self.wall(), self.in_force.desired.commit if self.in_force.desired else ""
        current = self.current or RunReport(0, now, commit, tuple(batch.triggers))
        report = replace(current, ended=now, result=RunResult.FAILED, error=str(error))
        self.current, self.last, self._batch = None, report, None
        self._answer(batch, report)
        self._answer_joined(report)
        self.try_again(replace(batch, tickets=[], requests=0, restarts={}, asked=False, asked_for=set()))
        self.tell()

    def _behind(self) -> bool:
        """Tell whether there is something that could not be written, or not be settled."""
        unsettled = self.recovery is not None and not self.recovery.done
        return unsettled or bool(self._unwritten or self.converger.steps.unwritten)

    async def _catch_up(self) -> None:
        """Write and settle what could not be when it should have been. Raises what writing raises."""
        if not self._behind():
            return
        await self.converger.steps.write(self.host().store)
        while self._unwritten:
            await self.host().store.end_run(self._unwritten[0])
            del self._unwritten[0]
        if self.recovery is not None:
            open_ = {step.workload for step in self.recovery.pending}
            await self.recovery.finish()
            for name in open_ - {step.workload for step in self.recovery.pending}:
                # What was refused for the want of a record is not any more.
                self.failures.forget(name)
                self.queue.touch(name, None)
        self.error = None

    @staticmethod
    def _answer(batch: Batch, report: RunReport) -> None:
        for ticket in batch.tickets:
            ticket.run, ticket.report = report.id, report
            ticket.started.set()
            ticket.done.set()

    def _answer_joined(self, report: RunReport) -> None:
        """Answer who joined a run that nobody asked for: by it if all is well, else by one that was."""
        joined, self._joined = self._joined, []
        for ticket, trigger in joined:
            if report.result is RunResult.OK:
                ticket.report = report
                ticket.done.set()
            else:
                self.queue.touch_all(trigger, asked=True, ticket=ticket)

    async def drain(self, grace: float) -> None:
        """Begin no new run, cut short what only waits, and give the current run `grace` seconds to end."""
        self.stopping = True
        self._interrupt.set()
        with anyio.move_on_after(grace):
            await self._lock.acquire()
            self._lock.release()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Be between two runs, of this process and of others.

        Raises DeadlineError(reason="busy"), TemporaryError(reason="stopping").
        """
        if self.forbidden():
            raise TemporaryError(
                "the daemon stops, or the host goes down, and nothing new is begun",
                reason=EndingError.reason,
                hint="ask again when it is back",
            )
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
            await self._acquire(ALONE_TIMEOUT)
            try:
                with self.converger.watch.run():
                    yield
            finally:
                self.host().lock.release()
        finally:
            self._lock.release()

    def forbidden(self) -> bool:
        """No run may begin: the daemon drains, or the host goes down."""
        return self.stopping or self.dispatcher.facts.get(SHUTDOWN) is True

    async def until_allowed(self) -> None:
        """A shutdown has been announced (or the daemon drains): nothing new begins until it is called off."""
        await waiting.until(self.dispatcher.facts, (SHUTDOWN,), lambda: not self.forbidden(), timeout=None)

    def join(self, ticket: Ticket, trigger: Event | None) -> bool:
        """Let a request be answered by the run that is on, if that is over everything, and at the wanted commit.

        Such as the run that the push before the request has led to. One that was not asked for does not give another
        chance to what gave up: it answers only if there is nothing that needs one.
        """
        current, batch = self.current, self._batch
        if (
            batch is None
            or not (batch.asked or (batch.everything and trigger is not None))
            or current is None
            or self.dispatcher.facts.get(REVISION) != current.commit
            or self.queue.pending
        ):
            return False
        self.current = replace(current, joined=current.joined + 1)
        if batch.asked:
            batch.answer(ticket)
        elif trigger is not None:
            # If another run is needed, it is made for the last who joined, though nobody may wait for it any more.
            self._joined = [each for each in self._joined if not each[0].left]
            self._joined.append((ticket, trigger))
        ticket.run = current.id
        ticket.started.set()
        return True

    def interrupt(self) -> None:
        """Cut short what only waits in the run that is on; no latecomer joins it any more."""
        self._interrupt.set()
