"""The status board: sets where each subject stands, as its controllers assess it, and tells what is new about it.

Owns the stamp of each status (since when, when it is tried again). What a status is made of is the controllers'
business; nothing is done for a subject here.

    WorkloadReport, or a look that found nothing to do -> Controller.assess -> WorkloadStatus -> API, metrics, facts
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
        """A turn of a subject begins: return its status, which tells the steps until it is set anew."""
        live = self.statuses.get(name)
        if live is None:
            live = WorkloadStatus(since=self.wall())
            self.statuses.set(name, live)
        live.state = WorkloadState.APPLYING
        return live

    def settle(self, name: str, report: WorkloadReport | None) -> WorkloadReport:
        """Set where a subject stands after a look at it; return what a run says of it.

        `report` is None where there was nothing to do, or nothing that may be done yet.
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
        """Set where a subject stands that a bug failed: as far as that can be said without looking at it."""
        status = WorkloadStatus(
            WorkloadState.FAILED, self.wall(), report.reason, report.message, report.hint,
            retry_at=self._retry_at(name),
        )  # fmt: skip
        self.statuses.set(name, status)
        self.controllers.owner(name).publish(name, status)

    def forget(self, name: str) -> None:
        """Drop what this process knows of a subject."""
        self.statuses.set(name, None)
        self.retries.forget(name)

    def _retry_at(self, name: str) -> float | None:
        """Return when the failure on record is tried again, in seconds since the epoch."""
        failure = self.retries.failures.get(name)
        if failure is None or failure.retry_at is None:
            return None
        return self.wall() + max(0.0, failure.retry_at - anyio.current_time())
