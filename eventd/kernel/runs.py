"""Runs: one at a time on this host, each over a batch of subjects, until none of them is dirty.

Owns the two locks (of this process and of the host), the current run with the callers that wait for it, and its report,
which is written before the next run begins. The run loop decides when a run begins; the controllers decide what a
subject needs.

    Batch -> subjects with work -> lock -> Turns, latecomers -> RunReport -> store, run handles
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio

from eventd.kernel.agenda import Agenda, request_of
from eventd.kernel.controller import Request
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.draining import Draining
from eventd.kernel.leftovers import Leftovers
from eventd.kernel.listeners import Listeners
from eventd.kernel.model.errors import DeadlineError, EventdError, TemporaryError
from eventd.kernel.model.events import Event, KernelEvent, KernelOrigin
from eventd.kernel.model.report import Outcome, RunReport, RunResult, WorkloadReport, overall
from eventd.kernel.ports import HostLock, LockHolder, Problems, Revision, RunStore
from eventd.kernel.queue import Batch, Queue, RunHandle
from eventd.kernel.run_watch import RunWatch
from eventd.kernel.transaction import EndingError
from eventd.kernel.triggers import noted
from eventd.kernel.turns import Turns

log = logging.getLogger(__name__)
ALONE_TIMEOUT = 60.0
"""Seconds to wait for the end of the current run, for work that is done between two runs."""
LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process on this host to release the lock. The holder is reported at once."""


@dataclass(slots=True)
class Counters:
    """Totals since the daemon started."""

    runs: int = 0
    runs_failed: int = 0
    contended: int = 0
    """Triggers that came during a run, and were handled by the following one."""
    checks: int = 0
    """Passes that found nothing to do."""
    workload_failures: int = 0


