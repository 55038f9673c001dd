"""The JSON documents of the API, made from the runtime's state. Times are seconds since the epoch."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import Any

from eventd import __version__
from eventd.api.recovery_document import losses, recovery
from eventd.api.updates_document import last_update, results, updates
from eventd.core.containers import shown
from eventd.core.desired import Desired, Workload
from eventd.core.diagnostics import Diagnostic
from eventd.core.errors import EventdError
from eventd.core.events import Event
from eventd.core.facts import FactKey
from eventd.core.orders import Rollback, Suspension
from eventd.core.records import WorkloadRecord
from eventd.core.report import RunReport, Standing, WorkloadReport, WorkloadState
from eventd.health.model_facts import HealthFact
from eventd.platform.model_facts import Account, PlatformFact, UnitState
from eventd.platform.model_facts import unit as as_unit
from eventd.repository.model_facts import FetchFailure
from eventd.runtime.in_force import FETCH, REVISION
from eventd.runtime.keeper import keeper_of
from eventd.runtime.reconcile import Reconciler

BOOT_ID = "/proc/sys/kernel/random/boot_id"


@dataclass(frozen=True, slots=True)
class Identity:
    """What does not change in the life of the daemon."""

    host: str
    repository: str
    """Without secrets."""
    branch: str
    started: float

    def document(self) -> dict[str, Any]:
        """Return the `daemon` object."""
        try:
            with open(BOOT_ID, encoding="ascii") as file:  # noqa: PTH123
                boot_id = file.read().strip()
        except OSError:
            boot_id = ""
        return {"pid": os.getpid(), "started": self.started, "boot_id": boot_id}


def event(each: Event) -> dict[str, Any]:
    """Return one event."""
    return {
        "sequence": each.sequence,
        "origin": each.origin.value,
        "kind": each.kind.value,
        "subject": each.subject,
        "scope": each.scope,
        "attributes": dict(each.attributes),
        "wall": each.wall,
        "monotonic": each.monotonic,
    }


def run(report: RunReport | None) -> dict[str, Any] | None:
    """Return one run."""
    if report is None:
        return None
    return {
        "id": report.id,
        "started": report.started,
        "ended": report.ended,
        "result": report.result.value,
        "commit": report.commit,
        "error": report.error,
        "joined": report.joined,
        "triggers": [
            {
                "origin": t.origin.value,
                "kind": t.kind.value,
                "subject": t.subject,
                "scope": t.scope,
                "sequence": t.sequence,
            }
            for t in report.triggers
        ],
        "workloads": [_row(row) for row in report.workloads],
    }


def _row(row: WorkloadReport) -> dict[str, Any]:
    return {
        "name": row.name,
        "result": row.outcome.value,
        "reason": row.reason,
        "message": row.message,
        "hint": row.hint,
        "actions": row.actions,
        "seconds": row.seconds,
        "waits_for": list(row.waits_for),
        "log": list(row.log),
    }


def diagnostic(each: Diagnostic) -> dict[str, Any]:
    """Return one finding."""
    return asdict(each)


def overall(reconciler: Reconciler) -> str:
    """Return the host's state in a word."""
    if reconciler.runs.stopping:
        return "stopping"
    if reconciler.desired is None:
        failed = FETCH in reconciler.dispatcher.facts or reconciler.load_error is not None
        return "failed" if failed else "starting"
    states = {standing_of(reconciler, name).state for name in names(reconciler)}
    back = [order for name in reconciler.orders.rollbacks if (order := reconciler.orders.rollback_of(name))]
    if any(order.automatic for order in back):
        return "degraded"
    if WorkloadState.FAILED in states or WorkloadState.REFUSED in states or reconciler.general_error():
        return "degraded"
    if losses(reconciler):
        return "degraded"
    wanted = reconciler.dispatcher.facts.get(REVISION)
    if wanted is not None and wanted != reconciler.desired.commit:
        return "converging"
    if reconciler.current is not None or states & {
        WorkloadState.PENDING,
        WorkloadState.APPLYING,
        WorkloadState.VERIFYING,
    }:
        return "converging"
    if WorkloadState.HELD in states or back:
        return "held"
    return "at-risk" if WorkloadState.AT_RISK in states else "converged"


def standing_of(reconciler: Reconciler, name: str) -> Standing:
    """Return where a workload stands, also one that no run of this life has looked at yet."""
    found = reconciler.standings.rows.get(name)
    if found is not None:
        return found
    record = reconciler.ledger.records.workloads.get(name)
    gone = record is not None and record.retained
    return Standing(WorkloadState.REMOVED if gone else WorkloadState.PENDING)


def status(reconciler: Reconciler, identity: Identity) -> dict[str, Any]:
    """Return GET /v1/status."""
    failure = reconciler.dispatcher.facts.get(FETCH)
    desired = reconciler.desired
    error = reconciler.load_error
    counters = reconciler.runs.counters
    return {
        "version": __version__,
        "host": identity.host,
        "commit": desired.commit if desired else "",
        "suspended": suspension(reconciler.orders.suspensions.get("")),
        "branch": identity.branch,
        "repository": identity.repository,
        "state": overall(reconciler),
        "since": max((s.since for s in reconciler.standings.rows.values()), default=identity.started),
        "daemon": identity.document(),
        "run": run(reconciler.current),
        "last_run": run(reconciler.last),
        "recovery": recovery(reconciler),
        "state_losses": losses(reconciler),
        "updates": updates(reconciler),
        "fetch_failure": asdict(failure) if isinstance(failure, FetchFailure) else None,
        "load_error": None
        if error is None
        else {"reason": error.reason, "message": error.message, "hint": error.hint},
        "diagnostics": [diagnostic(d) for d in desired.diagnostics] if desired else [],
        "troubles": [
            {"name": name, "reason": error.reason, "message": error.message, "hint": error.hint}
            for name, error in troubles(reconciler)
        ],
        "counters": {
            "runs": counters.runs,
            "runs_failed": counters.runs_failed,
            "contended": counters.contended,
            "lock_contended": reconciler.host.lock.contended,
            "checks": counters.checks,
            "events": reconciler.dispatcher.sequence,
            "coalesced": reconciler.queue.coalesced,
        },
        "workloads": [workload(reconciler, name) for name in sorted(names(reconciler))],
    }


