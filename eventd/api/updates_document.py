"""What the last update of each workload's images came to: part of the status, and of the metrics.

A failed one stays until a good one, whatever runs come in between: the workload is up, with the images of before, and
nobody would see it otherwise.
"""

from __future__ import annotations

from typing import Any

from eventd.core.updates import UpdateResult
from eventd.runtime.reconcile import Reconciler


def results(reconciler: Reconciler) -> dict[str, UpdateResult]:
    """Return what came of the last update of each workload that is here and had one, sorted."""
    here = reconciler.desired.workloads if reconciler.desired is not None else {}
    rows = reconciler.updates.results.rows
    return {name: rows[name] for name in sorted(rows) if name in here}


def last_update(result: UpdateResult | None) -> dict[str, Any] | None:
    """Return one of them."""
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


def updates(reconciler: Reconciler) -> dict[str, Any]:
    """Return the sum over all workloads: how many have been updated, and those whose last update failed."""
    found = results(reconciler)
    failed = [
        {"workload": name, "at": each.at, "by": each.by, "reason": each.reason, "message": each.message}
        for name, each in found.items()
        if not each.ok
    ]
    return {"workloads": len(found), "failed": failed}
