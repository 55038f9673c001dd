"""The state of a volume that was migrated to another volume's disk, or is being migrated.

Pure. What was done on this host takes precedence over the manifest. Next: `plan`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from eventd.mounts.model_facts import DeviceState, MountState
from eventd.storage.model_manifest import Volume, Wanted
from eventd.storage.model_records import VolumeRecord, VolumeState
from eventd.storage.model_volume import VolumeStatus, assess
from eventd.storage.plan_migration import Migration, Phase, folder_on


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a migrated volume: a folder on another volume."""

    volume: Volume
    """The volume, with the identity of the disk that it is on now."""
    source: str
    """The folder, below the other volume's mount point."""
    folder: str
    """Its name on that file system."""
    there: bool
    """Whether the other volume is mounted."""
    other: str


def place_of(volume: Volume, other: Volume, *, there: bool) -> Place:
    """Return the place of a volume that was migrated to `other`."""
    # `decommissioned` then applies to its own disk.
    same = replace(
        volume, id_kind=other.id_kind, id=other.id, fstypes=other.fstypes, label="", state=Wanted.ATTACHED
    )
    folder = folder_on(volume.name)
    return Place(same, f"{other.path}/{folder}", folder, there, other.name)


def assess_moved(
    place: Place, devices: Iterable[DeviceState], mount: MountState | None, record: VolumeRecord | None
) -> VolumeStatus:
    """Return the status of a volume that is on another disk now."""
    seen = assess(place.volume, devices, mount, record)
    if (
        seen.state is VolumeState.ATTACHED
        and mount is not None
        and not mount.root.endswith("/" + place.folder)
    ):
        message = f"{mount.root} of {mount.source} is mounted at {mount.point}, and not {place.folder}"
        hint = f"unmount {mount.point}; eventd does not touch what it did not mount"
        return VolumeStatus(VolumeState.REFUSED, "something-else-mounted", message, hint, ours=False)
    if seen.state in (VolumeState.EJECTING, VolumeState.EJECTED) and not seen.mounted:
        # Whether the disk may be removed is up to the other volume, which has it mounted.
        message = f"{place.volume.name} is ejected; its data is on the disk of {place.other}"
        hint = f"eventctl storage eject {place.other}, to remove the disk"
        return VolumeStatus(VolumeState.EJECTED, message=message, hint=hint, node=seen.node)
    if seen.state is VolumeState.FOUND and not place.there:
        message = f"it is on {place.other}, which is not mounted"
        return VolumeStatus(
            VolumeState.DISCONNECTED, "not-attached", message, f"eventctl storage {place.other}"
        )
    return seen


def settled(record: VolumeRecord, volume: Volume, place: Place) -> VolumeRecord:
    """Return the record of a volume that is mounted from its folder: from now on it counts as migrated.

    Not before it is mounted, so that a wrong `migrated_to` in storage.toml can be reverted.
    """
    if record.migrated_to:
        return record
    return replace(record, migrated_to=place.other, migrated_from=f"{volume.id_kind} {volume.id}")


def claimed(
    volume: Volume, record: VolumeRecord | None, row: Migration | None, mount: MountState | None
) -> str:
    """Return the volume that this one was moved to; empty if it is on its own disk.

    What was done on this host counts. The manifest counts as well, unless it is known to be wrong here: the volume's
    own disk is mounted (an edit must not unmount it) or ejected, or the migration failed.
    """
    if record is not None and record.migrated_to:
        return record.migrated_to
    name = volume.migrated_to
    if row is not None and (row.on or (row.to == name and row.phase is Phase.FAILED)):
        return ""
    if record is not None and record.node:
        if record.ejected or record.decommissioned:
            return ""
        if mount is not None and not mount.root.endswith("/" + folder_on(volume.name)):
            return ""
    return name


def unmoved(seen: VolumeStatus, volume: Volume) -> VolumeStatus:
    """Return the status of a volume that is on its own disk although the manifest says that it was moved."""
    if seen.state is not VolumeState.ATTACHED or seen.reason:
        return seen
    message = f"storage.toml says that it was moved to {volume.migrated_to}, but it is on its own disk ({seen.node})"
    hint = f"remove migrated_to from storage.toml, or: eventctl storage migrate {volume.name} --to {volume.migrated_to}"
    return replace(seen, reason="not-moved", message=message, hint=hint)


def nowhere(other: str, mount: MountState | None) -> VolumeStatus:
    """Return the status of a volume that was moved to a volume outside of the manifest. Its old disk is not used."""
    return VolumeStatus(
        VolumeState.REFUSED,
        "moved-elsewhere",
        f"it was moved to {other}, which storage.toml does not declare for this host",
        f"restore [volume.{other}] in storage.toml",
        ours=mount is None,
    )


def moved(seen: VolumeStatus, row: Migration) -> VolumeStatus:
    """Return the status of a volume during a migration: nothing may use it."""
    if seen.state is VolumeState.LOST or not seen.ours:
        return seen
    message = f"it is being moved to {row.to} ({row.phase})"
    hint = f"eventctl storage migrate {row.volume} --abort"
    if row.phase is Phase.UNDO:
        message = f"moving it to {row.to} failed, and is being reverted: {row.error}"
    if row.phase in (Phase.UNDO, Phase.SWITCH):
        hint = ""
    return VolumeStatus(
        VolumeState.MIGRATING,
        message=message,
        hint=hint,
        node=seen.node,
        number=seen.number,
        mounted=seen.mounted or seen.state in (VolumeState.ATTACHED, VolumeState.DEGRADED),
    )
