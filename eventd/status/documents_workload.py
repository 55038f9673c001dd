"""The API's documents about one workload. Times are seconds since the epoch."""

from __future__ import annotations

import time

from typing_extensions import TypedDict

from eventd.containers.model import ContainerStatus, shown
from eventd.desired.model import Desired, UnitRole, Workload
from eventd.health.controller_wellbeing import Crash
from eventd.health.model_facts import HealthFact
from eventd.kernel.model.diagnostics import Diagnostic
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import WorkloadState
from eventd.overrides.model import Rollback, Suspension
from eventd.platform.model_facts import Account, PlatformFact, UnitState
from eventd.platform.model_facts import unit as as_unit
from eventd.queries import Queries
from eventd.updates.documents import LastUpdate, last_update, results
from eventd.workloads.model_records import Ownership, WorkloadRecord


class Unit(TypedDict):
    """A unit, as desired and as observed."""

    name: str
    wanted: UnitRole
    active: str
    sub: str
    result: str
    restarts: int
    invocation: str
    source: str
    since: float | None


class Crashes(TypedDict):
    """How often units ended by themselves since the daemon started."""

    count: int
    last: Crash


class Suspended(TypedDict):
    """Who suspended a workload, or the host."""

    since: float
    by: str
    why: str


RolledBack = TypedDict(
    "RolledBack",
    {
        "from": str,
        "to": str,
        "since": float,
        "by": str,
        "automatic": bool,
        "reason": str,
        "message": str,
        "until": list[str],
    },
)
"""Why another revision than the repository's is active."""


class WorkloadStatus(TypedDict):
    """GET /v1/status/{workload}."""

    name: str
    state: WorkloadState
    reason: str
    message: str
    hint: str
    since: float
    step: str
    commit: str
    verified_at: float | None
    wanted_commit: str
    uid: int | None
    ownership: Ownership | None
    made_by: int | None
    units: list[Unit]
    containers: list[ContainerStatus]
    crashes: Crashes | None
    log: list[str]
    failing_unit: str
    attempts: int
    retry_at: float | None
    waits_for: list[str]
    diagnostics: list[Diagnostic]
    suspended: Suspended | None
    rollback: RolledBack | None
    last_update: LastUpdate | None


def workload(queries: Queries, name: str) -> WorkloadStatus:
    """Return GET /v1/status/{workload}."""
    desired = queries.desired
    wanted, order = queries.workload(name), queries.rollback_of(name)
    record = queries.record(name)
    current = queries.status(name)
    account = queries.facts.get(FactKey(PlatformFact.ACCOUNT, name))
    refused = desired.refused.get(name, ()) if desired else ()
    suspended = queries.suspension_of(name)
    return {
        "name": name,
        "state": current.state,
        "reason": current.reason,
        "message": current.message,
        "hint": current.hint,
        "since": current.since,
        "step": current.step,
        "commit": record.verified_commit if order and record else _applied(record, wanted, desired),
        "verified_at": record.verified_at if record else None,
        "wanted_commit": desired.commit if desired and (wanted or refused) else "",
        "uid": account.uid if isinstance(account, Account) else None,
        "ownership": record.ownership if record else None,
        "made_by": record.run if record else None,
        "units": units(queries, name, wanted),
        "containers": containers(queries, name, wanted),
        "crashes": crashes(queries, name),
        "log": list(current.log),
        "failing_unit": current.failing_unit,
        "attempts": queries.attempts_of(name) if current.state is WorkloadState.FAILED else 0,
        "retry_at": current.retry_at if queries.is_retried(name) and suspended is None else None,
        "waits_for": list(current.waits_for),
        "diagnostics": list(refused),
        "suspended": suspension(suspended),
        "rollback": rollback(order),
        "last_update": last_update(results(queries).get(name)),
    }


def suspension(row: Suspension | None) -> Suspended | None:
    """Return who suspended a workload, or the host."""
    return None if row is None else {"since": row.since, "by": row.by, "why": row.why}


def rollback(order: Rollback | None) -> RolledBack | None:
    """Return why another revision than the repository's is active."""
    if order is None:
        return None
    return {
        "from": order.bad_commit,
        "to": order.good.commit,
        "since": order.since,
        "by": order.by,
        "automatic": order.automatic,
        "reason": order.reason,
        "message": order.message,
        "until": list(order.failed_on),
    }


def _applied(record: WorkloadRecord | None, wanted: Workload | None, desired: Desired | None) -> str:
    """Return the newest commit whose content of this workload is verified."""
    if record is None:
        return ""
    if desired is not None and wanted is not None and record.verified_digest == wanted.digest:
        return desired.commit  # it did not change this workload
    return record.verified_commit


def units(queries: Queries, name: str, wanted: Workload | None) -> list[Unit]:
    """Return the units of a workload, as desired and as observed."""
    rows: list[Unit] = []
    for each in wanted.units if wanted else ():
        state = as_unit(queries.facts.get(FactKey(PlatformFact.UNIT, each.name, name)))
        rows.append(
            {
                "name": each.name,
                "wanted": each.role,
                "active": state.active.value if state else "unknown",
                "sub": state.sub if state else "",
                "result": state.result if state else "",
                "restarts": state.restarts if state else 0,
                "invocation": state.invocation if state else "",
                "source": (state.source_path or state.fragment_path) if state else "",
                "since": _since(state) if state else None,
            }
        )
    return rows


def containers(queries: Queries, name: str, wanted: Workload | None) -> list[ContainerStatus]:
    """Return the containers of a workload, from podman's events; none for a removed workload."""
    facts = queries.facts
    account = facts.get(FactKey(PlatformFact.ACCOUNT, name))
    if wanted is None or not isinstance(account, Account):
        return []
    states = {u.name: as_unit(facts.get(FactKey(PlatformFact.UNIT, u.name, name))) for u in wanted.units}
    used = queries.used_images(name)
    digests = {
        image.id: image.digests[0] for image in (used.all() if used is not None else ()) if image.digests
    }
    health = {
        u.container: value
        for u in wanted.units
        if u.container
        and isinstance(value := facts.get(FactKey(HealthFact.CONTAINER, u.container, name)), str)
    }
    units = {unit: state for unit, state in states.items() if state is not None}
    return list(shown(wanted, queries.containers(account), units, digests, health))


def crashes(queries: Queries, name: str) -> Crashes | None:
    """Return how often units of a workload ended by themselves since the daemon started, and the last time."""
    last = queries.last_crash(name)
    if last is None:
        return None
    return {"count": queries.crash_count(name), "last": last}


def _since(state: UnitState) -> float | None:
    """Return when a unit last changed its state, in seconds since the epoch.

    systemd uses CLOCK_MONOTONIC, which stops while the host sleeps, so after a suspend the result is off by that time.
    """
    if not state.since:
        return None
    return round(time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + state.since / 1e6, 3)
