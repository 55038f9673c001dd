"""The audit as a document: what was compared, and each finding with the command that shows it.

Read from memory: facts are kept current by events, so a request costs little and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import TypedDict

from eventd.api.model_rights import View
from eventd.audit.model import Code, Finding, command
from eventd.audit.model_facts import AuditFact, Foreign
from eventd.desired.model import DesiredUnit, FileRole, Workload
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_facts import Account, LoadState, UnitState
from eventd.queries import Queries
from eventd.workloads.model_facts import ManagerState
from eventd.workloads.model_observed import Observed


class AuditFinding(TypedDict):
    """One deviation from what eventd installed."""

    code: Code
    unit: str
    path: str
    message: str
    found: str
    wanted: str
    command: str
    fix: str


class AuditedUnit(TypedDict):
    """What systemd has loaded for a unit, and from where."""

    unit: str
    file: str
    known: bool
    stale: bool
    fragment_path: str
    source_path: str
    drop_ins: list[str]
    needs_reload: bool
    file_state: str
    load: LoadState
    command: str


class AuditedWorkload(TypedDict):
    """Where the units of a workload come from."""

    name: str
    note: str
    units: list[AuditedUnit]
    folders: list[str]
    findings: list[AuditFinding]


class Audit(TypedDict):
    """GET /v1/audit."""

    findings: int
    allow: list[str]
    workloads: list[AuditedWorkload]


def audit(queries: Queries, view: View, only: str = "") -> Audit:
    """Return GET /v1/audit: all workloads that the caller may see, or one."""
    names = [only] if only else sorted(filter(view.sees, queries.workload_names()))
    rows = [_workload(queries, name) for name in names]
    return {
        "findings": sum(len(row["findings"]) for row in rows),
        "allow": sorted(queries.context.allow),
        "workloads": rows,
    }


def _workload(queries: Queries, name: str) -> AuditedWorkload:
    workload = queries.workload(name)
    if workload is None:
        return {"name": name, "note": _why_not(queries, name), "units": [], "folders": [], "findings": []}
    seen = queries.observed(name, workload)
    found = queries.audit(name)
    foreign = queries.facts.get(FactKey(AuditFact.FOREIGN, name))
    return {
        "name": name,
        "note": _note(seen),
        "units": list(_units(queries, workload, seen, found.stale)),
        "folders": list(foreign.folders) if isinstance(foreign, Foreign) else [],
        "findings": [finding(each) for each in found.findings],
    }


def finding(each: Finding) -> AuditFinding:
    """Return one finding."""
    return {
        "code": each.code,
        "unit": each.unit,
        "path": each.path,
        "message": each.message,
        "found": each.found,
        "wanted": each.wanted,
        "command": each.command,
        "fix": each.fix,
    }


def _why_not(queries: Queries, name: str) -> str:
    if queries.desired is not None and name in queries.desired.refused:
        return "it is refused, so its desired units are not known"
    return "it left the repository"


def _note(seen: Observed) -> str:
    if seen.account is None:
        return "its account does not exist yet"
    match seen.manager:
        case ManagerState.UP:
            return "" if seen.foreign is not None else "its folders are being scanned"
        case state:
            return f"its user manager is {state}: its units are not known, only its folders were scanned"


def _units(
    queries: Queries, workload: Workload, seen: Observed, stale: tuple[str, ...]
) -> Iterator[AuditedUnit]:
    for unit in workload.units:
        known = seen.units.get(unit.name)
        state = known or UnitState(unit.name)
        yield {
            "unit": unit.name,
            "file": _file(queries, seen.account, unit),
            "known": known is not None,
            "stale": unit.name in stale,
            "fragment_path": state.fragment_path,
            "source_path": state.source_path,
            "drop_ins": list(state.drop_ins),
            "needs_reload": state.needs_reload,
            "file_state": state.file_state,
            "load": state.load,
            "command": command(workload.name, unit.name),
        }


def _file(queries: Queries, account: Account | None, unit: DesiredUnit) -> str:
    if account is None:
        return ""
    role = FileRole(unit.file_role)
    return f"{queries.context.layout.folder(role, account.uid)}/{unit.file}"
