"""The JSON of requests for signatures, of what was refused, and of what is retained. Times: seconds since the epoch."""

from __future__ import annotations

from typing import Any

from eventd.core.approvals import NAMESPACE, OPEN, Attempt, Request, State
from eventd.core.facts import FactKey
from eventd.core.removals import Removal, Stage
from eventd.platform.model_facts import Account, PlatformFact
from eventd.runtime.approvals import Approvals
from eventd.runtime.reconcile import Reconciler
from eventd.runtime.removals import PREFIX


def approvals(kept: Approvals, *, everything: bool) -> dict[str, Any]:
    """Return GET /v1/approvals: what is open, or everything, the newest first."""
    rows = sorted(kept.requests.rows.values(), key=lambda r: (r.created, r.id), reverse=True)
    shown = (*OPEN, State.REJECTED)
    attempts = kept.attempts.latest() if everything else []
    return {
        "namespace": NAMESPACE,
        "approvals": [request(row) for row in rows if everything or row.state in shown],
        "refused": [_attempt(row) for row in attempts],
    }


def request(row: Request) -> dict[str, Any]:
    """Return one request."""
    return {
        "id": row.id,
        "state": row.state.value,
        "subject": row.subject,
        "why": row.why,
        "plan": [{"action": each.action, "target": each.target, "does": each.does} for each in row.plan],
        "resources": list(row.resources),
        "digest": row.digest,
        "created": row.created,
        "expires": row.expires,
        "changed": row.changed,
        "signer": row.signer,
        "origin": row.origin,
        "run": row.run,
        "document": row.document,
    }


def _attempt(row: Attempt) -> dict[str, Any]:
    return {
        "at": row.at,
        "request": row.request,
        "reason": row.reason,
        "message": row.message,
        "origin": row.origin,
        "times": row.times,
    }


def retained(reconciler: Reconciler, kept: Approvals) -> list[dict[str, Any]]:
    """Return GET /v1/retained: the accounts of workloads that left, by name."""
    ledger = reconciler.ledger
    names = {name for name, record in ledger.records.workloads.items() if record.retained}
    names |= {name for name, row in ledger.removals.rows.items() if row.stage is not Stage.NONE}
    return [_retained(reconciler, kept, name) for name in sorted(names)]


def _retained(reconciler: Reconciler, kept: Approvals, name: str) -> dict[str, Any]:
    row = reconciler.ledger.removals.get(name) or Removal()
    record = reconciler.ledger.records.workloads.get(name)
    account = reconciler.dispatcher.facts.get(FactKey(PlatformFact.ACCOUNT, name))
    waiting = [r for r in kept.requests.rows.values() if r.subject == PREFIX + name and r.state in OPEN]
    return {
        "name": name,
        "since": row.since or None,
        "commit": row.commit,
        "data": row.data.value,
        "said_by": row.said_by,
        "uid": record.uid if record is not None else row.uid,
        "home": account.home if isinstance(account, Account) else row.home,
        "ownership": record.ownership.value if record is not None else "",
        "deletion": row.stage.value or ("held" if waiting else ""),
        "approval": waiting[0].id if waiting else "",
    }
