"""GET /v1/storage: the volumes, unknown attached disks, and what a backup of each workload would contain."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import anyio
import anyio.to_thread
from typing_extensions import TypedDict

from eventd.api.model_rights import View
from eventd.kernel.controller import Assessment
from eventd.kernel.model.facts import FactKey
from eventd.mounts.model_facts import DeviceState, MountFact, MountState
from eventd.platform.model_facts import Account, PlatformFact
from eventd.queries import Queries
from eventd.storage.controller import VolumeController
from eventd.storage.controller_sizes import Sizes
from eventd.storage.model_backup_content import PlaceKind, places, total
from eventd.storage.model_facts import StorageFact
from eventd.storage.model_manifest import Backup, IdKind, Volume, Wanted
from eventd.storage.model_records import VolumeState
from eventd.storage.model_volume import carriers, mounted_on
from eventd.storage.plan import PREFIX
from eventd.storage.plan_migration import Migration, Phase

STATFS_TIMEOUT = 2.0
"""Seconds to wait for statfs(2) of a disk."""
FULL = 0.99
"""Used share from which a file system counts as full."""


class MigrationRow(TypedDict):
    """A migration of a volume's data to another disk."""

    volume: str
    to: str
    phase: Phase
    by: str
    began: float
    since: float
    ended: float | None
    bytes: int
    files: int
    error: str
    hint: str
    old_id: str
    forgotten: float | None


class MigrationQueued(TypedDict):
    """POST /v1/storage/{volume}/migrate."""

    queued: bool
    migration: MigrationRow


class MigrationLine(TypedDict):
    """A line of the same with `wait`: one for each phase, and one at the end."""

    type: Literal["migration", "done"]
    migration: MigrationRow | None


class VolumeId(TypedDict):
    """The durable id of a volume's disk."""

    kind: IdKind
    value: str


class VolumeRow(TypedDict):
    """A volume of storage.toml."""

    name: str
    label: str
    id: VolumeId
    path: str
    wanted: Wanted
    state: VolumeState
    since: float | None
    reason: str
    message: str
    hint: str
    device: str
    filesystem: str
    options: str
    size: int | None
    free: int | None
    full: bool
    default: bool
    schedulable: bool
    backup: Backup
    migrated_to: str
    decommissioned: float | None
    ejected: bool
    migration: MigrationRow | None
    manifest_migrated_to: str
    forgetting: bool
    added: float | None
    last_seen: float | None
    users: list[str]


class UnknownDisk(TypedDict):
    """An attached file system that belongs to no volume."""

    uuid: str
    label: str
    filesystem: str
    devices: list[str]
    mounted_at: list[str]


class BackupPlace(TypedDict):
    """A folder with data of a workload, and whether a backup includes it."""

    kind: PlaceKind
    path: str
    volume: str
    included: bool
    why: str
    left_out: list[str]
    bytes: int | None
    whole: bool | None


class WorkloadStorage(TypedDict):
    """The data of a workload on disks."""

    name: str
    volumes: list[str]
    stopped: list[str]
    backup: list[BackupPlace]
    bytes: int | None
    measured: float | None
    measuring: bool
    error: str


class StorageState(TypedDict):
    """GET /v1/storage."""

    default: str | None
    volumes: list[VolumeRow]
    unknown: list[UnknownDisk]
    workloads: list[WorkloadStorage]


def migration_document(row: Migration) -> MigrationRow:
    """Return a migration as JSON."""
    return {
        "volume": row.volume,
        "to": row.to,
        "phase": row.phase,
        "by": row.by,
        "began": row.began,
        "since": row.since,
        "ended": row.ended or None,
        "bytes": row.size,
        "files": row.files,
        "error": row.error,
        "hint": row.hint,
        "old_id": row.old_id,
        "forgotten": row.forgotten or None,
    }


@dataclass(frozen=True, slots=True)
class Storage:
    """The parts that the routes of storage need."""

    controller: VolumeController
    sizes: Sizes


async def storage(queries: Queries, parts: Storage, view: View) -> StorageState:
    """Return the document; a workload sees its own volumes and places."""
    controller = parts.controller
    seen = [volume for volume in controller.manifest.volumes.values() if _concerns(controller, volume, view)]
    default = controller.manifest.default
    return {
        "default": default.name if default is not None and view.everything else None,
        "volumes": [await _volume(queries, controller, volume, view) for volume in seen],
        "unknown": _unknown(queries, controller) if view.everything else [],
        "workloads": _workloads(queries, parts, view),
    }


def _concerns(controller: VolumeController, volume: Volume, view: View) -> bool:
    return view.everything or any(view.sees(user) for user in controller.users.get(volume.name, ()))


