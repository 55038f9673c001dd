"""Volumes: from the manifest, the devices, the mounts and what is remembered to how each is, and what to do about it.

Pure. `look` says how a volume is; `draft` what would be done now. The durable id decides, never a device's name; what
was mounted is believed only if its device number is one that udev has for that id. Next: `eventd.runtime.storage`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from eventd.core.facts import DeviceState, MountState
from eventd.core.storage_actions import (
    MigrateVolume,
    MountVolume,
    NoteVolume,
    ReleaseVolume,
    SealMountPoint,
    StorageAction,
    UnmountVolume,
)
from eventd.core.storage_manifest import ALWAYS, IdKind, Volume, Wanted
from eventd.core.storage_migration import Migration, Phase, Step, folder_on
from eventd.core.storage_records import VolumeRecord, VolumeState

PREFIX = "volume:"
"""What the subjects' names begin with."""
_BROKEN = ("emergency_ro", "shutdown")
"""Options by which ext4 and others show that they gave up (ext4: `emergency_ro`, Linux 6.15)."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a volume is now."""

    state: VolumeState
    reason: str = ""
    """Empty: as it should be."""
    message: str = ""
    hint: str = ""
    node: str = ""
    number: str = ""
    ours: bool = True
    """What is mounted at its path is the volume; False: something else, which is nobody's business here."""
    mounted: bool = False
    nodes: tuple[str, ...] = ()
    """While it is put away: every device of it."""
    numbers: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether workloads may use it."""
        return self.state is VolumeState.ATTACHED

    @property
    def leaving(self) -> bool:
        """Whether it is unmounted when nothing runs on it any more."""
        return self.state in (VolumeState.EJECTING, VolumeState.MIGRATING) and self.mounted


@dataclass(frozen=True, slots=True)
class Place:
    """Where a volume is that was migrated: a folder on another one."""

    volume: Volume
    """The volume, with the identity of the disk that it is on now."""
    source: str
    """The folder, below the other volume's mount point."""
    folder: str
    """Its name on that file system."""
    there: bool
    """The other volume is mounted."""
    other: str


@dataclass(frozen=True, slots=True)
class Moving:
    """A migration that is on, and what it needs next (None: it waits)."""

    row: Migration
    step: Step | None


def place_of(volume: Volume, other: Volume, *, there: bool) -> Place:
    """Return where a volume is that was migrated to another."""
    # `decommissioned` is said of its own disk then.
    same = replace(
        volume, id_kind=other.id_kind, id=other.id, fstypes=other.fstypes, label="", state=Wanted.ATTACHED
    )
    folder = folder_on(volume.name)
    return Place(same, f"{other.path}/{folder}", folder, there, other.name)


def look_at(
    place: Place, devices: Iterable[DeviceState], mount: MountState | None, record: VolumeRecord | None
) -> Look:
    """Say how a volume is that is on another disk now."""
    seen = look(place.volume, devices, mount, record)
    if (
        seen.state is VolumeState.ATTACHED
        and mount is not None
        and not mount.root.endswith("/" + place.folder)
    ):
        message = f"{mount.root} of {mount.source} is mounted at {mount.point}, and not {place.folder}"
        hint = f"unmount {mount.point}; eventd does not touch what it did not mount"
        return Look(VolumeState.REFUSED, "something-else-mounted", message, hint, ours=False)
    if seen.state in (VolumeState.EJECTING, VolumeState.EJECTED) and not seen.mounted:
        # Whether the disk may go is the other volume's question: that one has it mounted.
        message = f"{place.volume.name} is put away; its disk is that of {place.other}"
        hint = f"eventctl storage eject {place.other}, to remove the disk"
        return Look(VolumeState.EJECTED, message=message, hint=hint, node=seen.node)
    if seen.state is VolumeState.FOUND and not place.there:
        message = f"it is on {place.other}, which is not mounted"
        return Look(VolumeState.DISCONNECTED, "not-attached", message, f"eventctl storage {place.other}")
    return seen


def settled(record: VolumeRecord, volume: Volume, place: Place) -> VolumeRecord:
    """Return the record of a volume that is mounted from its folder: from now on it is there, whoever said so first.

    Not before: a word in storage.toml that no folder stands for must be possible to take back.
    """
    if record.migrated_to:
        return record
    return replace(record, migrated_to=place.other, migrated_from=f"{volume.id_kind} {volume.id}")


