"""The API's documents about events and runs. Times are seconds since the epoch."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from eventd.kernel.model.events import Attribute, Event
from eventd.kernel.model.report import Outcome, RunReport, RunResult, WorkloadReport


class EventRow(TypedDict):
    """One event; GET /v1/events has one per line. docs/reference/events.md lists origins and kinds."""

    sequence: int
    origin: str
    kind: str
    subject: str
    scope: str
    attributes: dict[str, Attribute]
    wall: float
    monotonic: float


class Trigger(TypedDict):
    """An event that triggered a run."""

    origin: str
    kind: str
    subject: str
    scope: NotRequired[str]
    sequence: int


class RunRow(TypedDict):
    """The result of one workload in a run; keys that are not required are in runs that have ended."""

    name: str
    result: Outcome
    reason: str
    message: str
    hint: str
    actions: int
    seconds: float
    waits_for: list[str]
    log: list[str]
    outcome: NotRequired[Outcome]
    failing_unit: NotRequired[str]
    failing_verb: NotRequired[str]


class RecoveredRow(TypedDict):
    """A step that a crash interrupted, and how it was settled."""

    workload: str
    verb: str
    target: str
    ended: str
    note: str


class Run(TypedDict):
    """One run."""

    id: int
    started: float
    ended: float | None
    result: RunResult
    commit: str
    error: str
    joined: int
    triggers: list[Trigger]
    workloads: list[RunRow]
    recovered: NotRequired[list[RecoveredRow]]


class Runs(TypedDict):
    """GET /v1/runs."""

    runs: list[Run]


def event(each: Event) -> EventRow:
    """Return one event."""
    return {
        "sequence": each.sequence,
        "origin": each.origin,
        "kind": each.kind,
        "subject": each.subject,
        "scope": each.scope,
        "attributes": dict(each.attributes),
        "wall": each.wall,
        "monotonic": each.monotonic,
    }


def run(report: RunReport | None) -> Run | None:
    """Return one run."""
    if report is None:
        return None
    return {
        "id": report.id,
        "started": report.started,
        "ended": report.ended,
        "result": report.result,
        "commit": report.commit,
        "error": report.error,
        "joined": report.joined,
        "triggers": [
            {
                "origin": t.origin,
                "kind": t.kind,
                "subject": t.subject,
                "scope": t.scope,
                "sequence": t.sequence,
            }
            for t in report.triggers
        ],
        "workloads": [_row(row) for row in report.workloads],
    }


def _row(row: WorkloadReport) -> RunRow:
    return {
        "name": row.name,
        "result": row.outcome,
        "reason": row.reason,
        "message": row.message,
        "hint": row.hint,
        "actions": row.actions,
        "seconds": row.seconds,
        "waits_for": list(row.waits_for),
        "log": list(row.log),
    }
