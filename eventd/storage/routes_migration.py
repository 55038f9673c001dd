"""The routes that migrate a volume to another disk, abort that, and request the deletion of the old data.

A migration outlives runs, the daemon and the client: with `wait`, the answer is one line of JSON per phase.
"""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web
from pydantic import Field

from eventd.api import answers, model_answers
from eventd.api.model_rights import View
from eventd.api.routing import Api, Route
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.events import KernelOrigin
from eventd.kernel.whole import whole
from eventd.overrides.routes import caller
from eventd.storage.controller import VolumeController
from eventd.storage.documents import MigrationLine, MigrationQueued, migration_document
from eventd.storage.model_events import StorageEvent
from eventd.storage.model_manifest import Volume
from eventd.storage.model_records import VolumeState
from eventd.storage.plan import PREFIX
from eventd.storage.plan_migration import Forgetting, Migration, Phase
from eventd.storage.routes_volumes import STORAGE_CHANGE, kept, named, volume_of


class MigrateRequest(answers.Waiting):
    """POST /v1/storage/{volume}/migrate."""

    to: str = Field(default="", max_length=64)
    abort: bool = False


async def _migrate(api: Api, request: web.Request, _view: View) -> web.StreamResponse:
    volume = volume_of(api, request)
    body = await answers.body(request, MigrateRequest)
    who = await caller(api, request)  # no await from here until the write, so that the checks stay valid
    controller = kept(api).controller
    now = api.queries.now()
    if body.abort:
        row = _abort(controller, volume, who)
    else:
        other = named(api, body.to)
        _check(controller, volume, other)
        old = controller.migrations.get(volume.name)
        same = old is not None and old.on and old.to == other.name
        row = (
            old
            if same and old is not None
            else Migration(
                volume.name,
                other.name,
                Phase.PREPARE,
                who,
                now,
                now,
                old_id=f"{volume.id_kind} {volume.id}",
            )
        )

    async def begin() -> None:
        if row is not controller.migrations.get(volume.name):
            await controller.migrate(replace(row, since=now))
        trigger = api.commands.emit(
            KernelOrigin.REQUEST,
            StorageEvent.MIGRATE,
            volume.name,
            attributes={"to": row.to, "abort": body.abort},
        )
        api.commands.ask(PREFIX + volume.name, trigger)

    await whole(begin)
    if body.wait:
        return await _follow(api, request, controller, volume.name)
    return answers.document(MigrationQueued(queued=True, migration=migration_document(row)), status=202)


def _abort(controller: VolumeController, volume: Volume, by: str) -> Migration:
    row = controller.migrations.get(volume.name)
    if row is None or not row.on:
        raise PermanentError(f"{volume.name} is not being moved", reason="no-migration")
    if row.phase is Phase.SWITCH:
        raise PermanentError(
            f"it is too late to abort: {volume.name} is being switched to {row.to}",
            reason="switched",
            hint="the old data is untouched",
        )
    if row.phase is Phase.UNDO:
        return row
    phase = Phase.FAILED if row.phase is Phase.PREPARE else Phase.UNDO
    return replace(row, error=f"aborted by {by}", hint="").to_phase(phase, row.since)


def _check(controller: VolumeController, volume: Volume, other: Volume) -> None:
    """Refuse a migration that cannot begin. Raises PermanentError."""
    if volume.name == other.name:
        raise PermanentError(f"{volume.name} cannot be moved to itself", reason="same-volume")
    for name, row in controller.migrations.rows.items():
        if (
            row.on
            and {volume.name, other.name} & {name, row.to}
            and (name, row.to) != (volume.name, other.name)
        ):
            raise PermanentError(
                f"{name} is being moved to {row.to} ({row.phase})",
                reason="migrating",
                hint="wait for its end",
            )
    for each in (volume, other):
        if (place := controller.place(each)) is not None:
            raise PermanentError(
                f"{each.name} was already moved to {place.other}",
                reason="already-migrated",
                hint="give what is on that disk a volume of its own in storage.toml to move it again",
            )
        seen = controller.status_of(each)
        if seen.state not in (VolumeState.ATTACHED, VolumeState.MIGRATING):
            raise PermanentError(
                f"{each.name} is {seen.state}" + (f": {seen.message}" if seen.message else ""),
                reason="not-attached",
                hint=seen.hint,
            )
    if on := controller.on(volume.name):
        raise PermanentError(f"{volume.name} holds {' and '.join(on)}", reason="volume-in-use")
    if other.read_only:
        raise PermanentError(
            f"{other.name} is read-only", reason="read-only", hint="remove ro from its options"
        )


