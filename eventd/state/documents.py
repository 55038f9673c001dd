"""How the open steps of the previous daemon process were settled, and losses of the state file: status and route."""

from __future__ import annotations

from typing_extensions import TypedDict

from eventd.api.model_answers import Check
from eventd.queries import Queries
from eventd.workloads.model_records import StateLoss

HINT = "see `eventctl state`; when you know what was lost, `eventctl state --acknowledge`"


class RecoveredStep(TypedDict):
    """A step that the previous daemon process left open, and how it was settled."""

    run: int
    workload: str
    verb: str
    target: str
    ended: str
    note: str


class Recovery(TypedDict):
    """What this start of the daemon found open."""

    runs: list[int]
    found: int
    pending: int
    steps: list[RecoveredStep]


class StateFile(TypedDict):
    """GET /v1/state."""

    losses: list[StateLoss]
    recovery: Recovery | None


class Acknowledged(TypedDict):
    """POST /v1/state/acknowledge."""

    acknowledged: int


def recovery(queries: Queries) -> Recovery | None:
    """Return what this start found open and how it was settled; None if there was nothing."""
    found = queries.recovery
    if not (found.found or found.runs):
        return None
    return {
        "runs": list(found.runs),
        "found": found.found,
        "pending": len(found.pending),
        "steps": [
            {
                "run": each.step.run,
                "workload": each.step.workload,
                "verb": each.step.verb,
                "target": each.step.target,
                "ended": each.ended,
                "note": each.note,
            }
            for each in found.settled
        ],
    }


def losses(queries: Queries) -> list[StateLoss]:
    """Return the losses of the state file that no operator has acknowledged, oldest first."""
    return list(queries.unacknowledged_losses)


def state(queries: Queries) -> StateFile:
    """Return GET /v1/state."""
    rows = [loss for _, loss in sorted(queries.losses.items())]
    return {"losses": rows, "recovery": recovery(queries)}


def checks(queries: Queries) -> list[Check]:
    """Return the check of `eventctl doctor`."""
    rows = losses(queries)
    if not rows:
        return [{"name": "state file", "ok": True, "message": "every loss of it is acknowledged", "hint": ""}]
    return [
        {
            "name": "state file",
            "ok": False,
            "message": f"{row.why}; kept as {row.kept or 'nothing'}",
            "hint": HINT,
        }
        for row in rows
    ]
