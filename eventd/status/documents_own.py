"""What a workload sees: the same documents as an operator, with itself alone in them.

Owns leaving out. A workload learns nothing of others but what its own gates were written to wait for: no names, no
results, not what led to a run. What is about the host as a whole (the repository's address, mistakes in it, counters)
is left out too, since others show through it.
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
"""Triggers that are told to every workload, without their subject."""

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


_CIRCLE: _Circle = {"message": "it waits for itself, by way of others", "hint": "ask who runs this host"}


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
    """Tell whether a row's refusal as circular names the others in the circle to one of them."""
    return not view.everything and row["reason"] == CIRCULAR


def run(row: Run | None, view: View) -> Run | None:
    """Return a run as far as it was about the caller; None: it was not."""
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
    """Return the run that a request waited for; if it came to nothing, at least that."""
    shown = run(row, view)
    if shown is not None or row is None:
        return shown
    return {**_frame(row), "result": RunResult.FAILED, "error": "it was not made"}


def _frame(row: Run) -> Run:
    """Return what of a run is everybody's."""
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
    """Return what led to a run: the caller's own events, and without its subject what is everybody's."""
    if view.sees(row.get("scope", "")):
        return row
    return {**row, "subject": ""} if row["kind"] in OF_EVERYBODY else None


def sees(event: Event, view: View) -> bool:
    """Tell whether an event is the caller's business."""
    return view.everything or view.sees(event.scope)
