"""GET /v1/boot: the record of the boot as JSON, with the critical path. Times are seconds after `origin`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from typing_extensions import TypedDict

from eventd.boot.model import (
    BootOrigin,
    BootRecord,
    FactTime,
    Phases,
    WorkloadBoot,
    caveat,
    headline,
    open_workloads,
)
from eventd.boot.model_path import critical_path
from eventd.platform.systemd.model_times import UnitTimes


class BootHop(TypedDict):
    """A stretch of the critical path."""

    begin: float
    end: float
    seconds: float
    share: float
    subject: str
    what: str


class Boot(TypedDict):
    """GET /v1/boot."""

    state: str
    sentence: str
    caveat: str
    converged: float | None
    waiting: list[str]
    boot_id: str
    host: str
    origin: BootOrigin
    uptime: float
    wall: float
    phases: Phases
    started: float
    ready: float | None
    until: float
    unit: str
    commit: str
    commit_at: float | None
    facts: list[FactTime]
    units: list[UnitTimes]
    workloads: list[WorkloadBoot]
    complete: bool
    dropped: int
    critical_path: list[BootHop]


def boot(record: BootRecord) -> Boot:
    """Return the document."""
    path = critical_path(record)
    total = path[-1].end if path else 0.0
    document = {
        "state": record.state,
        "sentence": headline(record),
        "caveat": caveat(record),
        "converged": record.converged,
        "waiting": [each.name for each in open_workloads(record)],
        **asdict(record),
        "critical_path": [
            {
                "begin": hop.begin,
                "end": hop.end,
                "seconds": hop.seconds,
                "share": round(hop.share(total), 4),
                "subject": hop.subject,
                "what": hop.what,
            }
            for hop in path
        ],
    }
    return cast("Boot", _rounded(document))


def _rounded(value: Any) -> Any:
    """Return the value rounded to microseconds, systemd's resolution."""
    match value:
        case float():
            return round(value, 6)
        case dict():
            return {key: _rounded(each) for key, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
        case _:
            return value
