"""Routes of the state file: what was lost and recovered, and acknowledging losses."""

from __future__ import annotations

from aiohttp import web

from eventd.api import answers
from eventd.api.model_rights import Right, Scope, View
from eventd.api.routing import Api, Needs, Route
from eventd.state import documents as recovery_document

STATE = Right(
    "state",
    Scope.ALL,
    Scope.NO,
    "See what was recovered, and what was lost with a state file: `eventctl state`",
)
STATE_CHANGE = Right("state-change", Scope.NO, Scope.NO, "Acknowledge a loss: `eventctl state --acknowledge`")


async def _state(api: Api, _request: web.Request, _view: View) -> web.Response:
    return answers.document(recovery_document.state(api.queries))


async def _acknowledge(api: Api, request: web.Request, _view: View) -> web.Response:
    await answers.body(request, answers.Body)
    count = await api.commands.acknowledge()
    return answers.document(recovery_document.Acknowledged(acknowledged=count))


ROUTES = (
    Route(
        "GET",
        "/v1/state",
        STATE,
        _state,
        '`{"losses", "recovery"}`: every loss of the state file, and what this start recovered, as '
        "in [Status](#status)",
        needs=Needs.HOST,
        document=recovery_document.StateFile,
    ),
    Route(
        "POST",
        "/v1/state/acknowledge",
        STATE_CHANGE,
        _acknowledge,
        '`{}`: acknowledge the losses; `{"acknowledged": N}`',
        needs=Needs.HOST,
        document=recovery_document.Acknowledged,
        body=answers.Body,
    ),
)
