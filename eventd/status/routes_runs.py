"""Routes of runs and their reports."""

from __future__ import annotations

import json

from aiohttp import web

from eventd.api import answers
from eventd.api.model_rights import Right, Scope, View
from eventd.api.routing import Api, Needs, Route
from eventd.status import documents_own as own
from eventd.status import documents_run

RUNS = Right("runs", Scope.ALL, Scope.OWN, "What runs did: `eventctl runs`")

MOST_RUNS = 100


async def _runs(api: Api, request: web.Request, view: View) -> web.Response:
    limit = answers.number(request, "limit", 20, lowest=1, most=MOST_RUNS)
    # Only a few of the latest runs may concern the workload.
    texts = await api.queries.runs(limit if view.everything else MOST_RUNS)
    rows: list[documents_run.Run] = [json.loads(text) for text in texts]
    current = documents_run.run(api.queries.current_run)
    rows = [current if current and row["id"] == current["id"] else row for row in rows]
    seen = [shown for row in rows if (shown := own.run(row, view))][:limit]
    return answers.document(documents_run.Runs(runs=seen))


async def _run(api: Api, request: web.Request, view: View) -> web.Response:
    number = request.match_info["id"]
    for text in await api.queries.runs(500):
        row = json.loads(text)
        if str(row["id"]) == number:
            current = documents_run.run(api.queries.current_run)
            shown = own.run(current if current and current["id"] == row["id"] else row, view)
            if shown is not None:
                return answers.document(shown)
    return answers.refusal(404, "no-such-run", f"there is no run {number}", "eventctl runs lists them")


ROUTES = (
    Route(
        "GET",
        "/v1/runs",
        RUNS,
        _runs,
        '`{"runs": [Run]}`, the latest first; `?limit=N` from 1 to 100, 20 by default',
        needs=Needs.NOTHING,
        document=documents_run.Runs,
    ),
    Route(
        "GET",
        "/v1/runs/{id}",
        RUNS,
        _run,
        "[Run](#run); 404 if it is not known, or no longer",
        needs=Needs.NOTHING,
        document=documents_run.Run,
    ),
)