def claimed(
    volume: Volume, record: VolumeRecord | None, row: Migration | None, mount: MountState | None
) -> str:
    """Return the volume that this one was moved to, empty if it is on its own disk.

    What was done on this host counts. What the manifest says does as well, unless it is known to be wrong here: the
    own disk is mounted (one word there must not have it unmounted), is put away from there, or was not moved after all.
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


def unmoved(seen: Look, volume: Volume) -> Look:
    """Return how a volume is that is on its own disk, though the manifest says that it was moved."""
    if seen.state is not VolumeState.ATTACHED or seen.reason:
        return seen
    message = f"storage.toml says that it was moved to {volume.migrated_to}, and it is on its own disk ({seen.node})"
    hint = f"take migrated_to out of storage.toml; eventctl storage migrate {volume.name} --to {volume.migrated_to}"
    return replace(seen, reason="not-moved", message=message, hint=hint)


def nowhere(other: str, mount: MountState | None) -> Look:
    """Return how a volume is that was moved to one that is not in the manifest: not on its old disk again."""
    return Look(
        VolumeState.REFUSED,
        "moved-elsewhere",
        f"it was moved to {other}, which storage.toml does not have for this host",
        f"write [volume.{other}] into storage.toml again",
        ours=mount is None,
    )


def moved(seen: Look, row: Migration) -> Look:
    """Return how a volume is while what is on it is moved: nothing may use it."""
    if seen.state is VolumeState.LOST or not seen.ours:
        return seen
    message = f"it is being moved to {row.to} ({row.phase})"
    hint = f"eventctl storage migrate {row.volume} --abort"
    if row.phase is Phase.UNDO:
        message = f"moving it to {row.to} failed, and is taken back: {row.error}"
    if row.phase in (Phase.UNDO, Phase.SWITCH):
        hint = ""
    return Look(
        VolumeState.MIGRATING,
        message=message,
        hint=hint,
        node=seen.node,
        number=seen.number,
        mounted=seen.mounted or seen.state in (VolumeState.ATTACHED, VolumeState.DEGRADED),
    )


def mounted_on(mount: MountState, device: DeviceState) -> str | None:
    """Return which node of a device a mount is of, None if it is of another device.

    File systems over several devices (btrfs) have a number of their own in mountinfo, with major 0: of these the
    source tells.
    """
    if mount.device.startswith("0:"):
        found = mount.source in device.nodes or mount.source in device.links
        return device.nodes[0] if found and device.nodes else None
    for node, number in zip(device.nodes, device.numbers, strict=False):
        if number == mount.device:
            return node
    return None


def carriers(volume: Volume, devices: Iterable[DeviceState]) -> tuple[DeviceState, ...]:
    """Return the file systems that carry the volume's durable id."""
    if volume.id_kind is IdKind.UUID:
        return tuple(each for each in devices if each.uuid.lower() == volume.id.lower() and each.nodes)
    return tuple(each for each in devices if volume.link in each.links and each.nodes)


def look(
    volume: Volume, devices: Iterable[DeviceState], mount: MountState | None, record: VolumeRecord | None
) -> Look:
    """Say how a volume is. `mount`: what is mounted at its path."""
    everything = tuple(devices)
    mine = carriers(volume, everything)
    if mount is not None:
        return _mounted(volume, mine, mount, record)
    if put_away(volume, record):
        return _away(volume, mine, record)
    if not mine:
        return _absent(volume, everything)
    if len(mine) > 1 or mine[0].ambiguous:
        return _twice(volume, mine)
    device = mine[0]
    node, number = device.nodes[0], device.numbers[0] if device.numbers else ""
    if device.fstype not in volume.fstypes:
        return Look(
            VolumeState.REFUSED,
            "file-system",
            f"{node} has {device.fstype or 'no known file system'}, which is not mounted as {volume.name}",
            f'write fstype = "{device.fstype}" if that is meant' if device.fstype else "",
            node,
            number,
        )
    return Look(VolumeState.FOUND, node=node, number=number)


def put_away(volume: Volume, record: VolumeRecord | None) -> bool:
    """Tell whether it is not to be mounted, though its disk may be there."""
    if volume.state is Wanted.DECOMMISSIONED:
        return True
    return record is not None and (record.ejected or record.decommissioned > 0)


