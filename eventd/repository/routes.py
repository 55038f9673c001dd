"""The routes that request a run and follow it: sync, and the webhook's "pushed"."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from eventd.api import answers, model_answers
from eventd.api.following import FollowedLine, asked
from eventd.api.model_rights import Right, Scope, View
from eventd.api.routing import Api, Needs, Route
from eventd.desired.controller_activation import FETCH
from eventd.kernel.queue import RunHandle
from eventd.repository import model_object_ids as object_ids
from eventd.repository.model_events import RepositoryEvent, RepositoryOrigin
from eventd.repository.model_facts import BRANCH_MISSING, FetchFailure

SYNC = Right("sync", Scope.NO, Scope.NO, "Fetch and run: `eventctl sync`")


class SyncRequest(answers.Waiting):
    """POST /v1/sync."""

    fetch: bool = True
    allow_rewrite: str | None = Field(default=None, pattern=f"^{object_ids.WHOLE}$")


class Pushed(BaseModel):
    """POST /v1/pushed, from the webhook listener: only a hint to fetch. Its content is not trusted."""

    model_config = ConfigDict(extra="ignore")
    repository: str = Field(default="", max_length=512)
    branch: str = Field(default="", max_length=512)
    commit: str = Field(default="", max_length=128)
    delivery: str = Field(default="", max_length=256)
    hook: str = Field(default="", max_length=256)


class SyncQueued(TypedDict):
    """The answer to a sync that does not wait. `joined`: the current run, if it answers the request."""

    queued: bool
    joined: int | None


class Ignored(TypedDict):
    """The answer to a push that does not concern this host."""

    ignored: str


async def _sync(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    body = await answers.body(request, SyncRequest)
    if body.allow_rewrite is not None:
        api.allow_rewrite(body.allow_rewrite)
    joined = api.queries.current_run.id if api.queries.current_run else None

    async def begin(handle: RunHandle) -> None:
        api.commands.sync(handle, fetch=body.fetch, wait=body.wait)

    answer = SyncQueued(queued=True, joined=joined)
    return await asked(api, request, view, begin, wait=body.wait, answer=answer)


async def pushed(api: Api, request: web.Request) -> web.Response:
    """Serve the webhook's socket."""
    body = await answers.body(request, Pushed)
    failure = api.queries.facts.get(FETCH)
    # If our branch is missing, the error lists the other branches, so a push to one of them matters.
    missing = isinstance(failure, FetchFailure) and failure.reason == BRANCH_MISSING
    if body.branch and body.branch != api.identity.branch and not missing:
        text = f"branch {body.branch!r} is not {api.identity.branch!r}"
        return answers.document(Ignored(ignored=text), status=202)
    api.commands.emit(
        RepositoryOrigin.WEBHOOK,
        RepositoryEvent.PUSHED,
        body.repository or body.hook,
        attributes={"branch": body.branch, "commit": body.commit, "delivery": body.delivery},
    )
    return answers.document(model_answers.Queued(queued=True), status=202)


ROUTES = (
    Route(
        "POST",
        "/v1/sync",
        SYNC,
        _sync,
        "see [Sync](#sync)",
        needs=Needs.NOTHING,
        document=SyncQueued,
        lines=FollowedLine,
        body=SyncRequest,
    ),
)
