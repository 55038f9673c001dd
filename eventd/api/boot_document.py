"""GET /v1/boot: the record of the boot as JSON, with the critical path. Times are seconds after `origin`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from eventd.core.boot import BootRecord, caveat, headline, open_workloads
from eventd.core.boot_path import critical_path


def boot(record: BootRecord) -> dict[str, Any]:
    """Return the document."""
    path = critical_path(record)
    total = path[-1].end if path else 0.0
    return {
        "state": record.state,
        "sentence": headline(record),
        "caveat": caveat(record),
        "converged": _rounded(record.converged),
        "waiting": [each.name for each in open_workloads(record)],
        **_rounded(asdict(record)),
        "critical_path": [
            {
                "begin": _rounded(hop.begin),
                "end": _rounded(hop.end),
                "seconds": _rounded(hop.seconds),
                "share": round(hop.share(total), 4),
                "subject": hop.subject,
                "what": hop.what,
            }
            for hop in path
        ],
    }


def _rounded(value: Any) -> Any:
    """Return the value with microseconds as the finest: systemd's own resolution."""
    match value:
        case float():
            return round(value, 6)
        case dict():
            return {key: _rounded(each) for key, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
        case _:
            return value
