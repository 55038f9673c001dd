"""The routes of overrides: roll back, suspend, resume. They store the override; the next run acts on it."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from eventd.api import answers
from eventd.api.following import FollowedLine, asked
from eventd.api.model_rights import Right, Scope, View
from eventd.api.routing import Api, Needs, Route
from eventd.api.visit import visit_of
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.queue import RunHandle
from eventd.repository import model_object_ids as object_ids
from eventd.status import documents_workload
from eventd.status.documents_workload import RolledBack, Suspended

ROLLBACK = Right(
    "rollback", Scope.NO, Scope.OWN, "Roll a workload back to an earlier commit: `eventctl rollback`"
)
SUSPEND = Right("suspend", Scope.NO, Scope.NO, "Suspend workloads, and resume them: `eventctl suspend`")

COMMIT = f"^{object_ids.ABBREVIATED}$"
TEXT = r"^[^\x00-\x1f\x7f]*$"


class RollbackRequest(answers.Waiting):
    """POST /v1/rollback/{workload}."""

    to: str | None = Field(default=None, pattern=COMMIT)


class SuspendRequest(answers.Body):
    """POST /v1/suspend and /v1/suspend/{workload}."""

    reason: str = Field(default="", max_length=200, pattern=TEXT)


class RollbackQueued(TypedDict):
    """The answer to a rollback that does not wait."""

    queued: bool
    rollback: RolledBack | None


class Suspending(TypedDict):
    """The answer to suspend; no workload: the host."""

    workload: str | None
    suspended: Suspended | None


class Resuming(TypedDict):
    """The answer to resume: the overrides that it ended."""

    workload: str | None
    suspended: Suspended | None
    rollback: RolledBack | None


async def _rollback(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    name = await api.workload(request, view)
    body = await answers.body(request, RollbackRequest)
    who = await caller(api, request)
    order = await api.commands.rollback_to(name, body.to, who)

    async def begin(handle: RunHandle) -> None:
        await api.commands.roll_back(order, who, handle)

    answer = RollbackQueued(queued=True, rollback=documents_workload.rollback(order))
    return await asked(api, request, view, begin, wait=body.wait, answer=answer)


async def _suspend(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    name = await api.workload(request, view) if "workload" in request.match_info else ""
    body = await answers.body(request, SuspendRequest)
    row = await api.commands.suspend(name, await caller(api, request), body.reason)
    return answers.document(Suspending(workload=name or None, suspended=documents_workload.suspension(row)))


async def _resume(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    name = await api.workload(request, view) if "workload" in request.match_info else ""
    body, who = await answers.body(request, answers.Waiting), await caller(api, request)
    suspension, order = api.queries.suspension(name), api.queries.rollback(name)
    if suspension is not None and not view.everything:
        raise PermanentError(
            f"{suspension.sentence}; only root may end that",
            reason="suspended",
            hint=f"ask {suspension.by}",
        )
    if suspension is None and order is None:
        raise PermanentError(
            f"{name or 'the host'} is not suspended" + (" or rolled back" if name else ""),
            reason="nothing-to-resume",
            hint="eventctl status shows what is suspended",
        )

    async def begin(handle: RunHandle) -> None:
        await api.commands.resume(name, who, handle)

    answer = Resuming(
        workload=name or None,
        suspended=documents_workload.suspension(suspension),
        rollback=documents_workload.rollback(order),
    )
    return await asked(api, request, view, begin, wait=body.wait, answer=answer, status=200)


async def caller(api: Api, request: web.Request) -> str:
    """Return the user name of the caller; the uid if it has none."""
    visit = visit_of(request)
    uid = visit.peer.uid if visit is not None else None
    if uid is None:
        return "somebody"
    return await api.nss.user_name(uid) or f"uid {uid}"


ROUTES = (
    Route(
        "POST",
        "/v1/rollback/{workload}",
        ROLLBACK,
        _rollback,
        '`{"to": COMMIT or null, "wait": false}`: the previous revision, or that one, is active '
        'until the repository has another; 202 `{"queued": true, "rollback": Rollback}`, or with '
        "`wait` the lines of a [Sync](#sync)",
        document=RollbackQueued,
        lines=FollowedLine,
        body=RollbackRequest,
    ),
    Route(
        "POST",
        "/v1/suspend",
        SUSPEND,
        _suspend,
        '`{"reason": ""}`: suspends the host; `{"workload": null, "suspended": {"since", "by", "why"}}`',
        needs=Needs.HOST,
        document=Suspending,
        body=SuspendRequest,
    ),
    Route(
        "POST",
        "/v1/suspend/{workload}",
        SUSPEND,
        _suspend,
        "the same for one workload",
        needs=Needs.HOST,
        document=Suspending,
        body=SuspendRequest,
    ),
    Route(
        "POST",
        "/v1/resume",
        SUSPEND,
        _resume,
        '`{"wait": false}`: ends the suspension of the host; `{"workload", "suspended", "rollback"}` '
        "has what was ended, or with `wait` the lines of a [Sync](#sync)",
        needs=Needs.HOST,
        document=Resuming,
        lines=FollowedLine,
        body=answers.Waiting,
    ),
    Route(
        "POST",
        "/v1/resume/{workload}",
        ROLLBACK,
        _resume,
        "the same for one workload: its suspension, and its rollback. A workload may end its own "
        "rollback; a suspension, only root",
        needs=Needs.HOST,
        document=Resuming,
        lines=FollowedLine,
        body=answers.Waiting,
    ),
)