async def _follow(
    api: Api, request: web.Request, controller: VolumeController, name: str
) -> web.StreamResponse:
    response = await answers.stream(request)
    last: Migration | None = None
    while True:
        changed = controller.memory.changed
        row = controller.migrations.get(name)
        if row is None:
            break
        if row != last and not await answers.line(
            response, MigrationLine(type="migration", migration=migration_document(row))
        ):
            return response
        last = row
        if not row.on:
            break
        if not await api.or_end(changed.wait):
            await answers.line(response, answers.stopping())
            return response
    await answers.line(
        response,
        MigrationLine(type="done", migration=migration_document(last) if last is not None else None),
    )
    return response


async def _forget(api: Api, request: web.Request, _view: View) -> web.Response:
    volume = volume_of(api, request)
    await answers.body(request, answers.Body)
    who = await caller(api, request)
    controller = kept(api).controller
    if controller.in_service(volume):
        raise PermanentError(
            f"the disk of {volume.name} is in service",
            reason="volume-in-use",
            hint=f"eventctl storage migrate {volume.name} --to OTHER, or eventctl storage decommission {volume.name}",
        )
    migration, record = controller.migrations.get(volume.name), controller.record(volume.name)
    since = record.decommissioned if record is not None else 0.0
    if migration is not None and controller.place(volume) is not None:
        if migration.phase is not Phase.DONE:
            raise PermanentError(f"{volume.name} is still being moved", reason="migrating")
        if migration.forgotten:
            raise PermanentError(
                f"the data on the old disk of {volume.name} was already deleted", reason="deleted-already"
            )
        since = migration.ended
    if not since:
        raise PermanentError(
            f"eventd has no record of when {volume.name} went out of service",
            reason="not-out-of-service",
            hint=f"eventctl storage decommission {volume.name}",
        )

    async def begin() -> None:
        before = controller.forgetting.get(volume.name)
        if before is None or before.since != since:
            old = f"{volume.id_kind} {volume.id}"
            await controller.forget(Forgetting(volume.name, old, since, who, api.queries.now()))
        trigger = api.commands.emit(KernelOrigin.REQUEST, StorageEvent.MIGRATE, volume.name)
        api.commands.ask(PREFIX + volume.name, trigger)

    await whole(begin)
    return answers.document(model_answers.Queued(queued=True), status=202)


ROUTES = (
    Route(
        "POST",
        "/v1/storage/{volume}/migrate",
        STORAGE_CHANGE,
        _migrate,
        '`{"to": VOLUME, "abort": false, "wait": false}`: move what is on it to another volume, or '
        'end that; 202 `{"queued": true, "migration": Migration}`, or with `wait` a line `{"type": '
        '"migration", "migration": Migration}` for each phase, and `done`',
        document=MigrationQueued,
        lines=MigrationLine | model_answers.Ended,
        body=MigrateRequest,
    ),
    Route(
        "POST",
        "/v1/storage/{volume}/forget-data",
        STORAGE_CHANGE,
        _forget,
        '`{}`: ask for a signature to delete what is on the old disk; 202 `{"queued": true}`',
        document=model_answers.Queued,
        body=answers.Body,
    ),
)
