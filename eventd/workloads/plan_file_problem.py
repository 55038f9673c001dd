"""Problems with the host's files that a workload names: one is missing, or changed since the start.

Pure. A problem becomes part of the workload's status, not an action.
"""

from __future__ import annotations

from dataclasses import dataclass

from eventd.accounts import model_homes as homes
from eventd.desired.model import UnitRole, Workload
from eventd.files.model_named import (
    RESTART_PENDING,
    lacking,
)
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Records
from eventd.workloads.plan_units import stale_files


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A problem of a workload that is up: a file of the host is missing or has changed."""

    reason: str
    message: str
    hint: str


def file_problem(workload: Workload, seen: Observed, records: Records) -> FileProblem | None:
    """Return the worst problem with the files that a workload names; None if there is none."""
    if seen.account is not None and homes.is_gone(seen.named):
        what = homes.lost(workload, seen.account, records) or "all"
        return FileProblem(homes.MISSING, *homes.trouble(workload.name, seen.account, what))
    running = [unit for unit in workload.units if unit.role is not UnitRole.ON_DEMAND]
    found = [each for unit in running for each in lacking(unit, seen.named)]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return FileProblem(
            found[0].reason, f"it runs, but would not start again: {found[0].message}{more}", found[0].hint
        )
    stale_ones = [
        (unit.name, seen.named[each.path].path)
        for unit in workload.units
        for each in stale_files(workload, unit, seen, records)
    ]
    if not stale_ones:
        return None
    place = workload.options.place
    units = " and ".join(dict.fromkeys(unit for unit, _ in stale_ones))
    files = " and ".join(dict.fromkeys(path for _, path in stale_ones))
    return FileProblem(
        RESTART_PENDING,
        f"{files} changed, and {units} still runs with the old content",
        f"eventctl restart {workload.name}; {place.key('files.on_change')} makes eventd do that",
    )
