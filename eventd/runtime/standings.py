"""Standings: where each subject stands, as the status and the WORKLOAD facts tell it.

Owns the rows, and forgets what was remembered of subjects that are gone or have another content. What a standing is
made of is `eventd.runtime.standing`'s to say, what is left to do the outlook's; nothing is done here.

    WorkloadReport, or a look that found nothing to do -> Standing -> API, metrics, WORKLOAD facts (gates)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio

from eventd.core.desired import Workload
from eventd.core.events import KernelOrigin
from eventd.core.facts import FactKey
from eventd.core.named_files import REASONS as FILE_REASONS
from eventd.core.report import Outcome, Standing, WorkloadReport, WorkloadState
from eventd.runtime import standing
from eventd.runtime.alarms import Alarms
from eventd.runtime.dispatch import Dispatcher
from eventd.runtime.failures import Failures
from eventd.runtime.holds import Holds
from eventd.runtime.in_force import InForce
from eventd.runtime.index import Index
from eventd.runtime.keeper import Keeper, keeper_of
from eventd.runtime.outlook import Outlook
from eventd.runtime.wellbeing import Wellbeing
from eventd.workloads.model_events import WorkloadEvent
from eventd.workloads.model_facts import WorkloadFact


@dataclass(slots=True)
class Standings:
    """See the module."""

    rows: dict[str, Standing]
    in_force: InForce
    outlook: Outlook
    failures: Failures
    holds: Holds
    alarms: Alarms
    wellbeing: Wellbeing
    index: Index
    dispatcher: Dispatcher
    wall: Callable[[], float]

    def stand(self, name: str, report: WorkloadReport | None) -> WorkloadReport:
        """Set where a workload stands after a look at it; return what a run says of it.

        `report` is None where there was nothing to do, or nothing that may be done yet.
        """
        keeper = keeper_of(self.in_force.keepers, name)
        if keeper is not None:
            return self.stand_kept(name, keeper, report)
        workload = self.in_force.workload(name)
        self.alarms.look(name, self.outlook.audit(name).findings)
        refused = standing.refused(name, self.in_force.desired)
        report = report or self._unchanged(name, workload)
        ailment = (
            self.wellbeing.look(name, workload)
            if refused is None and workload is not None and report.outcome in standing.FINE
            else None
        )
        now, row = refused or standing.after(report, workload, ailment)
        if now.state is WorkloadState.CONVERGED:
            now, row = standing.with_files(self.outlook.file_trouble(name, workload), now, row)
        order = self.in_force.orders.rollback_of(name)
        if order is not None and refused is None:
            now, row = standing.rolled_back(order, now, row)
            if now.state is WorkloadState.ROLLED_BACK:
                self.index.wake_on(name, self.in_force.orders.wakes(name))
        before = self.rows.get(name)
        now.since = self.wall()
        if before is not None and before.state is now.state and before.reason == now.reason:
            now.since = before.since
        if now.state is WorkloadState.FAILED:
            now.retry_at = self._retry_at(name)
        self.rows[name] = now
        self._publish(name, now.state, workload, healthy=now.reason in FILE_REASONS)
        return row

    def stand_kept(self, name: str, keeper: Keeper, report: WorkloadReport | None) -> WorkloadReport:
        """Set where a keeper's subject stands; `report` is None where nothing could be done now."""
        before = self.rows.get(name)
        if report is None and keeper.plan(name, asked=False):
            # It waits for a retry, or is held: what was said of it then is still so.
            failure, held = self.failures.rows.get(name), self.holds.rows.get(name)
            report = failure.report if failure is not None else held.report if held is not None else None
        if report is None or report.outcome in standing.FINE:
            found = keeper.stand(name)
            fine = found.outcome in standing.FINE
            outcome = report.outcome if report is not None and fine else found.outcome
            report = replace(
                report or WorkloadReport(name, outcome),
                outcome=outcome,
                reason=found.reason,
                message=found.message,
                hint=found.hint,
            )
            if fine:
                self.failures.clear(name)
        now, row = standing.after(report, None, None)
        if row.outcome in standing.FINE:
            now = Standing(WorkloadState.CONVERGED, message=row.message)
        now.since = self.wall()
        if before is not None and before.state is now.state and before.reason == now.reason:
            now.since = before.since
        self.rows[name] = now
        return row

    def broken(self, name: str, report: WorkloadReport) -> None:
        """Set where a subject stands that a bug failed: as far as that can be said without looking at it."""
        self.rows[name] = Standing(
            WorkloadState.FAILED, self.wall(), report.reason, report.message, report.hint,
            retry_at=self._retry_at(name),
        )  # fmt: skip
        if keeper_of(self.in_force.keepers, name) is None:
            self._publish(name, WorkloadState.FAILED, self.in_force.workload(name))

    def _retry_at(self, name: str) -> float | None:
        """Return when the failure on record is tried again, in seconds since the epoch."""
        failure = self.failures.rows.get(name)
        if failure is None or failure.retry_at is None:
            return None
        return self.wall() + max(0.0, failure.retry_at - anyio.current_time())

    def _unchanged(self, name: str, workload: Workload | None) -> WorkloadReport:
        """Return the failure on record, as long as something is left to do for it; else forget it."""
        digest = workload.digest if workload else ""
        held = self.holds.rows.get(name)
        if held is not None and held.digest == digest:
            if self.outlook.held(name, workload) is not None:
                return held.report
            self.holds.clear(name)
        failure = self.failures.rows.get(name)
        if failure is not None and failure.digest == digest:
            more = self.outlook.actions(name, asked=False) or self.outlook.blocked(name, workload)
            low = standing.down(workload, self.dispatcher.facts) or self.wellbeing.is_ill(name, workload)
            if more or low:
                return failure.report
            self.failures.clear(name)
            self.index.wake_on(name, ())
        return WorkloadReport(name, Outcome.UNCHANGED)

    def _publish(
        self, name: str, state: WorkloadState, workload: Workload | None, *, healthy: bool = False
    ) -> None:
        """Set the WORKLOAD fact, which other workloads' gates may wait for."""
        value = state.value
        if healthy or state in (WorkloadState.CONVERGED, WorkloadState.AT_RISK, WorkloadState.ROLLED_BACK):
            value = "healthy"
        elif workload is not None and standing.down(workload, self.dispatcher.facts) is None:
            value = "active"
        key = FactKey(WorkloadFact.WORKLOAD, name)
        if self.dispatcher.facts.get(key) != value:
            self.dispatcher.emit(
                KernelOrigin.DAEMON,
                WorkloadEvent.WORKLOAD_CHANGED,
                name,
                scope=name,
                attributes={"state": value},
                facts=[(key, value)],
            )

    def afresh(self, name: str) -> None:
        """Another content is in force: what the one before failed on, or waited for, says nothing about it."""
        self.failures.clear(name)
        self.holds.clear(name)
        self.wellbeing.forget(name)
        self.index.wake_on(name, ())

    def forget(self, name: str) -> None:
        """Drop what this life knows of a workload whose records are gone."""
        self.rows.pop(name, None)
        self.dispatcher.facts.set(FactKey(WorkloadFact.WORKLOAD, name), None)
        self.afresh(name)

    def forget_gone(self) -> None:
        """Forget what was remembered of workloads that the new desired state does not have.

        One that is refused now is not planned, so nothing would ever end its hold.
        """
        desired = self.in_force.desired
        assert desired is not None
        for name in self.holds:
            if name not in desired.workloads and keeper_of(self.in_force.keepers, name) is None:
                self.holds.clear(name)
        if desired.partial:
            return
        for name in [n for n in self.alarms.rows if n not in desired.workloads]:
            self.alarms.look(name, ())
        for name in [n for n in self.rows if not self.in_force.known(n) and n not in desired.refused]:
            del self.rows[name]
            self.dispatcher.facts.set(FactKey(WorkloadFact.WORKLOAD, name), None)
            self.failures.clear(name)
            self.index.wake_on(name, ())
