"""What the API says of the host, its workloads and its runs, made from the runtime's state.

Each document is a type, with its keys in the order in which they are written; the routes name them, and
docs/reference/api.schema.json is made of them. Times are seconds since the epoch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NotRequired

from typing_extensions import TypedDict

from eventd import __version__
from eventd.api.model_answers import Error
from eventd.desired.controller_activation import FETCH, REVISION
from eventd.kernel.controller import is_workload
from eventd.kernel.model.diagnostics import Diagnostic
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.report import WorkloadState
from eventd.reconciler import Reconciler
from eventd.repository.model_facts import FetchFailure
from eventd.state.documents import Recovery, losses, recovery
from eventd.status import documents_run
from eventd.status.documents_run import Run
from eventd.status.documents_workload import Suspended, WorkloadStatus, status_of, suspension, workload
from eventd.updates.documents import Updates, updates
from eventd.workloads.model_records import StateLoss

BOOT_ID = "/proc/sys/kernel/random/boot_id"


@dataclass(frozen=True, slots=True)
class Identity:
    """What does not change in the life of the daemon."""

    host: str
    repository: str
    """Without secrets."""
    branch: str
    started: float

    def document(self) -> Daemon:
        """Return the `daemon` object."""
        try:
            with open(BOOT_ID, encoding="ascii") as file:  # noqa: PTH123
                boot_id = file.read().strip()
        except OSError:
            boot_id = ""
        return {"pid": os.getpid(), "started": self.started, "boot_id": boot_id}


class Daemon(TypedDict):
    """The life of the daemon that answers."""

    pid: int
    started: float
    boot_id: str


class Trouble(TypedDict):
    """What keeps changes from being seen, or runs from being made."""

    name: str
    reason: str
    message: str
    hint: str


class Counters(TypedDict, total=False):
    """Counted in this life of the daemon; a workload is told none."""

    runs: int
    runs_failed: int
    contended: int
    lock_contended: int
    checks: int
    events: int
    coalesced: int


class Status(TypedDict):
    """GET /v1/status; what is not required is not told to a workload."""

    version: str
    host: str
    commit: str
    suspended: NotRequired[Suspended | None]
    branch: str
    repository: str
    state: str
    since: float
    daemon: Daemon
    run: Run | None
    last_run: Run | None
    recovery: NotRequired[Recovery | None]
    state_losses: NotRequired[list[StateLoss]]
    updates: NotRequired[Updates]
    fetch_failure: FetchFailure | None
    load_error: Error | None
    diagnostics: list[Diagnostic]
    troubles: list[Trouble]
    counters: Counters
    workloads: list[WorkloadStatus]


def overall(reconciler: Reconciler) -> str:
    """Return the host's state in a word."""
    if reconciler.runs.draining.stopping:
        return "stopping"
    if reconciler.desired is None:
        failed = FETCH in reconciler.dispatcher.facts or reconciler.load_error is not None
        return "failed" if failed else "starting"
    states = {status_of(reconciler, name).state for name in names(reconciler)}
    back = [
        order for name in reconciler.overrides.rollbacks if (order := reconciler.overrides.rollback_of(name))
    ]
    if any(order.automatic for order in back):
        return "degraded"
    if (
        WorkloadState.FAILED in states
        or WorkloadState.REFUSED in states
        or reconciler.source_errors.general()
    ):
        return "degraded"
    if losses(reconciler):
        return "degraded"
    wanted = reconciler.dispatcher.facts.get(REVISION)
    if wanted is not None and wanted != reconciler.desired.commit:
        return "converging"
    if reconciler.current is not None or states & {
        WorkloadState.PENDING,
        WorkloadState.APPLYING,
        WorkloadState.VERIFYING,
    }:
        return "converging"
    if WorkloadState.HELD in states or back:
        return "held"
    return "at-risk" if WorkloadState.AT_RISK in states else "converged"


def status(reconciler: Reconciler, identity: Identity) -> Status:
    """Return GET /v1/status."""
    failure = reconciler.dispatcher.facts.get(FETCH)
    desired = reconciler.desired
    error = reconciler.load_error
    counters = reconciler.runs.counters
    return {
        "version": __version__,
        "host": identity.host,
        "commit": desired.commit if desired else "",
        "suspended": suspension(reconciler.overrides.suspensions.get("")),
        "branch": identity.branch,
        "repository": identity.repository,
        "state": overall(reconciler),
        "since": max((s.since for s in reconciler.statuses.values()), default=identity.started),
        "daemon": identity.document(),
        "run": documents_run.run(reconciler.current),
        "last_run": documents_run.run(reconciler.last),
        "recovery": recovery(reconciler),
        "state_losses": losses(reconciler),
        "updates": updates(reconciler),
        "fetch_failure": failure if isinstance(failure, FetchFailure) else None,
        "load_error": None
        if error is None
        else {"reason": error.reason, "message": error.message, "hint": error.hint},
        "diagnostics": list(desired.diagnostics) if desired else [],
        "troubles": [
            {"name": name, "reason": error.reason, "message": error.message, "hint": error.hint}
            for name, error in source_errors(reconciler)
        ],
        "counters": {
            "runs": counters.runs,
            "runs_failed": counters.runs_failed,
            "contended": counters.contended,
            "lock_contended": reconciler.host.lock.contended,
            "checks": counters.checks,
            "events": reconciler.dispatcher.sequence,
            "coalesced": reconciler.queue.coalesced,
        },
        "workloads": [workload(reconciler, name) for name in sorted(names(reconciler))],
    }


def source_errors(reconciler: Reconciler) -> list[tuple[str, EventdError]]:
    """Return what keeps runs from being made, changes from being seen, or the configuration from being in force."""
    run = [("run", reconciler.source_errors.run)] if reconciler.source_errors.run is not None else []
    return [*run, *reconciler.source_errors.all()]


def names(reconciler: Reconciler) -> set[str]:
    """Return every workload that has something to be said about."""
    found = set(reconciler.statuses) | set(reconciler.inventory.records.workloads)
    if reconciler.desired is not None:
        found |= set(reconciler.desired.workloads) | set(reconciler.desired.refused)
    return found


def workloads(reconciler: Reconciler) -> set[str]:
    """Return those of `names` that are workloads: not volumes and other subjects that converge beside them."""
    return {name for name in names(reconciler) if is_workload(name)}
