"""The route: how the sea and the barrier are."""

from __future__ import annotations

from aiohttp import web
from typing_extensions import TypedDict

from eventd.api import answers
from eventd.api.model_rights import Right, Scope, View
from eventd.api.routing import Api, Needs, Route
from tests.toy.model_facts import BARRIER, LEVEL

BARRIER_RIGHT = Right("barrier", Scope.ALL, Scope.NO, "The sea and the barrier: `eventctl barrier`")


class BarrierState(TypedDict):
    """What is answered."""

    level: int
    closed: bool


async def _barrier(api: Api, _request: web.Request, _view: View) -> web.Response:
    facts = api.queries.facts
    level = facts.get(LEVEL)
    return answers.document(
        BarrierState(level=int(str(level)) if level else 0, closed=facts.get(BARRIER) is True)
    )


ROUTES = (
    Route(
        "GET", "/v1/barrier", BARRIER_RIGHT, _barrier, "BarrierState", needs=Needs.HOST, document=BarrierState
    ),
)
