"""What a workload sees: the operator's documents, reduced to the workload itself.

Owns what is left out. A workload learns nothing about others except what its own gates wait for: no names, no results,
no triggers of runs. What concerns the whole host (the repository's address, its errors, counters) is left out too,
since it would reveal others.
"""

from __future__ import annotations

from typing_extensions import TypedDict

from eventd import __version__
from eventd.api.model_rights import View
from eventd.kernel.model.events import Event, KernelEvent
from eventd.kernel.model.report import Outcome, RunResult, WorkloadState, overall
from eventd.queries import Queries
from eventd.repository.model_events import RepositoryEvent
from eventd.status import documents, documents_run, documents_workload
from eventd.status.documents import Status
from eventd.status.documents_run import Run, RunRow, Trigger
from eventd.status.documents_workload import WorkloadStatus
from eventd.waits.model_refusal import CODE as CIRCULAR

OF_EVERYBODY = frozenset(
    {
        KernelEvent.SYNC,
        KernelEvent.BOOT,
        KernelEvent.CONFIG_CHANGED,
        RepositoryEvent.PUSHED,
        RepositoryEvent.REVISION,
    }
)
"""Triggers that every workload sees, without their subject."""

_HOST = {
    WorkloadState.CONVERGED: "converged",
    WorkloadState.REMOVED: "converged",
    WorkloadState.HELD: "held",
    WorkloadState.AT_RISK: "at-risk",
    WorkloadState.FAILED: "degraded",
    WorkloadState.REFUSED: "degraded",
}


class _Circle(TypedDict):
    message: str
    hint: str


_CIRCLE: _Circle = {
    "message": "it waits for itself, through others",
    "hint": "ask the administrator of this host",
}


def status(queries: Queries, identity: documents.Identity, view: View) -> Status:
    """Return GET /v1/status."""
    if view.everything:
        return documents.status(queries, identity)
    current = queries.status(view.own)
    return {
        "version": __version__,
        "host": identity.host,
        "commit": queries.commit,
        "branch": identity.branch,
        "repository": "",
        "state": "stopping" if queries.is_stopping else _HOST.get(current.state, "converging"),
        "since": current.since,
        "daemon": identity.document(),
        "run": run(documents_run.run(queries.current_run), view),
        "last_run": run(documents_run.run(queries.last_run), view),
        "fetch_failure": None,
        "load_error": None,
        "diagnostics": [],
        "troubles": [],
        "counters": {},
        "workloads": [workload(queries, view.own, view)],
    }


def workload(queries: Queries, name: str, view: View) -> WorkloadStatus:
    """Return GET /v1/status/{workload}."""
    row = documents_workload.workload(queries, name)
    return {**row, **_CIRCLE, "diagnostics": []} if _is_told_of_others(row, view) else row


def _is_told_of_others(row: WorkloadStatus | RunRow, view: View) -> bool:
    """Return whether a row is refused as circular, which would name the others in the circle."""
    return not view.everything and row["reason"] == CIRCULAR


def run(row: Run | None, view: View) -> Run | None:
    """Return the caller's part of a run; None: it has none."""
    if row is None or view.everything:
        return row
    mine: list[RunRow] = [
        {**each, **_CIRCLE} if _is_told_of_others(each, view) else each
        for each in row["workloads"]
        if view.sees(each["name"])
    ]
    if not mine:
        return None
    return {
        **_frame(row),
        "result": overall([Outcome(each["result"]) for each in mine], error=False),
        "triggers": [shown for each in row["triggers"] if (shown := _trigger(each, view))],
        "workloads": mine,
    }


def done(row: Run | None, view: View) -> Run | None:
    """Return the run that a request waited for; at least its failure, if it has no part of the caller."""
    shown = run(row, view)
    if shown is not None or row is None:
        return shown
    return {**_frame(row), "result": RunResult.FAILED, "error": "the run failed"}


def _frame(row: Run) -> Run:
    """Return the public keys of a run."""
    return {
        "id": row["id"],
        "started": row["started"],
        "ended": row["ended"],
        "commit": row["commit"],
        "error": "",
        "joined": 0,
        "triggers": [],
        "result": row["result"],
        "workloads": [],
    }


def _trigger(row: Trigger, view: View) -> Trigger | None:
    """Return a trigger of a run: the caller's own events, and public ones without their subject."""
    if view.sees(row.get("scope", "")):
        return row
    return {**row, "subject": ""} if row["kind"] in OF_EVERYBODY else None


def sees(event: Event, view: View) -> bool:
    """Return whether the caller may see an event."""
    return view.everything or view.sees(event.scope)
