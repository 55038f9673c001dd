"""The routes of approvals, and of retained accounts of removed workloads.

Operators may submit signatures: what counts is the key that signed, not the caller.
"""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from eventd.api import answers
from eventd.api.model_rights import Right, Scope, View
from eventd.api.routing import Api, Needs, Route
from eventd.api.visit import visit_of
from eventd.approvals import documents as approvals_document
from eventd.approvals.documents import Approval
from eventd.approvals.model import MAX_DOCUMENT, MAX_SIGNATURE

APPROVALS = Right("approvals", Scope.ALL, Scope.NO, "Requests for a signature: `eventctl approvals`")
APPROVE = Right(
    "approve", Scope.ALL, Scope.NO, "Submit a signature; what counts is its key: `eventctl approve`"
)
REMOVE = Right(
    "remove",
    Scope.NO,
    Scope.NO,
    "Reject a deletion, or request one of retained data: `eventctl reject`, `eventctl remove`",
)


class Signature(answers.Body):
    """POST /v1/approvals/{id}/signature."""

    signature: str = Field(max_length=MAX_SIGNATURE)
    document: str = Field(default="", max_length=MAX_DOCUMENT)
    """The signed document, if it was exported; empty: the request's own."""


class Rejection(answers.Body):
    """POST /v1/approvals/{id}/reject."""

    undo: bool = False


async def _approvals(api: Api, request: web.Request, _view: View) -> web.Response:
    everything = request.query.get("all") == "1"
    return answers.document(approvals_document.approvals(api.queries, everything=everything))


async def _approval(api: Api, request: web.Request, _view: View) -> web.Response:
    return answers.document(approvals_document.request(api.queries.approval(request.match_info["id"])))


async def _signature(api: Api, request: web.Request, _view: View) -> web.Response:
    body = await answers.body(request, Signature)
    found = api.queries.approval(request.match_info["id"])
    document = body.document or found.document
    accepted = await api.commands.sign(document.encode(), body.signature.encode(), _who(request))
    return answers.document(approvals_document.request(accepted))


async def _reject(api: Api, request: web.Request, _view: View) -> web.Response:
    body = await answers.body(request, Rejection)
    text, who = request.match_info["id"], _who(request)
    done = await (api.commands.renew(text) if body.undo else api.commands.reject(text, who))
    return answers.document(approvals_document.request(done))


def _who(request: web.Request) -> str:
    visit = visit_of(request)
    return f"socket:uid {visit.peer.uid}" if visit is not None else "socket"


ROUTES = (
    Route(
        "GET",
        "/v1/approvals",
        APPROVALS,
        _approvals,
        '`{"namespace", "approvals": [Approval], "refused": [{"at", "request", "reason", "message", '
        '"origin", "times"}]}`: the open requests; with `?all=1`, all that are stored, and the '
        "refused signatures",
        needs=Needs.HOST,
        document=approvals_document.Approvals,
    ),
    Route(
        "GET",
        "/v1/approvals/{id}",
        APPROVALS,
        _approval,
        'Approval: `{"id", "state", "subject", "why", "plan": [{"action", "target", "does"}], '
        '"resources", "digest", "created", "expires", "changed", "signer", "origin", "run", '
        '"document"}`; `state` is requested, approved, spent, done, expired, rejected or withdrawn; '
        "`document` is the text to sign, byte for byte",
        needs=Needs.HOST,
        document=Approval,
    ),
    Route(
        "POST",
        "/v1/approvals/{id}/signature",
        APPROVE,
        _signature,
        '`{"signature": "-----BEGIN SSH SIGNATURE-----…", "document": ""}`: submit a signature; the '
        "Approval, or 400 with the reason of the refusal",
        needs=Needs.HOST,
        document=Approval,
        body=Signature,
    ),
    Route(
        "POST",
        "/v1/approvals/{id}/reject",
        REMOVE,
        _reject,
        '`{"undo": false}`: reject it, or withdraw the rejection; the Approval',
        needs=Needs.HOST,
        document=Approval,
        body=Rejection,
    ),
)