def _away(volume: Volume, mine: tuple[DeviceState, ...], record: VolumeRecord | None) -> Look:
    nodes = tuple(node for device in mine for node in device.nodes)
    numbers = tuple(number for device in mine for number in device.numbers)
    if nodes and record is not None and record.ejected and not record.released:
        message = "it is unmounted; whether anything still has it open is not known yet"
        return Look(VolumeState.EJECTING, message=message, node=nodes[0], nodes=nodes, numbers=numbers)
    node = nodes[0] if nodes else ""
    if volume.state is Wanted.DECOMMISSIONED or (record is not None and record.decommissioned):
        return Look(VolumeState.DECOMMISSIONED, node=node)
    where = f" ({node})" if node else ""
    message = f"it is safe to remove {volume.name}{where}"
    return Look(
        VolumeState.EJECTED, message=message, hint=f"eventctl storage attach {volume.name}", node=node
    )


def _mounted(
    volume: Volume, mine: tuple[DeviceState, ...], mount: MountState, record: VolumeRecord | None
) -> Look:
    nodes = [node for device in mine if (node := mounted_on(mount, device)) is not None]
    if not nodes:
        if record is not None and _was_ours(mount, record):
            message = f"{mount.source}, which is mounted at {volume.path}, is not (or no more) {volume.name}"
            hint = "attach the disk again"
            return Look(VolumeState.LOST, "device-gone", message, hint, record.node, record.number)
        message = f"{mount.source} is mounted at {volume.path}, and is not {volume.name} ({volume.id})"
        hint = f"unmount {volume.path}; eventd does not touch what it did not mount"
        return Look(VolumeState.REFUSED, "something-else-mounted", message, hint, ours=False)
    options = mount.options.split(",")
    node, number = nodes[0], mount.device
    if put_away(volume, record):
        message = "it is unmounted as soon as nothing is left that runs on it"
        return Look(
            VolumeState.EJECTING, message=message, node=node, number=number, mounted=True, numbers=(number,)
        )
    missing = [option for option in ALWAYS if option not in options]
    if missing:
        return Look(
            VolumeState.REFUSED,
            "unsafe-options",
            f"{volume.path} is mounted without {' and '.join(missing)}",
            "unmount it, and leave the mounting to eventd (or add the options where it is mounted)",
            node,
            number,
        )
    if any(option in options for option in _BROKEN) or ("ro" in options and not volume.read_only):
        return Look(
            VolumeState.DEGRADED,
            "read-only",
            f"{volume.path} is read-only: the disk is write-protected, or its file system was found damaged",
            f"see `dmesg`; check {node} with fsck while it is unmounted, then `eventctl sync` to try it afresh",
            node,
            number,
        )
    if len(mine) > 1 or mine[0].ambiguous:
        # What is mounted is the one that was verified when there was no other: it stays.
        found = _twice(volume, mine)
        return replace(found, state=VolumeState.ATTACHED, node=node, number=number)
    return Look(VolumeState.ATTACHED, node=node, number=number)


def _was_ours(mount: MountState, record: VolumeRecord) -> bool:
    if record.mounting:
        return True
    if mount.device.startswith("0:"):
        return bool(record.node) and mount.source == record.node
    return mount.device == record.number


def _absent(volume: Volume, devices: tuple[DeviceState, ...]) -> Look:
    for device in devices:
        if volume.label and device.label == volume.label and device.nodes:
            return Look(
                VolumeState.REFUSED,
                "wrong-disk",
                f"{device.nodes[0]} is labelled {device.label} and is not {volume.name}:"
                f" its UUID is {device.uuid}, not {volume.id_kind} {volume.id}",
                "attach the right disk, or write this one's id into storage.toml if it takes its place",
                device.nodes[0],
            )
    return Look(
        VolumeState.DISCONNECTED, "not-attached", f"no disk with {volume.id_kind} {volume.id} is attached"
    )


def _twice(volume: Volume, mine: tuple[DeviceState, ...]) -> Look:
    nodes = [node for device in mine for node in device.nodes]
    return Look(
        VolumeState.REFUSED,
        "duplicate-id",
        f"{' and '.join(nodes)} both have the {volume.id_kind} {volume.id} of {volume.name}: one is a copy",
        "take the copy away, or give it a new id (tune2fs -U random, xfs_admin -U generate, btrfstune -u)",
    )


