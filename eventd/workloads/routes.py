"""The route to restart a workload: for root, or for the workload itself."""

from __future__ import annotations

from aiohttp import web

from eventd.api import answers, model_answers
from eventd.api.following import FollowedLine, asked
from eventd.api.model_rights import Right, Scope, View
from eventd.api.routing import Api, Route
from eventd.api.visit import visit_of
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.queue import RunHandle

RESTART = Right(
    "restart", Scope.NO, Scope.OWN, "Restart a workload's units and verify them: `eventctl restart`"
)


async def _restart(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    name = await api.workload(request, view)
    body = await answers.body(request, answers.Waiting)
    desired, visit = api.queries.desired, visit_of(request)
    if desired is None or name not in desired.workloads:
        raise PermanentError(
            f"there is nothing to restart: {name} is not in the repository, or is refused",
            reason="nothing-to-restart",
            hint=f"eventctl why {name}",
        )
    uid = visit.peer.uid if visit is not None else -1

    async def begin(handle: RunHandle) -> None:
        api.commands.restart(name, handle, uid=uid, wait=body.wait)

    return await asked(api, request, view, begin, wait=body.wait)


ROUTES = (
    Route(
        "POST",
        "/v1/restart/{workload}",
        RESTART,
        _restart,
        '`{"wait": false}`: its units are restarted and verified in a run; 202 `{"queued": true}`, '
        "or with `wait` the lines of a [Sync](#sync)",
        document=model_answers.Queued,
        lines=FollowedLine,
        body=answers.Waiting,
    ),
)
