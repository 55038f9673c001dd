"""The routes of images: what runs, whether the registry has newer ones, and updates."""

from __future__ import annotations

import asyncio

from aiohttp import web

from eventd.api import answers
from eventd.api.following import FollowedLine, asked
from eventd.api.model_rights import Right, Scope, View
from eventd.api.routing import Api, Route
from eventd.desired.model import Workload
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.kernel.model.facts import FactKey
from eventd.kernel.queue import RunHandle
from eventd.overrides.routes import caller
from eventd.platform.model_facts import Account, PlatformFact
from eventd.updates.documents import Image, Images, UpdatesQueued, WorkloadImages, last_update
from eventd.updates.model_images import VARIABLE, images_of, running_of

UPDATE = Right("update", Scope.NO, Scope.OWN, "Update images: `eventctl update`")
IMAGES = Right(
    "images",
    Scope.ALL,
    Scope.OWN,
    "Images that run, and whether registries have newer ones: `eventctl images`",
)

AT_ONCE = 4
"""How many users' podman are queried at once."""
CHECK_TIMEOUT = 60.0
"""Seconds for one query to a registry."""


class UpdateRequest(answers.Waiting):
    """POST /v1/update and /v1/update/{workload}."""

    retry: bool = False


async def _update(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    body = await answers.body(request, UpdateRequest)
    if "workload" in request.match_info:
        name = await api.workload(request, view)
        workload = api.queries.workload(name)
        if workload is None:
            raise PermanentError(
                f"{name} is not in the repository, or refused",
                reason="nothing-to-update",
                hint=f"eventctl why {name}",
            )
        if workload.options.update_hold:
            raise PermanentError(
                f"the images of {name} are held: {workload.options.place.key('update.hold')}",
                reason="update-held",
                hint="remove that key to update it",
            )
        names = [name]
    else:
        names = [w.name for w in _workloads(api, view) if images_of(w) and not w.options.update_hold]
    if not names:
        raise PermanentError(
            "no workload has an image that can be updated",
            reason="nothing-to-update",
            hint="eventctl images shows why",
        )
    who = await caller(api, request)

    async def begin(handle: RunHandle) -> None:
        await api.commands.update(names, who, handle, retry=body.retry)

    answer = UpdatesQueued(queued=True, workloads=names)
    return await asked(api, request, view, begin, wait=body.wait, answer=answer)


async def _images(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    check = request.query.get("check") == "1"
    if "workload" in request.match_info:
        workload = api.queries.workload(await api.workload(request, view))
        wanted = [workload] if workload is not None else []
    else:
        wanted = [each for each in _workloads(api, view) if images_of(each)]
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(workload: Workload) -> WorkloadImages:
        async with limit:
            return await _workload_images(api, workload, check=check)

    rows = await asyncio.gather(*(one(each) for each in wanted))
    return answers.document(Images(workloads=list(rows)))


def _workloads(api: Api, view: View) -> list[Workload]:
    desired = api.queries.desired
    names = sorted(desired.workloads) if desired is not None else []
    found = (api.queries.workload(name) for name in names if view.sees(name))
    return [each for each in found if each is not None]


async def _workload_images(api: Api, workload: Workload, *, check: bool) -> WorkloadImages:
    """Return the images of one workload, as they are now; what fails is an error in its row."""
    name, port = workload.name, api.queries.images
    result = api.queries.update_results.get(name)
    used = api.queries.used_images(name)
    row: WorkloadImages = {
        "name": name,
        "hold": workload.options.update_hold,
        "schedule": workload.options.update_schedule,
        "pending": api.queries.is_updating(name),
        "last_update": last_update(result),
        "images": [],
        "error": "",
    }
    account = api.queries.facts.get(FactKey(PlatformFact.ACCOUNT, name))
    uses = images_of(workload)
    if not isinstance(account, Account):
        row["error"] = f"the account {name} does not exist yet"
        return row
    if not api.queries.records.ours(name, account.uid):
        row["error"] = f"the account {name} is not managed by eventd"
        return row
    try:
        running = await port.running(account)
        local = await port.inspect(
            account, tuple(dict.fromkeys(use.reference for use in uses if use.fixed != VARIABLE))
        )
    except EventdError as error:
        row["error"] = error.message
        return row
    verified = {each.reference: each.id for each in (used.of(workload.digest) if used is not None else ())}
    newer: dict[str, tuple[bool | None, str]] = {}
    for use in uses if check else ():
        if use.fixed or use.reference in newer:
            continue
        try:
            found = await port.newer(account, use.reference, local.get(use.reference), timeout=CHECK_TIMEOUT)
            newer[use.reference] = found, "" if found is not None else "only a pull can tell"
        except EventdError as error:
            newer[use.reference] = None, error.message
    for use in uses:
        image = local.get(use.reference)
        answer, why = newer.get(use.reference, (None, ""))
        shown: Image = {
            "unit": use.unit,
            "container": use.container,
            "image": use.reference,
            "fixed": use.fixed,
            "id": image.id if image is not None else None,
            "digests": list(image.digests) if image is not None else [],
            "running": running_of(use, running) or None,
            "verified": verified.get(use.reference),
        }
        if check:
            shown["newer"], shown["newer_error"] = answer, why
        row["images"].append(shown)
    return row


ROUTES = (
    Route(
        "POST",
        "/v1/update",
        UPDATE,
        _update,
        '`{"wait": false, "retry": false}`: pull what is newer, restart what changed, verify it; '
        'with `retry`, also an image that failed before. 202 `{"queued": true, "workloads": '
        "[NAME]}`, or with `wait` the lines of a [Sync](#sync)",
        document=UpdatesQueued,
        lines=FollowedLine,
        body=UpdateRequest,
    ),
    Route(
        "POST",
        "/v1/update/{workload}",
        UPDATE,
        _update,
        "the same for one workload",
        document=UpdatesQueued,
        lines=FollowedLine,
        body=UpdateRequest,
    ),
    Route(
        "GET",
        "/v1/images",
        IMAGES,
        _images,
        "[Images](#images) of every workload; with `?check=1`, the registries are asked whether they "
        "have newer ones",
        document=Images,
    ),
    Route("GET", "/v1/images/{workload}", IMAGES, _images, "[Images](#images) of one", document=Images),
)
