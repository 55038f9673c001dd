"""What a backup of a workload would contain: its home without images and containers, and its data on volumes.

Pure. Named volumes of podman are in the home and always included; data on a volume is included if that volume's
`backup` says so. `eventctl storage` shows this with sizes; backups take exactly these places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from eventd.desired.model import Workload
from eventd.platform.model_facts import Account
from eventd.storage.model_manifest import Backup, Manifest

IMAGES = ".local/share/containers/storage"
LEFT_OUT = (
    ".cache",
    ".local/share/containers/cache",
    *(
        f"{IMAGES}/{each}"
        for each in ("overlay", "overlay-containers", "overlay-images", "overlay-layers", "tmp", "vfs")
    ),
)
"""Below a home: images and containers, which can be pulled and created again. `volumes` is kept: it is data."""


class PlaceKind(StrEnum):
    """The kind of a place."""

    HOME = "home"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with data of a workload."""

    kind: PlaceKind
    path: str
    included: bool
    why: str
    volume: str = ""
    left_out: tuple[str, ...] = ()
    """Absolute paths in it that no backup includes."""


def places(
    name: str, workload: Workload | None, account: Account | None, manifest: Manifest
) -> tuple[Place, ...]:
    """Return where a workload has data, and whether a backup includes it."""
    found: list[Place] = []
    if account is not None:
        left_out = tuple(f"{account.home}/{each}" for each in LEFT_OUT)
        why = "its home, with podman's named volumes, without images"
        found.append(Place(PlaceKind.HOME, account.home, included=True, why=why, left_out=left_out))
    for use in workload.volumes if workload is not None else ():
        volume = manifest.volumes.get(use.volume)
        if volume is None:
            continue
        own = use.folder(name)
        included = volume.backup is Backup.INCLUDE
        why = f"backup = {volume.backup.value!r} of {volume.name}"
        others = [path for path in use.paths if path != own and not path.startswith(own + "/")]
        found.extend(
            Place(PlaceKind.VOLUME, path, included, why, volume.name) for path in (own, *_tops(others))
        )
    return tuple(found)


def _tops(paths: list[str]) -> list[str]:
    """Return the paths that are not below another one of them."""
    return [path for path in sorted(paths) if not any(path.startswith(other + "/") for other in paths)]


def total(places_: tuple[Place, ...], sizes: Mapping[str, int]) -> int | None:
    """Return the size of a backup in bytes; None while the size of a place is not known."""
    included = [place.path for place in places_ if place.included]
    return sum(sizes[path] for path in included) if all(path in sizes for path in included) else None
