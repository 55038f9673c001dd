"""The JSON documents of the API, made from the runtime's state. Times are seconds since the epoch."""

from __future__ import annotations

import difflib
import os
import time
from dataclasses import asdict, dataclass
from typing import Any

from eventd import __version__
from eventd.api.recovery_document import losses, recovery
from eventd.core.actions import PutFile
from eventd.core.desired import Desired, Workload
from eventd.core.diagnostics import Diagnostic
from eventd.core.errors import EventdError
from eventd.core.events import Event
from eventd.core.facts import Account, FactKey, FactKind, FetchFailure, ManagerState, UnitState
from eventd.core.facts import unit as as_unit
from eventd.core.orders import Rollback, Suspension
from eventd.core.predicates import atoms
from eventd.core.records import WorkloadRecord
from eventd.core.report import RunReport, Standing, WorkloadReport, WorkloadState
from eventd.core.rights import EVERYTHING, View
from eventd.core.verdicts import Allow, Case, Hold
from eventd.runtime.in_force import FETCH, REVISION
from eventd.runtime.judging import draft, judge
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
    return "held" if WorkloadState.HELD in states or back else "converged"


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
        "fetch_failure": asdict(failure) if isinstance(failure, FetchFailure) else None,
        "load_error": None
        if error is None
        else {"reason": error.reason, "message": error.message, "hint": error.hint},
        "diagnostics": [diagnostic(d) for d in desired.diagnostics] if desired else [],
        "troubles": [
            {"name": name, "reason": error.reason, "message": error.message, "hint": error.hint}
            for name, error in _troubles(reconciler)
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


def _troubles(reconciler: Reconciler) -> list[tuple[str, EventdError]]:
    """Return what keeps runs from being made, changes from being seen, or the configuration from being in force."""
    run = [("run", reconciler.runs.error)] if reconciler.runs.error is not None else []
    return [*run, *reconciler.troubles.items()]


def names(reconciler: Reconciler) -> set[str]:
    """Return every workload that has something to be said about."""
    found = set(reconciler.standings.rows) | set(reconciler.ledger.records.workloads)
    if reconciler.desired is not None:
        found |= set(reconciler.desired.workloads) | set(reconciler.desired.refused)
    return found


def workload(reconciler: Reconciler, name: str) -> dict[str, Any]:
    """Return GET /v1/status/{workload}."""
    desired = reconciler.desired
    wanted, order = reconciler.in_force.workload(name), reconciler.orders.rollback_of(name)
    record = reconciler.ledger.records.workloads.get(name)
    standing = standing_of(reconciler, name)
    account = reconciler.dispatcher.facts.get(FactKey(FactKind.ACCOUNT, name))
    refused = desired.refused.get(name, ()) if desired else ()
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
        "log": list(standing.log),
        "failing_unit": standing.failing_unit,
        "retry_at": standing.retry_at if reconciler.failures.is_waiting(name) else None,
        "waits_for": list(standing.waits_for),
        "diagnostics": [diagnostic(d) for d in refused],
        "suspended": suspension(reconciler.orders.suspension_of(name)),
        "rollback": rollback(order),
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
        state = as_unit(reconciler.dispatcher.facts.get(FactKey(FactKind.UNIT, each.name, name)))
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


def _since(state: UnitState) -> float | None:
    """Return when a unit last changed its state, in seconds since the epoch.

    systemd counts CLOCK_MONOTONIC, which stands still while the host sleeps: across a suspend it is off by that.
    """
    if not state.since:
        return None
    return round(time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + state.since / 1e6, 3)


async def plan(
    reconciler: Reconciler, desired: Desired | None = None, view: View = EVERYTHING
) -> dict[str, Any]:
    """Return GET /v1/plan: what a run would do now (or with another desired state), with the diffs of the files."""
    desired = desired or reconciler.desired
    rows = []
    look = reconciler.converger.view
    left = [n for n, r in reconciler.ledger.records.workloads.items() if not r.retained]
    if desired is None or desired.partial:
        left = []  # as in a run: it may still be in the part that could not be read
    for name in sorted({*(desired.workloads if desired else ()), *left}):
        if desired is None or name in desired.refused or not view.sees(name):
            continue
        wanted = (
            reconciler.in_force.workload(name)
            if desired is reconciler.desired
            else desired.workloads.get(name)
        )
        seen = look.of(name, wanted)
        actions = draft(name, wanted, seen, reconciler.ledger.records, reconciler.context)
        listed = []
        verdicts = []
        for action in actions:
            facts, gates = reconciler.dispatcher.facts, reconciler.in_force.gates_of(name)
            verdict = judge(
                Case(action, wanted, seen, reconciler.ledger.records, facts, gates),
                reconciler.converger.policies,
            )
            if not isinstance(verdict, Allow):
                verdicts.append(
                    {
                        "verdict": "hold" if isinstance(verdict, Hold) else "deny",
                        "action": action.verb,
                        "reason": verdict.reason,
                        "message": verdict.message,
                        "waits_for": list(verdict.waits_for) if isinstance(verdict, Hold) else [],
                    }
                )
            diff = ""
            if isinstance(action, PutFile):
                uid = seen.account.uid if seen.account else None
                path = reconciler.context.layout.path(action.file, uid) if uid is not None else ""
                diff = await _diff(path, action)
            listed.append({"verb": action.verb, "target": action.target, "reason": action.why, "diff": diff})
        if listed:
            rows.append({"name": name, "actions": listed, "verdicts": verdicts})
    return {
        "commit": desired.commit if desired else "",
        "workloads": rows,
        "refused": [
            {"name": name, "diagnostics": [diagnostic(d) for d in found]}
            for name, found in sorted(desired.refused.items() if desired else ())
            if view.everything
        ],
        "diagnostics": [diagnostic(d) for d in desired.diagnostics] if desired and view.everything else [],
    }


async def _diff(path: str, action: PutFile) -> str:
    """Return a unified diff of what stands there and what would; root-owned folders, so reading follows no trap."""
    before = ""
    if path:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            pass  # not there, or a symlink: the diff is against nothing
        else:
            with os.fdopen(descriptor, "rb") as file:
                before = file.read(1 << 20).decode("utf-8", "replace")
    if action.file.role.value == "data":
        return ""  # configuration files of a workload may hold what is nobody else's business
    after = action.file.content.decode("utf-8", "replace")
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        path or "/dev/null",
        action.file.origin,
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def why(reconciler: Reconciler, name: str) -> dict[str, Any]:
    """Return GET /v1/why/{workload}: one sentence, and the facts behind it."""
    row = workload(reconciler, name)
    wanted = reconciler.in_force.workload(name)
    facts = [*_gates(reconciler, name), *_facts(reconciler, name, wanted)]
    missing = [f for f in facts if not f["holds"]]
    match row["state"]:
        case "converged":
            sentence = (
                f"{name} is converged: every unit is up, loaded from eventd's files, at {row['commit'][:12]}"
            )
        case "removed":
            sentence = f"{name} left the repository: its units are stopped, its account and data are kept"
        case "held":
            since = time.strftime("%H:%M:%S", time.localtime(row["since"]))
            rest = [f for f in missing if f["fact"] not in row["waits_for"] and f["wanted"] != "active"]
            others = "" if rest else "; everything else it needs is ready"
            sentence = f"{name} waits since {since}: {row['message']}{others}"
        case "rolled-back":
            since = time.strftime("%H:%M:%S", time.localtime(row["since"]))
            until = f" or {', '.join(row['waits_for'])} comes right" if row["waits_for"] else ""
            sentence = (
                f"{name} is rolled back since {since}: {row['message']}. It stays so until its files in the"
                f" repository change{until}"
            )
        case "failed" | "refused":
            sentence = f"{name} {row['state']}: {row['message']}"
        case state:
            first = missing[0] if missing else None
            detail = f": {first['fact']} is {first['value']}, wanted {first['wanted']}" if first else ""
            sentence = f"{name} is {state}{detail or (': ' + row['message'] if row['message'] else '')}"
    stopped = reconciler.orders.suspension_of(name)
    if stopped is not None and row["reason"] != "suspended":
        sentence += f". {stopped.sentence}: nothing of it is touched"
    return {
        "workload": name,
        "state": row["state"],
        "sentence": sentence,
        "hint": row["hint"],
        "facts": facts,
    }


def _gates(reconciler: Reconciler, name: str) -> list[dict[str, Any]]:
    gates, facts = reconciler.in_force.gates_of(name), reconciler.dispatcher.facts
    rows: list[dict[str, Any]] = []
    for what, predicate in (("requires", gates.requires), ("expects", gates.expect)):
        rows += [
            {"fact": a.text, "value": a.sentence(facts), "wanted": what, "holds": a.holds(facts)}
            for a in (atoms(predicate) if predicate is not None else ())
        ]
    return rows


def _facts(reconciler: Reconciler, name: str, wanted: Workload | None) -> list[dict[str, Any]]:
    facts = reconciler.dispatcher.facts
    account = facts.get(FactKey(FactKind.ACCOUNT, name))
    manager = facts.get(FactKey(FactKind.MANAGER, name))
    rows = [
        _fact(f"account {name}", "exists" if isinstance(account, Account) else "missing", "exists"),
        _fact("linger", "yes" if facts.get(FactKey(FactKind.LINGER, name)) is True else "no", "yes"),
        _fact("manager", manager.value if isinstance(manager, ManagerState) else "down", "up"),
    ]
    for each in wanted.units if wanted else ():
        state = as_unit(facts.get(FactKey(FactKind.UNIT, each.name, name)))
        value = f"{state.active} ({state.sub})" if state else "unknown"
        if each.role.value == "running":
            rows.append({**_fact(each.name, value, "active"), "holds": state is not None and state.up})
        else:
            loaded = state.load.value if state else "unknown"
            rows.append(_fact(each.name, loaded, "loaded"))
    return rows


def _fact(name: str, value: str, wanted: str) -> dict[str, Any]:
    return {"fact": name, "value": value, "wanted": wanted, "holds": value == wanted}
