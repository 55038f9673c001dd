"""Shared by the routes of storage: finds the volume that a request names."""

from __future__ import annotations

from aiohttp import web

from eventd.api.model_rights import Right, Scope
from eventd.api.routing import Api
from eventd.kernel.model.errors import PermanentError
from eventd.storage.documents import Storage
from eventd.storage.model_manifest import Volume

STORAGE = Right("storage", Scope.ALL, Scope.OWN, "Volumes and where they are: `eventctl storage`")
STORAGE_CHANGE = Right(
    "storage-change", Scope.NO, Scope.NO, "Change what is mounted where: `eventctl storage ...`"
)


def kept(api: Api) -> Storage:
    """Return the parts of storage. Raises PermanentError(reason="no-storage")."""
    if api.storage is None:
        raise PermanentError("this daemon does not manage volumes", reason="no-storage")
    return api.storage


def volume_of(api: Api, request: web.Request, key: str = "volume") -> Volume:
    """Return the volume of the path. Raises PermanentError(reason="no-such-volume")."""
    return named(api, request.match_info[key])


def named(api: Api, name: str) -> Volume:
    """Return a volume. Raises PermanentError(reason="no-such-volume")."""
    volumes = kept(api).controller.manifest.volumes
    if name not in volumes:
        have = ", ".join(sorted(volumes)) or "none"
        raise PermanentError(f"there is no volume {name!r}", reason="no-such-volume", hint=f"volumes: {have}")
    return volumes[name]
