"""The JSON of requests, refused signatures and retained accounts. Times are seconds since the epoch."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from eventd.approvals.model import NAMESPACE, OPEN, Attempt, Request, State
from eventd.desired.model import RemoveData
from eventd.kernel.model.draft import Planned
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_facts import Account, PlatformFact
from eventd.queries import Queries
from eventd.workloads.controller_removals import PREFIX
from eventd.workloads.model_removals import Removal, Stage


class Approval(TypedDict):
    """A request for a signature."""

    id: str
    state: State
    subject: str
    why: str
    plan: list[Planned]
    resources: list[str]
    digest: str
    created: float
    expires: float
    changed: float
    signer: str
    origin: str
    run: int
    document: str


class Approvals(TypedDict):
    """GET /v1/approvals."""

    namespace: str
    approvals: list[Approval]
    refused: list[Attempt]


class RetainedAccount(TypedDict):
    """The retained account of a removed workload; the size of its home is included when one is requested by name."""

    name: str
    since: float | None
    commit: str
    data: RemoveData
    said_by: str
    uid: int
    home: str
    ownership: str
    deletion: str
    approval: str
    files: NotRequired[int]
    bytes: NotRequired[int]
    complete: NotRequired[bool]
    top: NotRequired[list[str]]


class Retained(TypedDict):
    """GET /v1/retained."""

    retained: list[RetainedAccount]


def approvals(queries: Queries, *, everything: bool) -> Approvals:
    """Return GET /v1/approvals: open requests, or all, the newest first."""
    rows = sorted(queries.approvals, key=lambda r: (r.created, r.id), reverse=True)
    shown = (*OPEN, State.REJECTED)
    attempts = queries.refused_signatures if everything else []
    return {
        "namespace": NAMESPACE,
        "approvals": [request(row) for row in rows if everything or row.state in shown],
        "refused": list(attempts),
    }


def request(row: Request) -> Approval:
    """Return one request."""
    return {
        "id": row.id,
        "state": row.state,
        "subject": row.subject,
        "why": row.why,
        "plan": list(row.plan),
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


def retained(queries: Queries) -> list[RetainedAccount]:
    """Return GET /v1/retained: the accounts of removed workloads, by name."""
    names = {name for name, record in queries.records.workloads.items() if record.retained}
    names |= {name for name, row in queries.removals.items() if row.stage is not Stage.NONE}
    return [_retained(queries, name) for name in sorted(names)]


def _retained(queries: Queries, name: str) -> RetainedAccount:
    row = queries.removals.get(name) or Removal()
    record = queries.record(name)
    account = queries.facts.get(FactKey(PlatformFact.ACCOUNT, name))
    waiting = [r for r in queries.approvals if r.subject == PREFIX + name and r.state in OPEN]
    return {
        "name": name,
        "since": row.since or None,
        "commit": row.commit,
        "data": row.data,
        "said_by": row.said_by,
        "uid": record.uid if record is not None else row.uid,
        "home": account.home if isinstance(account, Account) else row.home,
        "ownership": record.ownership.value if record is not None else "",
        "deletion": row.stage.value or ("held" if waiting else ""),
        "approval": waiting[0].id if waiting else "",
    }
