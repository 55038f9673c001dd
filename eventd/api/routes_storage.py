"""The routes of storage: what is there, and putting volumes away and taking them back.

They write down what is wanted and ask for a run; what is done is that run's.
"""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from eventd.api import answers
from eventd.api.following import followed
from eventd.api.routing import Api, Route
from eventd.api.storage_document import Storage, storage
from eventd.core.errors import PermanentError
from eventd.core.events import EventKind, Origin
from eventd.core.rights import Request, View
from eventd.core.storage_manifest import Volume, Wanted
from eventd.core.storage_plan import PREFIX
from eventd.runtime.queue import Ticket


class Waiting(BaseModel):
    """POST /v1/storage/{volume}/…"""

    model_config = ConfigDict(extra="forbid")
    wait: bool = False


def kept(api: Api) -> Storage:
    """Return the parts of storage. Raises PermanentError(reason="no-storage")."""
    if api.storage is None:
        raise PermanentError("this daemon keeps no volumes", reason="no-storage")
    return api.storage


def volume_of(api: Api, request: web.Request, key: str = "volume") -> Volume:
    """Return the volume of the path. Raises PermanentError(reason="no-such-volume")."""
    return named(api, request.match_info[key])


def named(api: Api, name: str) -> Volume:
    """Return a volume. Raises PermanentError(reason="no-such-volume")."""
    volumes = kept(api).keeper.manifest.volumes
    if name not in volumes:
        have = ", ".join(sorted(volumes)) or "none"
        raise PermanentError(
            f"there is no volume {name!r}", reason="no-such-volume", hint=f"there are: {have}"
        )
    return volumes[name]


async def _storage(api: Api, _request: web.Request, view: View) -> web.Response:
    return answers.document(await storage(api.reconciler, kept(api), view))


async def _eject(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    volume = volume_of(api, request)
    body = await answers.body(request, Waiting)
    await kept(api).keeper.set_away(volume.name, away=True)
    return await _run(api, request, view, volume, EventKind.EJECT, wait=body.wait)


async def _attach(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    volume = volume_of(api, request)
    body = await answers.body(request, Waiting)
    if volume.state is Wanted.DECOMMISSIONED:
        raise PermanentError(
            f"storage.toml says that {volume.name} is decommissioned",
            reason="decommissioned",
            hint=f'remove state = "decommissioned" of volume.{volume.name} there',
        )
    await kept(api).keeper.set_away(volume.name, away=False)
    return await _run(api, request, view, volume, EventKind.ATTACH, wait=body.wait)


async def _decommission(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    volume = volume_of(api, request)
    body = await answers.body(request, Waiting)
    keeper = kept(api).keeper
    if users := sorted(keeper.users.get(volume.name, ())):
        raise PermanentError(
            f"{volume.name} is used by {' and '.join(users)}",
            reason="volume-in-use",
            hint=f"take it out of {'them' if len(users) > 1 else 'it'} in the repository, or move what is on it:"
            f" eventctl storage migrate {volume.name} --to OTHER",
        )
    if volume.default:
        raise PermanentError(
            f"{volume.name} is the default volume",
            reason="volume-in-use",
            hint="make another one the default in storage.toml",
        )
    await keeper.set_away(volume.name, away=True, decommissioned=True)
    return await _run(api, request, view, volume, EventKind.DECOMMISSION, wait=body.wait)


async def _run(
    api: Api, request: web.Request, view: View, volume: Volume, kind: EventKind, *, wait: bool
) -> web.StreamResponse:
    """Ask for a run over a volume and what uses it: who is stopped because of it is part of the same."""
    subject = PREFIX + volume.name

    def begin(ticket: Ticket) -> None:
        trigger = api.reconciler.dispatcher.emit(Origin.REQUEST, kind, volume.name)
        api.reconciler.ask(subject, trigger, ticket)

    if wait:
        return await followed(api, request, view, begin)
    begin(Ticket())
    return answers.document({"queued": True}, status=202)


ROUTES = (
    Route("GET", "/v1/storage", Request.STORAGE, _storage),
    Route("POST", "/v1/storage/{volume}/eject", Request.STORAGE_CHANGE, _eject),
    Route("POST", "/v1/storage/{volume}/attach", Request.STORAGE_CHANGE, _attach),
    Route("POST", "/v1/storage/{volume}/decommission", Request.STORAGE_CHANGE, _decommission),
)
