"""The API's documents about the host, its workloads and its runs, made from the runtime's state.

Each document is a type, with its keys in the order in which they are written. Routes name them, and
docs/reference/api.schema.json is made from them. Times are seconds since the epoch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NotRequired

from typing_extensions import TypedDict

from eventd import __version__
from eventd.api.model_answers import Error
from eventd.desired.controller_activation import FETCH, REVISION
from eventd.kernel.model.diagnostics import Diagnostic
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.report import WorkloadState
from eventd.queries import Queries
from eventd.repository.model_facts import FetchFailure
from eventd.state.documents import Recovery, losses, recovery
from eventd.status import documents_run
from eventd.status.documents_run import Run
from eventd.status.documents_workload import Suspended, WorkloadStatus, suspension, workload
from eventd.updates.documents import Updates, updates
from eventd.workloads.model_records import StateLoss

BOOT_ID = "/proc/sys/kernel/random/boot_id"


@dataclass(frozen=True, slots=True)
class Identity:
    """What does not change while the daemon runs."""

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
    """The daemon process that answers."""

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
    """Counters of this daemon process; a workload does not get them."""

    runs: int
    runs_failed: int
    contended: int
    lock_contended: int
    checks: int
    events: int
    coalesced: int


class Status(TypedDict):
    """GET /v1/status; a workload gets the required keys only."""

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


def overall(queries: Queries) -> str:
    """Return the host's state in a word."""
    if queries.is_stopping:
        return "stopping"
    if queries.desired is None:
        failed = FETCH in queries.facts or queries.load_error is not None
        return "failed" if failed else "starting"
    states = {queries.status(name).state for name in queries.names()}
    back = queries.rollbacks
    if any(order.automatic for order in back):
        return "degraded"
    if WorkloadState.FAILED in states or WorkloadState.REFUSED in states or queries.problems.general():
        return "degraded"
    if losses(queries):
        return "degraded"
    wanted = queries.facts.get(REVISION)
    if wanted is not None and wanted != queries.desired.commit:
        return "converging"
    if queries.current_run is not None or states & {
        WorkloadState.PENDING,
        WorkloadState.APPLYING,
        WorkloadState.VERIFYING,
    }:
        return "converging"
    if WorkloadState.HELD in states or back:
        return "held"
    return "at-risk" if WorkloadState.AT_RISK in states else "converged"


def status(queries: Queries, identity: Identity) -> Status:
    """Return GET /v1/status."""
    failure = queries.facts.get(FETCH)
    desired = queries.desired
    error = queries.load_error
    counters = queries.counters
    return {
        "version": __version__,
        "host": identity.host,
        "commit": desired.commit if desired else "",
        "suspended": suspension(queries.suspension("")),
        "branch": identity.branch,
        "repository": identity.repository,
        "state": overall(queries),
        "since": max((s.since for s in queries.statuses.values()), default=identity.started),
        "daemon": identity.document(),
        "run": documents_run.run(queries.current_run),
        "last_run": documents_run.run(queries.last_run),
        "recovery": recovery(queries),
        "state_losses": losses(queries),
        "updates": updates(queries),
        "fetch_failure": failure if isinstance(failure, FetchFailure) else None,
        "load_error": None
        if error is None
        else {"reason": error.reason, "message": error.message, "hint": error.hint},
        "diagnostics": list(desired.diagnostics) if desired else [],
        "troubles": [
            {"name": name, "reason": error.reason, "message": error.message, "hint": error.hint}
            for name, error in source_errors(queries)
        ],
        "counters": {
            "runs": counters.runs,
            "runs_failed": counters.runs_failed,
            "contended": counters.contended,
            "lock_contended": queries.lock_contended,
            "checks": counters.checks,
            "events": queries.sequence,
            "coalesced": queries.coalesced,
        },
        "workloads": [workload(queries, name) for name in sorted(queries.names())],
    }


def source_errors(queries: Queries) -> list[tuple[str, EventdError]]:
    """Return what keeps runs from starting, changes from being seen, or the configuration from being active."""
    run = [("run", queries.problems.run)] if queries.problems.run is not None else []
    return [*run, *queries.problems.all()]