async def _volume(queries: Queries, controller: VolumeController, volume: Volume, view: View) -> VolumeRow:
    found, record = controller.status_of(volume), controller.record(volume.name)
    assessment = controller.assess_idle(PREFIX + volume.name)
    now = queries.statuses.get(PREFIX + volume.name)
    # The result of a run says more than the observed state: a disk may be present, and fail to mount.
    if now is not None and now.reason and (found.state is VolumeState.EJECTING or not assessment.reason):
        assessment = Assessment(assessment.outcome, now.reason, now.message, now.hint)
    mount = queries.facts.get(FactKey(MountFact.MOUNT, volume.path))
    mounted = isinstance(mount, MountState) and found.ours
    space = await _space(volume.path) if mounted else None
    full = space is not None and space[0] > 0 and space[1] <= space[0] * (1 - FULL)
    return {
        "name": volume.name,
        "label": volume.label,
        "id": {"kind": volume.id_kind, "value": volume.id},
        "path": volume.path,
        "wanted": volume.state,
        "state": found.state,
        "since": record.since if record is not None and record.state is found.state else None,
        "reason": assessment.reason,
        "message": assessment.message,
        "hint": assessment.hint,
        "device": found.node or (record.node if record is not None else ""),
        "filesystem": mount.fstype if isinstance(mount, MountState) and mounted else "",
        "options": mount.options if isinstance(mount, MountState) and mounted else "",
        "size": space[0] if space is not None else None,
        "free": space[1] if space is not None else None,
        "full": full,
        "default": volume.default,
        "schedulable": volume.schedulable,
        "backup": volume.backup,
        "migrated_to": volume.migrated_to or (record.migrated_to if record is not None else ""),
        "decommissioned": (record.decommissioned or None) if record is not None else None,
        "ejected": record.ejected if record is not None else False,
        "migration": migration_document(row) if (row := controller.migrations.get(volume.name)) else None,
        "manifest_migrated_to": volume.migrated_to,
        "forgetting": volume.name in controller.forgetting,
        "added": record.added if record is not None else None,
        "last_seen": record.seen if record is not None and record.seen else None,
        "users": sorted(user for user in controller.users.get(volume.name, ()) if view.sees(user)),
    }


async def _space(path: str) -> tuple[int, int] | None:
    """Return size and free bytes (for users other than root) of a mounted file system; None if it does not answer."""
    try:
        with anyio.move_on_after(STATFS_TIMEOUT):
            found = await anyio.to_thread.run_sync(os.statvfs, path, abandon_on_cancel=True)
            return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    except OSError:
        return None  # a dead disk: its state shows that
    return None


def _unknown(queries: Queries, controller: VolumeController) -> list[UnknownDisk]:
    """Return the attached file systems that belong to no volume."""
    facts = queries.facts
    devices = controller.devices()
    known = {
        device.uuid for volume in controller.manifest.volumes.values() for device in carriers(volume, devices)
    }
    mounts = [value for _, value in facts.items(MountFact.MOUNT) if isinstance(value, MountState)]
    return [
        {
            "uuid": device.uuid,
            "label": device.label,
            "filesystem": device.fstype,
            "devices": list(device.nodes),
            "mounted_at": sorted(mount.point for mount in mounts if mounted_on(mount, device))[:4],
        }
        for device in sorted(devices, key=_node)
        if device.uuid not in known and device.nodes
    ]


def _node(device: DeviceState) -> tuple[str, ...]:
    return device.nodes


def _workloads(queries: Queries, parts: Storage, view: View) -> list[WorkloadStorage]:
    facts, desired = queries.facts, queries.desired
    rows: list[WorkloadStorage] = []
    for name, workload in (desired.workloads if desired is not None else {}).items():
        account = facts.get(FactKey(PlatformFact.ACCOUNT, name))
        if not view.sees(name) or not isinstance(account, Account):
            continue
        if not queries.records.ours(name, account.uid):
            continue  # not eventd's account: its home is not data of this workload
        found = places(name, workload, account, parts.controller.manifest)
        # Places on a detached volume cannot be measured.
        there = tuple(
            place for place in found if not place.volume or _attached(parts.controller, place.volume)
        )
        known = parts.sizes.want(name, account, there)
        sizes = known.sizes if known is not None else {}
        numbers = {path: size.size for path, size in sizes.items() if size is not None}
        numbers |= {path: 0 for path, size in sizes.items() if size is None}
        stopped = facts.get(FactKey(StorageFact.STOPPED, name))
        rows.append(
            {
                "name": name,
                "volumes": [use.volume for use in workload.volumes],
                "stopped": sorted(stopped) if isinstance(stopped, frozenset) else [],
                "backup": [
                    {
                        "kind": place.kind,
                        "path": place.path,
                        "volume": place.volume,
                        "included": place.included,
                        "why": place.why,
                        "left_out": list(place.left_out),
                        "bytes": numbers.get(place.path),
                        "whole": size.whole if (size := sizes.get(place.path)) is not None else None,
                    }
                    for place in found
                ],
                "bytes": total(found, numbers),
                "measured": known.at if known is not None else None,
                "measuring": parts.sizes.measuring(name),
                "error": known.error if known is not None else "",
            }
        )
    return rows


def _attached(controller: VolumeController, name: str) -> bool:
    volume = controller.manifest.volumes.get(name)
    return volume is not None and controller.status_of(volume).state is VolumeState.ATTACHED
