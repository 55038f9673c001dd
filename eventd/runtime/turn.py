"""A turn: what one subject gets in one run, from the transaction to what is remembered of its outcome.

Owns the order in which a workload is converged, taken back, and updated, and the bookkeeping after it: failures and
when they are tried again, holds and their deadlines, the facts that wake it. It does not choose who gets a turn, nor
when (the reconciler does); what is done is the converger's, and where the subject stands then the standings'.

    run -> Turns -> Converger, GoingBack, Updates -> WorkloadReport -> Failures, Holds, Index, Standings -> run
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import anyio

from eventd.core.actions import RestartUnit
from eventd.core.desired import OnUnhealthy, Workload
from eventd.core.facts import FactKey
from eventd.core.options_place import ANYWHERE
from eventd.core.orders import NETWORK
from eventd.core.report import Outcome, Standing, WorkloadReport, WorkloadState
from eventd.core.wellness import CRASHED, UNHEALTHY
from eventd.runtime.converge import Converger, last_lines
from eventd.runtime.dispatch import Dispatcher
from eventd.runtime.failures import FORGET, HEALS, Failures
from eventd.runtime.holds import Holds, patience_of
from eventd.runtime.host import Host
from eventd.runtime.in_force import InForce
from eventd.runtime.index import Index
from eventd.runtime.keeper import Keeper, keeper_of
from eventd.runtime.ledger import Ledger
from eventd.runtime.outlook import Outlook
from eventd.runtime.probing import Probing
from eventd.runtime.progress import Progress
from eventd.runtime.queue import Batch
from eventd.runtime.restarting import Step, restart_units
from eventd.runtime.rollback import GoingBack
from eventd.runtime.standing import FINE
from eventd.runtime.standings import Standings
from eventd.runtime.supervise import bug
from eventd.runtime.transaction import EndingError, Transaction
from eventd.runtime.update import ASIDE, GONE_BACK, Updates
from eventd.runtime.wellbeing import Wellbeing
from eventd.workloads.model_facts import WorkloadFact

Examine: TypeAlias = Callable[[Transaction, Workload, WorkloadReport], Awaitable[WorkloadReport]]
log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Turns:
    """See the module."""

    host: Callable[[], Host]
    dispatcher: Dispatcher
    ledger: Ledger
    converger: Converger
    in_force: InForce
    outlook: Outlook
    going_back: GoingBack
    updates: Updates
    failures: Failures
    holds: Holds
    index: Index
    standings: Standings
    wellbeing: Wellbeing
    examine: Examine | None
    """Looks at what an attempt ended with, for damage that no restart heals."""
    probing: Probing
    wall: Callable[[], float]
    jitter: Callable[[], float]
    stopping: Callable[[], bool]
    """The daemon drains: no turn begins, and no further step of one that is on."""
    tell: Callable[[Progress], None]

    async def take(self, name: str, run: int, batch: Batch, interrupt: anyio.Event) -> WorkloadReport:
        """Converge one subject; a bug fails that one, and no other. `interrupt` cuts short what only waits."""
        if self.stopping():
            ending = EndingError()
            return WorkloadReport(name, Outcome.SUPERSEDED, ending.reason, ending.message)
        try:
            row = await self._converge(name, run, batch, interrupt)
            await self.going_back.remember(name, self.in_force.workload(name))
        except Exception as error:
            log.exception("bug: %s ended with %s", name, type(error).__name__)
            found = bug(error)
            report = WorkloadReport(name, Outcome.FAILED, found.reason, found.message, found.hint)
            workload, keeper = self.in_force.workload(name), keeper_of(self.in_force.keepers, name)
            digest = keeper.digest(name) if keeper is not None else workload.digest if workload else ""
            self.failures.note(name, digest, report, anyio.current_time(), self.jitter())
            self.standings.broken(name, report)
            return report
        return row

    async def _converge(self, name: str, run: int, batch: Batch, interrupt: anyio.Event) -> WorkloadReport:
        keeper = keeper_of(self.in_force.keepers, name)
        workload = self.in_force.workload(name)
        live = self.standings.rows.setdefault(name, Standing(since=self.wall()))
        live.state = WorkloadState.APPLYING

        began = 0.0

        def progress(step: str, state: str, message: str) -> None:
            nonlocal began
            now = anyio.current_time()
            began = now if state == "begin" else began
            live.step = step if state == "begin" else ""
            if step.startswith("verify"):
                live.state = WorkloadState.VERIFYING
            self.tell(Progress(run, name, step, state, message, now - began))

        before = self.going_back.running(name, workload)
        tx = Transaction(
            run=run,
            workload=name,
            commit=self.in_force.commit_of(name),
            host=self.host(),
            ledger=self.ledger,
            facts=self.dispatcher.facts,
            emit=self.dispatcher.emit,
            layout=self.converger.context.layout,
            owner_uid=self.converger.context.owner_uid,
            interrupt=interrupt,
            stopping=self.stopping,
            progress=progress,
            now=self.wall,
            gates=self.in_force.gates_of(name),
            place=workload.options.place if workload is not None else ANYWHERE,
            restore=self.going_back.restore(name, workload),
            ports=self.in_force.ports,
            expecting=lambda predicate: self.probing.expect(name, predicate),
        )
        if keeper is not None:
            return self._kept(
                name, keeper, await self.converger.keep(tx, lambda: keeper.plan(name, asked=batch.asks(name)))
            )
        self.in_force.watch(name)
        if workload is not None:
            self.wellbeing.begin(name, workload)
        restart = batch.restarts.pop(name, None) is not None
        if restart:
            self.failures.clear(name)
            self.wellbeing.forget(name)
        repairs = self.outlook.repairs(name, workload)
        if repairs and not self.failures.repair(name, anyio.current_time()):
            report = WorkloadReport(
                name,
                Outcome.FAILED,
                "crash-looping",
                f"its units failed again and again after they had come up ({HEALS} repairs in {FORGET:g} s)",
                "see the journal of the unit; it is tried again with growing pauses, or at once by eventctl sync",
            )
        else:
            report = await self.converger.converge(
                tx,
                workload,
                asked=batch.asks(name) or restart,
                wait=self.outlook.wait_verbs(name, workload),
                restart=restart,
            )
        if repairs and report.outcome is Outcome.OK and (crash := self.wellbeing.crash_of(name)):
            report = replace(report, reason=CRASHED, message=f"{crash}; it was started again")
        if workload is not None and report.outcome in FINE:
            report = await self._treat(tx, workload, report, before)
        if workload is not None and self.examine is not None:
            report = await self.examine(tx, workload, report)
        if workload is not None:
            report = await self.going_back.after(tx, workload, report, before)
            workload = self.in_force.workload(name)
            # After a rollback what follows is verified by the gates of the revision that is in force since.
            tx = replace(tx, commit=self.in_force.commit_of(name), gates=self.in_force.gates_of(name))
        if workload is not None:
            await self.updates.note_verified(tx, workload, report)
            updated = await self.updates.after(tx, workload, report)
            if updated.outcome is Outcome.FAILED and updated.reason in ASIDE:
                return self._not_updated(name, workload, report, updated)
            report = updated
        digest = workload.digest if workload else ""
        if report.outcome is Outcome.HELD:
            self.index.wake_on(name, report.wakes_on)
            now, (patience, option) = anyio.current_time(), patience_of(workload, report.reason)
            held = self.holds.note(name, digest, report, now, patience, option, tx.place)
            return self.standings.stand(name, held)
        self.holds.clear(name)
        if report.outcome is Outcome.FAILED:
            self.failures.note(name, digest, report, anyio.current_time(), self.jitter())
            self._wake_on(name, report)
        elif self.failures.is_of_another(name, digest):
            # What failed then is not what came up now: it may come back, and be tried.
            self.failures.clear(name)
        return self.standings.stand(name, report)

    async def _treat(
        self, tx: Transaction, workload: Workload, report: WorkloadReport, before: frozenset[str]
    ) -> WorkloadReport:
        """Do what `[health] on_unhealthy` asks for, if the workload is ill; restarts are bounded as repairs are."""
        name = workload.name
        ill = self.outlook.treatable(name, workload)
        if ill is None:
            return report
        found = replace(
            report, outcome=Outcome.FAILED, reason=UNHEALTHY, message=ill.message, failing_unit=ill.units[0]
        )
        if workload.options.on_unhealthy is OnUnhealthy.ROLLBACK:
            log_lines = await last_lines(tx, ill.units[0])
            return await self.going_back.take_back(tx, workload, replace(found, log=tuple(log_lines)), before)
        if not self.failures.repair(name, anyio.current_time()):
            message = f"{ill.message}, though it was restarted {HEALS} times within {FORGET:g} s"
            hint = f"it is restarted again with growing pauses, or now by eventctl restart {name}"
            return replace(found, message=message, hint=hint, failing_verb=RestartUnit.verb)
        why = f"it is unhealthy: {ill.message}"

        async def work(step: Step) -> None:
            await restart_units(step, self.converger, workload, ill.units, why)

        done = await self.converger.carry_out(tx, workload, work)
        message = done.message or f"{ill.message}; it was restarted"
        return replace(
            done, reason=done.reason or UNHEALTHY, message=message, actions=report.actions + done.actions
        )

    def _kept(self, name: str, keeper: Keeper, report: WorkloadReport) -> WorkloadReport:
        """Take in the report of a keeper's subject: what failed is tried again as a workload is."""
        if report.outcome is Outcome.FAILED:
            self.failures.note(name, keeper.digest(name), report, anyio.current_time(), self.jitter())
        else:
            self.failures.clear(name)
        held = report.outcome is Outcome.HELD
        if held:
            self.holds.note(name, keeper.digest(name), report, anyio.current_time(), math.inf)
        else:
            self.holds.clear(name)
        self.index.wake_on(name, report.wakes_on)
        return self.standings.stand_kept(name, keeper, report)

    def _not_updated(
        self, name: str, workload: Workload, report: WorkloadReport, updated: WorkloadReport
    ) -> WorkloadReport:
        """Return what a run says of an update that failed; the workload stands as it did without it."""
        self.holds.clear(name)
        if updated.reason == GONE_BACK:
            report = replace(report, outcome=Outcome.OK)  # what failed before it is up now, and verified
        if report.outcome is Outcome.FAILED:
            self.failures.note(name, workload.digest, report, anyio.current_time(), self.jitter())
            self._wake_on(name, report)
        self.standings.stand(name, report)
        return updated

    def _wake_on(self, name: str, report: WorkloadReport) -> None:
        """Have a workload that failed tried again as soon as what it failed on, or may have, changes."""
        workload = self.in_force.workload(name)
        files = {
            FactKey(WorkloadFact.NAMED, each.path, name)
            for unit in (workload.units if workload is not None else ())
            for each in unit.named
        }
        self.index.wake_on(name, (NETWORK, FactKey(WorkloadFact.MANAGER, name), *files, *report.wakes_on))
