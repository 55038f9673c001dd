"""Runs: one at a time on this host, each over a batch of subjects, until nothing of it is dirty.

Owns the two locks (of this process, of the host), the run that is on and who waits for it, who may still join it, and
its report, which is written before anything else is done. It decides neither when a run begins (the reconciler does)
nor what a subject needs (its controllers do).

    Batch -> what has work -> lock -> Turns, latecomers -> RunReport -> store, run handles
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
    """What there is to do."""
    turns: Turns
    leftovers: Leftovers
    draining: Draining
    wall: Callable[[], float]
    concurrency: int
    """Turns side by side."""
    problems: Problems
    """What is wrong with everything, not with one subject."""
    passes: Listeners[[]]
    """Told after each pass, and when a run begins or waits for the host's lock."""
    watch: RunWatch
    """Told while a run is on."""
    forget_gone: Callable[[], None]
    """Forgets what was remembered of subjects that are gone."""
    counters: Counters = field(default_factory=Counters)
    current: RunReport | None = None
    last: RunReport | None = None
    _batch: Batch | None = None
    """What the current run has to answer, as long as it can be joined."""
    _joined: list[tuple[RunHandle, Event]] = field(default_factory=list)
    """Requests that the current run answers if it goes well: nobody asked for it, so another one is made if not."""
    applied: RunReport | None = None
    """The last run that did anything, for the commit that is in force."""
    _interrupt: anyio.Event = field(default_factory=anyio.Event)
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def run(self, batch: Batch) -> RunReport | None:
        """Deal with a batch; return the report, or None if there was nothing to do and nobody asked."""
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
                # The first fetch is still on; what it brings asks for a run, which answers who waits for one.
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
        """Return which subjects a batch is about; none before the first commit."""
        return self.agenda.subjects(batch) if self.revision.commit else []

    async def _catch_up(self) -> None:
        """Write and settle what could not be when it should have been. Raises what writing raises."""
        if not self.leftovers.is_behind:
            return
        for name in await self.leftovers.catch_up():
            # What was refused for the want of a record is not any more.
            self.agenda.retries.reset(name)
            self.queue.touch(name, None)
        self.problems.note_run(None)

    async def _acquire(self, timeout: float) -> None:
        """Take the host's lock, and say at once who has it if that takes a while."""

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
            self.forget_gone()  # an account that was deleted, and its deletion, are nothing to tell of
        self._batch = None
        try:
            await self.store.end_run(report)
        except EventdError as error:
            # What was done is done, and who waits for it is told; it is written before anything else is done.
            log.error("the report of run %d is not written yet: %s", report.id, error)  # noqa: TRY400
            self.problems.note_run(error)
            self.leftovers.unwritten.append(report)
        for row in report.workloads:
            if row.outcome is Outcome.SUPERSEDED and row.reason == EndingError.reason:
                self.queue.touch(row.name, None)  # a shutdown may be called off
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
        """Return which workloads became dirty while the run is on and may join it; waits until something happens.

        One workload that takes long (a slow user manager, a health check) must not keep an event of another from
        being acted on. A new revision, a request, or a workload that is worked on just now gets the following run.
        """
        self.queue.listen()
        if self._is_open() and await self._may_join() and self._is_open():
            names, triggers = self.queue.take_names(busy)
            # Tried again with all the rest, should this run end with an error of its own.
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
        """End the overrides that are over. If that cannot be written down, who came late waits for the next run."""
        try:
            await self.revision.end_overrides()
        except EventdError as error:
            log.warning("nothing joins the run that is on: %s", error)
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
        """A run ended with an error of its own: tell who waits for it, and try again."""
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
        """Answer who joined a run that nobody asked for: by it if all is well, else by one that was."""
        joined, self._joined = self._joined, []
        for handle, trigger in joined:
            if report.result is RunResult.OK:
                handle.report = report
                handle.done.set()
            else:
                self.queue.touch_all(trigger, forced=True, handle=handle)

    @property
    def is_stopping(self) -> bool:
        """The daemon drains."""
        return self.draining.stopping

    def note_contention(self) -> None:
        """Count a trigger that came while a run is on, and gets the following one."""
        if self.current is not None:
            self.counters.contended += 1

    def reload(self, concurrency: int) -> None:
        """Let as many turns go side by side, from the next run on."""
        self.concurrency = concurrency

    async def drain(self, grace: float) -> None:
        """Begin no new run, cut short what only waits, and give the current run `grace` seconds to end."""
        self.draining.begin()
        self._interrupt.set()
        with anyio.move_on_after(grace):
            await self._lock.acquire()
            self._lock.release()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Be between two runs, of this process and of others.

        Raises DeadlineError(reason="busy"), TemporaryError(reason="stopping").
        """
        if self.draining.forbids():
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
                with self.watch.run():
                    yield
            finally:
                self.lock.release()
        finally:
            self._lock.release()

    def join(self, handle: RunHandle, trigger: Event | None) -> bool:
        """Let a request be answered by the run that is on, if that is over everything, and at the wanted commit.

        Such as the run that the push before the request has led to. One that was not asked for does not give another
        chance to what gave up: it answers only if there is nothing that needs one.
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
            # If another run is needed, it is made for the last who joined, though nobody may wait for it any more.
            self._joined = [each for each in self._joined if not each[0].left]
            self._joined.append((handle, trigger))
        handle.run = current.id
        handle.started.set()
        return True

    def interrupt(self) -> None:
        """Cut short what only waits in the run that is on; no latecomer joins it any more."""
        self._interrupt.set()


def _take_request(name: str, batch: Batch) -> Request:
    """Return what a batch asks of a subject; a restart is asked for once."""
    request = request_of(name, batch)
    batch.restarts.pop(name, None)
    return request
