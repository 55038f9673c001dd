"""The routes of what removed workloads left behind."""

from __future__ import annotations

from typing import Literal

from aiohttp import web

from eventd.api import answers, model_answers
from eventd.api.model_rights import View
from eventd.api.routing import Api, Route
from eventd.approvals.routes import APPROVALS, REMOVE
from eventd.desired.model import RemoveData
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_facts import Account, PlatformFact
from eventd.removal import documents
from eventd.removal.documents import Retained, RetainedAccount

MEASURE_TIMEOUT = 10.0
"""Seconds for measuring a home."""


class Removal(answers.Body):
    """POST /v1/retained/{name}."""

    data: Literal["keep", "delete"]


async def _retained(api: Api, _request: web.Request, _view: View) -> web.Response:
    return answers.document(Retained(retained=documents.retained(api.queries)))


async def _retained_one(api: Api, request: web.Request, _view: View) -> web.Response:
    name = request.match_info["name"]
    rows = documents.retained(api.queries)
    row = next((each for each in rows if each["name"] == name), None)
    if row is None:
        have = ", ".join(each["name"] for each in rows) or "none"
        raise PermanentError(
            f"no retained account has the name {name!r}",
            reason="no-such-workload",
            hint=f"retained: {have}",
        )
    account = api.queries.facts.get(FactKey(PlatformFact.ACCOUNT, name))
    if isinstance(account, Account):
        size = await api.queries.measured(account, timeout=MEASURE_TIMEOUT)
        row["files"], row["bytes"], row["complete"] = size.files, size.bytes, size.complete
        row["top"] = list(size.top)
    return answers.document(row)


async def _remove(api: Api, request: web.Request, _view: View) -> web.Response:
    body = await answers.body(request, Removal)
    await api.commands.remove_data(request.match_info["name"], RemoveData(body.data))
    return answers.document(model_answers.Queued(queued=True), status=202)


ROUTES = (
    Route(
        "GET",
        "/v1/retained",
        APPROVALS,
        _retained,
        '`{"retained": [Retained]}`: `{"name", "since", "commit", "data", "said_by", "uid", "home", '
        '"ownership", "deletion", "approval"}` of each account whose workload was removed',
        document=Retained,
    ),
    Route(
        "GET",
        "/v1/retained/{name}",
        APPROVALS,
        _retained_one,
        "Retained, with `files`, `bytes`, `complete` and `top` (the names in the home), counted for "
        "at most 10 s",
        document=RetainedAccount,
    ),
    Route(
        "POST",
        "/v1/retained/{name}",
        REMOVE,
        _remove,
        '`{"data": "delete"}` or `{"data": "keep"}`: what to do with it; 202 `{"queued": true}`',
        document=model_answers.Queued,
        body=Removal,
    ),
)
