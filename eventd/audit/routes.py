"""Routes of the audit: where running units come from."""

from __future__ import annotations

from aiohttp import web

from eventd.api import answers
from eventd.api.model_rights import Right, Scope, View
from eventd.api.routing import Api, Route
from eventd.audit.documents import Audit, audit

AUDIT = Right("audit", Scope.ALL, Scope.OWN, "Where running units come from: `eventctl audit`")


async def _audit(api: Api, _request: web.Request, view: View) -> web.Response:
    return answers.document(audit(api.queries, view))


async def _audit_one(api: Api, request: web.Request, view: View) -> web.Response:
    return answers.document(audit(api.queries, view, await api.workload(request, view)))


ROUTES = (
    Route("GET", "/v1/audit", AUDIT, _audit, "[Audit](#audit) of every workload", document=Audit),
    Route("GET", "/v1/audit/{workload}", AUDIT, _audit_one, "[Audit](#audit) of one", document=Audit),
)