def troubles(reconciler: Reconciler) -> list[tuple[str, EventdError]]:
    """Return what keeps runs from being made, changes from being seen, or the configuration from being in force."""
    run = [("run", reconciler.runs.error)] if reconciler.runs.error is not None else []
    return [*run, *reconciler.all_troubles()]


def names(reconciler: Reconciler) -> set[str]:
    """Return every workload that has something to be said about."""
    found = set(reconciler.standings.rows) | set(reconciler.ledger.records.workloads)
    if reconciler.desired is not None:
        found |= set(reconciler.desired.workloads) | set(reconciler.desired.refused)
    return found


def workloads(reconciler: Reconciler) -> set[str]:
    """Return those of `names` that are workloads: not volumes and other subjects that converge beside them."""
    keepers = reconciler.in_force.keepers
    return {name for name in names(reconciler) if keeper_of(keepers, name) is None}


def workload(reconciler: Reconciler, name: str) -> dict[str, Any]:
    """Return GET /v1/status/{workload}."""
    desired = reconciler.desired
    wanted, order = reconciler.in_force.workload(name), reconciler.orders.rollback_of(name)
    record = reconciler.ledger.records.workloads.get(name)
    standing = standing_of(reconciler, name)
    account = reconciler.dispatcher.facts.get(FactKey(PlatformFact.ACCOUNT, name))
    refused = desired.refused.get(name, ()) if desired else ()
    suspended = reconciler.orders.suspension_of(name)
    return {
        "name": name,
        "state": standing.state.value,
        "reason": standing.reason,
        "message": standing.message,
        "hint": standing.hint,
        "since": standing.since,
        "step": standing.step,
        "commit": record.verified_commit if order and record else _applied(record, wanted, desired),
        "verified_at": record.verified_at if record else None,
        "wanted_commit": desired.commit if desired and (wanted or refused) else "",
        "uid": account.uid if isinstance(account, Account) else None,
        "ownership": record.ownership.value if record else None,
        "made_by": record.run if record else None,
        "units": units(reconciler, name, wanted),
        "containers": containers(reconciler, name, wanted),
        "crashes": crashes(reconciler, name),
        "log": list(standing.log),
        "failing_unit": standing.failing_unit,
        "retry_at": standing.retry_at if reconciler.failures.is_waiting(name) and suspended is None else None,
        "waits_for": list(standing.waits_for),
        "diagnostics": [diagnostic(d) for d in refused],
        "suspended": suspension(suspended),
        "rollback": rollback(order),
        "last_update": last_update(results(reconciler).get(name)),
    }


def suspension(row: Suspension | None) -> dict[str, Any] | None:
    """Return who has a workload, or the host, left as it is."""
    return None if row is None else {"since": row.since, "by": row.by, "why": row.why}


def rollback(order: Rollback | None) -> dict[str, Any] | None:
    """Return what another revision than the repository's is in force for."""
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
    """Return the newest commit whose content of this workload has been verified."""
    if record is None:
        return ""
    if desired is not None and wanted is not None and record.verified_digest == wanted.digest:
        return desired.commit  # it did not change this workload
    return record.verified_commit


def units(reconciler: Reconciler, name: str, wanted: Workload | None) -> list[dict[str, Any]]:
    """Return the units of a workload, as wanted and as seen."""
    rows = []
    for each in wanted.units if wanted else ():
        state = as_unit(reconciler.dispatcher.facts.get(FactKey(PlatformFact.UNIT, each.name, name)))
        rows.append(
            {
                "name": each.name,
                "wanted": each.role.value,
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


def containers(reconciler: Reconciler, name: str, wanted: Workload | None) -> list[dict[str, Any]]:
    """Return the containers of a workload, as podman's events told; none of what left the repository."""
    facts = reconciler.dispatcher.facts
    account = facts.get(FactKey(PlatformFact.ACCOUNT, name))
    if wanted is None or not isinstance(account, Account):
        return []
    states = {u.name: as_unit(facts.get(FactKey(PlatformFact.UNIT, u.name, name))) for u in wanted.units}
    used = reconciler.updates.used.get(name)
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
    rows = shown(wanted, reconciler.containers(account), units, digests, health)
    return [{**asdict(row), "since": row.since or None} for row in rows]


def crashes(reconciler: Reconciler, name: str) -> dict[str, Any] | None:
    """Return how often units of a workload ended by themselves in this life of the daemon, and the last time."""
    last = reconciler.wellbeing.last.get(name)
    if last is None:
        return None
    return {"count": reconciler.wellbeing.crashes.get(name, 0), "last": asdict(last)}


def _since(state: UnitState) -> float | None:
    """Return when a unit last changed its state, in seconds since the epoch.

    systemd counts CLOCK_MONOTONIC, which stands still while the host sleeps: across a suspend it is off by that.
    """
    if not state.since:
        return None
    return round(time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + state.since / 1e6, 3)