@dataclass(slots=True, kw_only=True)
class Runs:
    """See the module."""

    lock: HostLock
    store: RunStore
    dispatcher: Dispatcher
    queue: Queue
    revision: Revision
    agenda: Agenda
    """Which subjects have work."""
    turns: Turns
    leftovers: Leftovers
    draining: Draining
    wall: Callable[[], float]
    concurrency: int
    """Turns at the same time."""
    problems: Problems
    """Problems of the host or of a whole run."""
    passes: Listeners[[]]
    """Notified after each pass, and when a run begins or waits for the host's lock."""
    watch: RunWatch
    """Notified while a run is on."""
    forget_gone: Callable[[], None]
    """Forgets the state of subjects that are gone."""
    counters: Counters = field(default_factory=Counters)
    current: RunReport | None = None
    last: RunReport | None = None
    _batch: Batch | None = None
    """The batch of the current run, as long as callers can join it."""
    _joined: list[tuple[RunHandle, Event]] = field(default_factory=list)
    """Requests that joined a run that nobody asked for. If it fails, another run is made for them."""
    applied: RunReport | None = None
    """The last run that changed anything, at the active commit."""
    _interrupt: anyio.Event = field(default_factory=anyio.Event)
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def run(self, batch: Batch) -> RunReport | None:
        """Handle a batch. Return the report, or None if there was nothing to do and nobody asked."""
        async with self._lock:
            if self.draining.forbids():
                self.queue.put_back(batch)
                return None
            await self._catch_up()
            self._interrupt = anyio.Event()
            if batch.forced:
                self.agenda.retries.reset_all()
            for name in batch.forced_names:
                self.agenda.retries.reset(name)
            batch.record |= await self.revision.refresh()
            if self.revision.is_pending:
                # The first fetch is still running. Its result asks for a run, which answers the waiting callers.
                self.queue.put_back(replace(batch, names=set(), everything=False))
                return None
            names = self._subjects(batch)
            todo = [name for name in names if self.agenda.has_work(name, batch)]
            if not todo and not batch.record:
                self.counters.checks += 1
                self.agenda.settle(names)
                self.passes()
                return None
            await self._acquire(LOCK_TIMEOUT)
            try:
                if self.draining.forbids():
                    self.queue.put_back(batch)
                    return None
                return await self._locked_run(batch, names, todo)
            finally:
                self.lock.release()

    def _subjects(self, batch: Batch) -> list[str]:
        """Return the subjects that a batch covers; none before the first commit."""
        return self.agenda.subjects(batch) if self.revision.commit else []

    async def _catch_up(self) -> None:
        """Write and settle what earlier runs could not. Raises what writing raises."""
        if not self.leftovers.is_behind:
            return
        for name in await self.leftovers.catch_up():
            # It may have been refused because its record was missing.
            self.agenda.retries.reset(name)
            self.queue.touch(name, None)
        self.problems.note_run(None)

    async def _acquire(self, timeout: float) -> None:
        """Take the host's lock. If another process has it, report that at once."""

        def waiting(holder: LockHolder | None) -> None:
            who = holder.text if holder is not None else "another process"
            error = TemporaryError(
                f"{who} holds the lock of this host's runs, and a run waits for it for up to {timeout:g} s",
                reason="host-locked",
                hint=f"ps -fp {holder.pid} shows it" if holder is not None else "cat /proc/locks",
            )
            self.problems.note_lock(error)
            log.warning("%s", error.message)
            self.dispatcher.emit(
                KernelOrigin.DAEMON,
                KernelEvent.LOCKED,
                "runs",
                attributes={"pid": holder.pid, "command": holder.command} if holder is not None else {},
            )
            self.passes()

        try:
            await self.lock.acquire(timeout=timeout, waiting=waiting)
        finally:
            self.problems.note_lock(None)

    async def _locked_run(self, batch: Batch, names: list[str], todo: list[str]) -> RunReport:
        commit = self.revision.commit
        started = self.wall()
        triggers = tuple(batch.triggers) or ((batch.self_caused,) if batch.self_caused is not None else ())
        text = " ".join(f"{t.origin}:{t.kind}:{t.subject}" for t in triggers)
        number = await self.store.begin_run(started, commit, text)
        self.problems.note_run(None)
        joined = max(0, batch.requests - 1)
        self.current = RunReport(number, started, commit, triggers, joined=joined)
        self._batch = batch
        self.counters.runs += 1
        for handle in batch.handles:
            handle.run = number
            handle.started.set()
        self.passes()
        reports = {name: self.agenda.board.settle(name, None) for name in names if name not in todo}
        limiter = anyio.CapacityLimiter(self.concurrency)

        busy: set[str] = set()

        async def one(name: str) -> None:
            try:
                async with limiter:
                    reports[name] = await self.turns.take(
                        name, number, _take_request(name, batch), self._interrupt
                    )
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
        if self.revision.commit:
            self.forget_gone()  # a deleted account, and its deletion, are no longer in the status
        self._batch = None
        try:
            await self.store.end_run(report)
        except EventdError as error:
            # The callers get their report. It is written before the next run begins.
            log.error("cannot write the report of run %d yet: %s", report.id, error)  # noqa: TRY400
            self.problems.note_run(error)
            self.leftovers.unwritten.append(report)
        for row in report.workloads:
            if row.outcome is Outcome.SUPERSEDED and row.reason == EndingError.reason:
                self.queue.touch(row.name, None)  # a shutdown may be cancelled
        if self.leftovers.is_behind:
            self.leftovers.leave(Batch(everything=True))
        self.current, self.last = None, report
        if self.applied is not None and self.applied.commit != report.commit:
            self.applied = None
        if any(row.actions for row in report.workloads):
            self.applied = report
        self._answer(batch, report)
        self._answer_joined(report)
        self.passes()
        return report

    async def _latecomers(self, busy: set[str], batch: Batch) -> list[str]:
        """Return the subjects that became dirty during the run and join it. Waits until something happens.

        So a workload that takes long (a slow user manager, a health check) does not delay others. A new revision, a
        request, and a subject that is being worked on have to wait for the following run.
        """
        self.queue.listen()
        if self._is_open() and await self._may_join() and self._is_open():
            names, triggers = self.queue.take_names(busy)
            # They are retried with the rest if this run fails as a whole.
            batch.names |= names
            for name, handles in self.queue.take_restarts(names).items():
                batch.restarts[name] = handles
                batch.answer(*handles)
                for handle in handles:
                    handle.run = self.current.id if self.current is not None else None
                    handle.started.set()
            known = self._subjects(Batch(names))
            late = [name for name in known if self.agenda.has_work(name, batch)]
            self.agenda.settle(name for name in known if name not in late)
            if late:
                if self.current is not None:
                    self.current = replace(self.current, triggers=noted(self.current.triggers, triggers))
                return late
            self.passes()
        if busy:
            due = self.agenda.next_due()
            pause = max(0.05, due - anyio.current_time()) if due is not None else None
            await self.queue.nudged(None if self._interrupt.is_set() else pause)
            self.agenda.touch_due()
        return []

    def _is_open(self) -> bool:
        return not self._interrupt.is_set() and not self.draining.forbids()

    async def _may_join(self) -> bool:
        """End the overrides that no longer apply. If that fails, latecomers wait for the next run."""
        try:
            await self.revision.end_overrides()
        except EventdError as error:
            log.warning("nothing can join the current run: %s", error)
            return False
        return True

    def _close(self, batch: Batch, reports: dict[str, WorkloadReport]) -> RunReport:
        assert self.current is not None
        error = self.problems.of_a_run() if batch.everything else ""
        rows = tuple(reports[name] for name in sorted(reports))
        result = overall([row.outcome for row in rows], error=bool(error))
        self.counters.runs_failed += result is RunResult.FAILED
        self.counters.workload_failures += sum(row.outcome is Outcome.FAILED for row in rows)
        return replace(self.current, ended=self.wall(), result=result, workloads=rows, error=error)

    def failed(self, batch: Batch, error: EventdError) -> None:
        """Report a run that failed as a whole to its callers, and retry its batch later."""
        self.problems.note_run(error)
        self.counters.runs_failed += 1
        now, commit = self.wall(), self.revision.commit
        current = self.current or RunReport(0, now, commit, tuple(batch.triggers))
        report = replace(current, ended=now, result=RunResult.FAILED, error=str(error))
        self.current, self.last, self._batch = None, report, None
        self._answer(batch, report)
        self._answer_joined(report)
        self.leftovers.leave(
            replace(batch, handles=[], requests=0, restarts={}, forced=False, forced_names=set())
        )
        self.passes()

    @staticmethod
    def _answer(batch: Batch, report: RunReport) -> None:
        for handle in batch.handles:
            handle.run, handle.report = report.id, report
            handle.started.set()
            handle.done.set()

    def _answer_joined(self, report: RunReport) -> None:
        """Answer the callers that joined a run that nobody asked for. If it failed, make another run for them."""
        joined, self._joined = self._joined, []
        for handle, trigger in joined:
            if report.result is RunResult.OK:
                handle.report = report
                handle.done.set()
            else:
                self.queue.touch_all(trigger, forced=True, handle=handle)

    @property
    def is_stopping(self) -> bool:
        """Whether the daemon drains."""
        return self.draining.stopping

    def note_contention(self) -> None:
        """Count a trigger if it came during a run."""
        if self.current is not None:
            self.counters.contended += 1

    def reload(self, concurrency: int) -> None:
        """Set how many turns go on at the same time, from the next run on."""
        self.concurrency = concurrency

    async def drain(self, grace: float) -> None:
        """Begin no new run, interrupt waits, and give the current run `grace` seconds to end."""
        self.draining.begin()
        self._interrupt.set()
        with anyio.move_on_after(grace):
            await self._lock.acquire()
            self._lock.release()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Hold both locks, so that no run is on.

        Raises DeadlineError(reason="busy"), TemporaryError(reason="stopping").
        """
        if self.draining.forbids():
            raise TemporaryError(
                "the daemon is stopping or the host is shutting down, so nothing new begins",
                reason=EndingError.reason,
                hint="try again once the daemon is back",
            )
        try:
            with anyio.fail_after(ALONE_TIMEOUT):
                await self._lock.acquire()
        except TimeoutError:
            raise DeadlineError(
                f"the current run did not end within {ALONE_TIMEOUT:g} s",
                reason="busy",
                hint="eventctl status",
            ) from None
        try:
            await self._acquire(ALONE_TIMEOUT)
            try:
                with self.watch.run():
                    yield
            finally:
                self.lock.release()
        finally:
            self._lock.release()

    def join(self, handle: RunHandle, trigger: Event | None) -> bool:
        """Let the current run answer a request, if it covers everything at the wanted commit. Return whether it does.

        For example the run that a push caused just before. A run that nobody asked for does not retry what was given
        up, so it answers only if it succeeds.
        """
        current, batch = self.current, self._batch
        if (
            batch is None
            or not (batch.forced or (batch.everything and trigger is not None))
            or current is None
            or self.revision.wanted != current.commit
            or self.queue.pending
        ):
            return False
        self.current = replace(current, joined=current.joined + 1)
        if batch.forced:
            batch.answer(handle)
        elif trigger is not None:
            # If another run is needed, it is made for the last one that joined, even if that one has left.
            self._joined = [each for each in self._joined if not each[0].left]
            self._joined.append((handle, trigger))
        handle.run = current.id
        handle.started.set()
        return True

    def interrupt(self) -> None:
        """Interrupt the waits of the current run. No latecomer joins it any more."""
        self._interrupt.set()


def _take_request(name: str, batch: Batch) -> Request:
    """Return the request of a batch for one subject. A restart is taken out of the batch."""
    request = request_of(name, batch)
    batch.restarts.pop(name, None)
    return request
