"""The routes of storage: show volumes, and eject, attach and decommission them.

They record the request and start a run, which carries it out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from eventd.api import answers, model_answers
from eventd.api.following import FollowedLine, asked
from eventd.api.model_rights import View
from eventd.api.routing import Api, Route
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.events import EventKind, KernelOrigin
from eventd.kernel.queue import RunHandle
from eventd.storage import routes_migration
from eventd.storage.documents import StorageState, storage
from eventd.storage.model_events import StorageEvent
from eventd.storage.model_manifest import Volume, Wanted
from eventd.storage.model_records import VolumeState
from eventd.storage.plan import PREFIX
from eventd.storage.routes_volumes import STORAGE, STORAGE_CHANGE, kept, volume_of


async def _storage(api: Api, _request: web.Request, view: View) -> web.Response:
    return answers.document(await storage(api.queries, kept(api), view))


async def _eject(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    volume = volume_of(api, request)
    body = await answers.body(request, answers.Waiting)
    _at_rest(api, volume, "it is unmounted")
    change = partial(kept(api).controller.set_away, volume.name, away=True)
    return await _run(api, request, view, volume, StorageEvent.EJECT, change, wait=body.wait)


async def _attach(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    volume = volume_of(api, request)
    body = await answers.body(request, answers.Waiting)
    if volume.state is Wanted.DECOMMISSIONED:
        raise PermanentError(
            f"storage.toml says that {volume.name} is decommissioned",
            reason="decommissioned",
            hint=f'remove state = "decommissioned" of volume.{volume.name} there',
        )
    change = partial(kept(api).controller.set_away, volume.name, away=False)
    return await _run(api, request, view, volume, StorageEvent.ATTACH, change, wait=body.wait)


async def _decommission(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    volume = volume_of(api, request)
    body = await answers.body(request, answers.Waiting)
    controller = kept(api).controller
    if users := sorted(controller.users.get(volume.name, ())):
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
    _at_rest(api, volume, "it is taken out of service")
    change = partial(controller.set_away, volume.name, away=True, decommissioned=True)
    return await _run(api, request, view, volume, StorageEvent.DECOMMISSION, change, wait=body.wait)


def _at_rest(api: Api, volume: Volume, before: str) -> None:
    """Refuse it during a migration, and for volumes that hold others."""
    controller = kept(api).controller
    for name, row in controller.migrations.rows.items():
        if row.on and volume.name in (name, row.to):
            raise PermanentError(
                f"{name} is being moved to {row.to} ({row.phase})",
                reason="migrating",
                hint=f"wait for its end, or: eventctl storage migrate {name} --abort",
            )
    on = [
        name
        for name in controller.on(volume.name)
        if controller.status_of(controller.manifest.volumes[name]).state is not VolumeState.EJECTED
    ]
    if on:
        raise PermanentError(
            f"{' and '.join(on)} {'are' if len(on) > 1 else 'is'} on {volume.name}",
            reason="volume-in-use",
            hint=f"eventctl storage eject {on[0]}, before {before}",
        )


async def _run(
    api: Api,
    request: web.Request,
    view: View,
    volume: Volume,
    kind: EventKind,
    change: Callable[[], Awaitable[None]],
    *,
    wait: bool,
) -> web.StreamResponse:
    """Make a change, and request a run over the volume and its users, which may have to be stopped."""
    subject = PREFIX + volume.name

    async def begin(handle: RunHandle) -> None:
        await change()
        trigger = api.commands.emit(KernelOrigin.REQUEST, kind, volume.name)
        api.commands.ask(subject, trigger, handle)

    return await asked(api, request, view, begin, wait=wait)


ROUTES = (
    Route("GET", "/v1/storage", STORAGE, _storage, "[Storage](#storage)", document=StorageState),
    Route(
        "POST",
        "/v1/storage/{volume}/eject",
        STORAGE_CHANGE,
        _eject,
        '`{"wait": false}`: stop its users, unmount it, make the disk safe to remove; 202 `{"queued": true}`, '
        "or with `wait` the lines of a [Sync](#sync)",
        document=model_answers.Queued,
        lines=FollowedLine,
        body=answers.Waiting,
    ),
    Route(
        "POST",
        "/v1/storage/{volume}/attach",
        STORAGE_CHANGE,
        _attach,
        "the same: mount it again, and start what was stopped",
        document=model_answers.Queued,
        lines=FollowedLine,
        body=answers.Waiting,
    ),
    Route(
        "POST",
        "/v1/storage/{volume}/decommission",
        STORAGE_CHANGE,
        _decommission,
        "the same: take a volume that nothing uses out of service",
        document=model_answers.Queued,
        lines=FollowedLine,
        body=answers.Waiting,
    ),
    *routes_migration.ROUTES,
)
