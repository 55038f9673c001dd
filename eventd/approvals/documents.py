"""The JSON of requests, refused signatures and retained accounts. Times are seconds since the epoch."""

from __future__ import annotations

from typing_extensions import TypedDict

from eventd.approvals.model import NAMESPACE, OPEN, Attempt, Request, State
from eventd.kernel.model.draft import Planned
from eventd.queries import Queries


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