def draft(
    volume: Volume,
    seen: Look,
    record: VolumeRecord | None,
    *,
    sealed: bool,
    uids: tuple[int, ...],
    now: float,
    asked: bool = False,
    running: bool = False,
    place: Place | None = None,
    moving: Moving | None = None,
) -> tuple[StorageAction, ...]:
    """Return what would be done now, in order; the rest follows when that has been done.

    `sealed`: the mount point is known to be. `uids`: the users of the volume. `asked`: an operator asked for it.
    `running`: units of its users do. `place`: where it is if not on its own disk. `moving`: a migration that is on.
    """
    name = PREFIX + volume.name
    actions: list[StorageAction] = []
    mounted = seen.mounted or seen.state in (
        VolumeState.ATTACHED,
        VolumeState.DEGRADED,
        VolumeState.LOST,
    )
    noted = note(volume, seen, record, now, place)
    if record != noted:
        why = f"it is {seen.state}" + (f" ({seen.reason})" if seen.reason else "")
        actions.append(NoteVolume(name, noted, why))
    if seen.state is VolumeState.LOST:
        actions.append(UnmountVolume(name, volume.path, lazy=True, why=seen.message))
    elif seen.state is VolumeState.EJECTING and (seen.mounted or sealed):
        actions += _put_away(volume, seen, running=running)
    elif seen.state is VolumeState.DEGRADED and asked:
        actions.append(UnmountVolume(name, volume.path, lazy=True, why="it is tried afresh"))
    elif not mounted and seen.ours and seen.reason != "unsafe-options" and not sealed:
        actions.append(SealMountPoint(name, volume.path))
    elif seen.state is VolumeState.FOUND:
        on, source = (place.volume, place.source) if place is not None else (volume, "")
        actions.append(MountVolume(name, on, uids, f"{seen.node} is attached", source))
    elif moving is not None and seen.state in (VolumeState.ATTACHED, VolumeState.MIGRATING):
        actions += _move(volume, seen, moving, running=running)
    return tuple(actions)


def _move(volume: Volume, seen: Look, moving: Moving, *, running: bool) -> list[StorageAction]:
    if moving.step is None:
        return []
    name, row = PREFIX + volume.name, moving.row
    why = row.error if moving.step is Step.UNDO else f"{row.by} has it moved to {row.to}"
    if seen.state is VolumeState.MIGRATING and seen.mounted and moving.step is not Step.UNDO:
        return [] if running else [UnmountVolume(name, volume.path, lazy=False, why=why)]
    return [MigrateVolume(name, row.to, moving.step, why)]


def _put_away(volume: Volume, seen: Look, *, running: bool) -> list[StorageAction]:
    name = PREFIX + volume.name
    if not seen.mounted:
        return [ReleaseVolume(name, seen.nodes, seen.numbers, "it is to be safe to remove")]
    if running:
        return []  # they are stopped by their own plans; the end of the last of them is the next event
    return [UnmountVolume(name, volume.path, lazy=False, why="it is put away")]


def note(
    volume: Volume, seen: Look, record: VolumeRecord | None, now: float, place: Place | None = None
) -> VolumeRecord:
    """Return what has to be remembered: the record itself where nothing changed."""
    base = record or VolumeRecord(volume, since=now, added=now)
    noted = replace(base, volume=volume)
    if seen.state is VolumeState.FOUND:
        return noted  # a moment between two states
    if (seen.state, seen.reason) != (base.state, base.reason):
        noted = replace(noted, state=seen.state, reason=seen.reason, since=now)
    if seen.state is VolumeState.ATTACHED and (seen.node, seen.number) != (base.node, base.number):
        noted = replace(noted, node=seen.node, number=seen.number)
    if seen.state is VolumeState.ATTACHED and place is not None:
        noted = settled(noted, volume, place)
    if seen.state in (VolumeState.DISCONNECTED, VolumeState.EJECTED, VolumeState.DECOMMISSIONED):
        noted = replace(noted, mounting=False)
    if noted.state is not base.state and VolumeState.ATTACHED in (noted.state, base.state):
        noted = replace(noted, seen=now)
    return noted
