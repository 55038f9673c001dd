"""The result of the last update of each workload's images: part of the status, and of the metrics.

A failure is shown until an update succeeds, whatever runs come in between: the workload is up with its previous images,
and nothing else would show it.
"""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from eventd.queries import Queries
from eventd.updates.model import UpdateResult


class LastUpdate(TypedDict):
    """The result of the last update of a workload."""

    at: float
    by: str
    ok: bool
    reason: str
    message: str
    went_back_from: dict[str, str]


class FailedUpdate(TypedDict):
    """A workload whose last update failed."""

    workload: str
    at: float
    by: str
    reason: str
    message: str


class Updates(TypedDict):
    """All updates: how many workloads had one, and whose last one failed."""

    workloads: int
    failed: list[FailedUpdate]


class Image(TypedDict):
    """An image that a unit or a stack's service names."""

    unit: str
    container: str
    image: str
    fixed: str
    id: str | None
    digests: list[str]
    running: str | None
    verified: str | None
    newer: NotRequired[bool | None]
    newer_error: NotRequired[str]


class WorkloadImages(TypedDict):
    """The images of a workload."""

    name: str
    hold: bool
    schedule: str | None
    pending: bool
    last_update: LastUpdate | None
    images: list[Image]
    error: str


class Images(TypedDict):
    """GET /v1/images."""

    workloads: list[WorkloadImages]


class UpdatesQueued(TypedDict):
    """POST /v1/update."""

    queued: bool
    workloads: list[str]


def results(queries: Queries) -> dict[str, UpdateResult]:
    """Return the result of the last update of each workload that had one, sorted."""
    here = queries.desired.workloads if queries.desired is not None else {}
    rows = queries.update_results
    return {name: rows[name] for name in sorted(rows) if name in here}


def last_update(result: UpdateResult | None) -> LastUpdate | None:
    """Return the result of one update."""
    if result is None:
        return None
    return {
        "at": result.at,
        "by": result.by,
        "ok": result.ok,
        "reason": result.reason,
        "message": result.message,
        "went_back_from": dict(result.bad),
    }


def updates(queries: Queries) -> Updates:
    """Return the summary of all workloads: how many have been updated, and those whose last update failed."""
    found = results(queries)
    failed: list[FailedUpdate] = [
        {"workload": name, "at": each.at, "by": each.by, "reason": each.reason, "message": each.message}
        for name, each in found.items()
        if not each.ok
    ]
    return {"workloads": len(found), "failed": failed}
