"""The status board: sets the status of each subject, as its controllers assess it, and publishes changes.

It owns the times of a status: since when it applies, and when the subject is retried. It does nothing for a subject.

    WorkloadReport, or None if there was nothing to do -> Controller.assess -> WorkloadStatus -> API, metrics, facts
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from eventd.kernel.controller import Controllers, RetryState
from eventd.kernel.model.report import WorkloadReport, WorkloadState, WorkloadStatus
from eventd.kernel.status_store import Statuses


@dataclass(slots=True)
class StatusBoard:
    """See the module."""

    statuses: Statuses
    controllers: Controllers
    retries: RetryState
    wall: Callable[[], float]

    def begin(self, name: str) -> WorkloadStatus:
        """Begin a turn: return the status of the subject, which shows the current step until it is settled."""
        live = self.statuses.get(name)
        if live is None:
            live = WorkloadStatus(since=self.wall())
            self.statuses.set(name, live)
        live.state = WorkloadState.APPLYING
        return live

    def settle(self, name: str, report: WorkloadReport | None) -> WorkloadReport:
        """Set the status of a subject after a pass. Return its row in the run's report.

        `report` is None if there was nothing to do, or nothing may be done yet.
        """
        owner, *others = self.controllers.of(name)
        status, row = owner.assess(name, report, self.retries)
        for controller in others:
            status, row = controller.amend(name, status, row)
        before = self.statuses.get(name)
        status.since = self.wall()
        if before is not None and before.state is status.state and before.reason == status.reason:
            status.since = before.since
        if status.state is WorkloadState.FAILED:
            status.retry_at = self._retry_at(name)
        self.statuses.set(name, status)
        owner.publish(name, status)
        return row

    def broken(self, name: str, report: WorkloadReport) -> None:
        """Set the status of a subject that failed by a bug, without asking its controllers."""
        status = WorkloadStatus(
            WorkloadState.FAILED, self.wall(), report.reason, report.message, report.hint,
            retry_at=self._retry_at(name),
        )  # fmt: skip
        self.statuses.set(name, status)
        self.controllers.owner(name).publish(name, status)

    def forget(self, name: str) -> None:
        """Drop the status, failure and hold of a subject."""
        self.statuses.set(name, None)
        self.retries.forget(name)

    def _retry_at(self, name: str) -> float | None:
        """Return when the recorded failure is retried, in seconds since the epoch."""
        failure = self.retries.failures.get(name)
        if failure is None or failure.retry_at is None:
            return None
        return self.wall() + max(0.0, failure.retry_at - anyio.current_time())
