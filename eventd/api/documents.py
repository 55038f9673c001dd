"""What the API says of the host, its workloads and its runs, made from the runtime's state.

Each document is a type, with its keys in the order in which they are written; the routes name them, and
docs/reference/api.schema.json is made of them. Times are seconds since the epoch.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import NotRequired

from typing_extensions import TypedDict

from eventd import __version__
from eventd.api.answers import Error
from eventd.api.recovery_document import Recovery, losses, recovery
from eventd.api.updates_document import LastUpdate, Updates, last_update, results, updates
from eventd.core.containers import ContainerStatus, shown
from eventd.core.desired import Desired, UnitRole, Workload
from eventd.core.diagnostics import Diagnostic
from eventd.core.errors import EventdError
from eventd.core.events import Attribute, Event
from eventd.core.facts import FactKey
from eventd.core.orders import Rollback, Suspension
from eventd.core.records import Ownership, StateLoss, WorkloadRecord
from eventd.core.report import Outcome, RunReport, RunResult, Standing, WorkloadReport, WorkloadState
from eventd.health.model_facts import HealthFact
from eventd.platform.model_facts import Account, PlatformFact, UnitState
from eventd.platform.model_facts import unit as as_unit
from eventd.repository.model_facts import FetchFailure
from eventd.runtime.in_force import FETCH, REVISION
from eventd.runtime.keeper import keeper_of
from eventd.runtime.reconcile import Reconciler
from eventd.runtime.wellbeing import Crash

BOOT_ID = "/proc/sys/kernel/random/boot_id"


@dataclass(frozen=True, slots=True)
class Identity:
    """What does not change in the life of the daemon."""

    host: str
    repository: str
    """Without secrets."""
    branch: str
    started: float

    def document(self) -> Daemon:
        """Return the `daemon` object."""
        try:
            with open(BOOT_ID, encoding="ascii") as file:  # noqa: PTH123
                boot_id = file.read().strip()
        except OSError:
            boot_id = ""
        return {"pid": os.getpid(), "started": self.started, "boot_id": boot_id}


class Daemon(TypedDict):
    """The life of the daemon that answers."""

    pid: int
    started: float
    boot_id: str


class EventRow(TypedDict):
    """One event; GET /v1/events has one a line. docs/reference/events.md lists origins and kinds."""

    sequence: int
    origin: str
    kind: str
    subject: str
    scope: str
    attributes: dict[str, Attribute]
    wall: float
    monotonic: float


class Trigger(TypedDict):
    """An event that led to a run."""

    origin: str
    kind: str
    subject: str
    scope: NotRequired[str]
    sequence: int


class RunRow(TypedDict):
    """What a run did about one workload; what is not required is in runs that have ended."""

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
    """A step that a crash cut off, and how it was settled."""

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


class Unit(TypedDict):
    """A unit, as wanted and as seen."""

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
    """How often units ended by themselves in this life of the daemon."""

    count: int
    last: Crash


class Suspended(TypedDict):
    """Who has a workload, or the host, left as it is."""

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
"""What another revision than the repository's is in force for."""


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
    retry_at: float | None
    waits_for: list[str]
    diagnostics: list[Diagnostic]
    suspended: Suspended | None
    rollback: RolledBack | None
    last_update: LastUpdate | None


class Trouble(TypedDict):
    """What keeps changes from being seen, or runs from being made."""

    name: str
    reason: str
    message: str
    hint: str


class Counters(TypedDict, total=False):
    """Counted in this life of the daemon; a workload is told none."""

    runs: int
    runs_failed: int
    contended: int
    lock_contended: int
    checks: int
    events: int
    coalesced: int


class Status(TypedDict):
    """GET /v1/status; what is not required is not told to a workload."""

    version: str
    host: str
    commit: str
    suspended: NotRequired[Suspended | None]
    branch: str
    repository: str
    state: str
    since: float
    daemon: Daemon
    run: Run | None
    last_run: Run | None
    recovery: NotRequired[Recovery | None]
    state_losses: NotRequired[list[StateLoss]]
    updates: NotRequired[Updates]
    fetch_failure: FetchFailure | None
    load_error: Error | None
    diagnostics: list[Diagnostic]
    troubles: list[Trouble]
    counters: Counters
    workloads: list[WorkloadStatus]


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


def status(reconciler: Reconciler, identity: Identity) -> Status:
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
        "fetch_failure": failure if isinstance(failure, FetchFailure) else None,
        "load_error": None
        if error is None
        else {"reason": error.reason, "message": error.message, "hint": error.hint},
        "diagnostics": list(desired.diagnostics) if desired else [],
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


def workload(reconciler: Reconciler, name: str) -> WorkloadStatus:
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
        "state": standing.state,
        "reason": standing.reason,
        "message": standing.message,
        "hint": standing.hint,
        "since": standing.since,
        "step": standing.step,
        "commit": record.verified_commit if order and record else _applied(record, wanted, desired),
        "verified_at": record.verified_at if record else None,
        "wanted_commit": desired.commit if desired and (wanted or refused) else "",
        "uid": account.uid if isinstance(account, Account) else None,
        "ownership": record.ownership if record else None,
        "made_by": record.run if record else None,
        "units": units(reconciler, name, wanted),
        "containers": containers(reconciler, name, wanted),
        "crashes": crashes(reconciler, name),
        "log": list(standing.log),
        "failing_unit": standing.failing_unit,
        "retry_at": standing.retry_at if reconciler.failures.is_waiting(name) and suspended is None else None,
        "waits_for": list(standing.waits_for),
        "diagnostics": list(refused),
        "suspended": suspension(suspended),
        "rollback": rollback(order),
        "last_update": last_update(results(reconciler).get(name)),
    }


def suspension(row: Suspension | None) -> Suspended | None:
    """Return who has a workload, or the host, left as it is."""
    return None if row is None else {"since": row.since, "by": row.by, "why": row.why}


def rollback(order: Rollback | None) -> RolledBack | None:
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


def units(reconciler: Reconciler, name: str, wanted: Workload | None) -> list[Unit]:
    """Return the units of a workload, as wanted and as seen."""
    rows: list[Unit] = []
    for each in wanted.units if wanted else ():
        state = as_unit(reconciler.dispatcher.facts.get(FactKey(PlatformFact.UNIT, each.name, name)))
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


def containers(reconciler: Reconciler, name: str, wanted: Workload | None) -> list[ContainerStatus]:
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
    return list(shown(wanted, reconciler.containers(account), units, digests, health))


def crashes(reconciler: Reconciler, name: str) -> Crashes | None:
    """Return how often units of a workload ended by themselves in this life of the daemon, and the last time."""
    last = reconciler.wellbeing.last.get(name)
    if last is None:
        return None
    return {"count": reconciler.wellbeing.crashes.get(name, 0), "last": last}


def _since(state: UnitState) -> float | None:
    """Return when a unit last changed its state, in seconds since the epoch.

    systemd counts CLOCK_MONOTONIC, which stands still while the host sleeps: across a suspend it is off by that.
    """
    if not state.since:
        return None
    return round(time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + state.since / 1e6, 3)
