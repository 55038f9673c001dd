"""Derives the state of a volume from the manifest, the devices, the mounts and its record.

Pure. The durable id decides, never the name of a device; a mount counts only if its device number is one that udev has
for that id. Next: `model_moved` for volumes on another volume's disk, and `plan` for what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from eventd.mounts.model_facts import DeviceState, MountState
from eventd.storage.model_manifest import ALWAYS, IdKind, Volume, Wanted
from eventd.storage.model_records import VolumeRecord, VolumeState

_BROKEN = ("emergency_ro", "shutdown")
"""Options that show that a file system has shut down after an error (ext4: `emergency_ro`, Linux 6.15)."""


@dataclass(frozen=True, slots=True)
class VolumeStatus:
    """The current state of a volume."""

    state: VolumeState
    reason: str = ""
    """Empty: nothing is wrong."""
    message: str = ""
    hint: str = ""
    node: str = ""
    number: str = ""
    ours: bool = True
    """Whether the mount at its path is the volume; False: something else, which eventd leaves alone."""
    mounted: bool = False
    nodes: tuple[str, ...] = ()
    """All of its devices, while it is being ejected."""
    numbers: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether workloads may use it."""
        return self.state is VolumeState.ATTACHED

    @property
    def leaving(self) -> bool:
        """Whether it is unmounted as soon as nothing uses it."""
        return self.state in (VolumeState.EJECTING, VolumeState.MIGRATING) and self.mounted


def mounted_on(mount: MountState, device: DeviceState) -> str | None:
    """Return the node of a device that is mounted; None if another device is.

    A file system over several devices (btrfs) has a number of its own in mountinfo, with major 0. For these the mount
    source is compared.
    """
    if mount.device.startswith("0:"):
        found = mount.source in device.nodes or mount.source in device.links
        return device.nodes[0] if found and device.nodes else None
    for node, number in zip(device.nodes, device.numbers, strict=False):
        if number == mount.device:
            return node
    return None


def carriers(volume: Volume, devices: Iterable[DeviceState]) -> tuple[DeviceState, ...]:
    """Return the file systems with the volume's durable id."""
    if volume.id_kind is IdKind.UUID:
        return tuple(each for each in devices if each.uuid.lower() == volume.id.lower() and each.nodes)
    return tuple(each for each in devices if volume.link in each.links and each.nodes)


def assess(
    volume: Volume, devices: Iterable[DeviceState], mount: MountState | None, record: VolumeRecord | None
) -> VolumeStatus:
    """Return the state of a volume. `mount`: what is mounted at its path."""
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
        return VolumeStatus(
            VolumeState.REFUSED,
            "file-system",
            f"{node} has {device.fstype or 'no known file system'}, which is not mounted as {volume.name}",
            f'write fstype = "{device.fstype}" if that is meant' if device.fstype else "",
            node,
            number,
        )
    return VolumeStatus(VolumeState.FOUND, node=node, number=number)


def put_away(volume: Volume, record: VolumeRecord | None) -> bool:
    """Return whether it must not be mounted even if its disk is attached."""
    if volume.state is Wanted.DECOMMISSIONED:
        return True
    return record is not None and (record.ejected or record.decommissioned > 0)


def _away(volume: Volume, mine: tuple[DeviceState, ...], record: VolumeRecord | None) -> VolumeStatus:
    nodes = tuple(node for device in mine for node in device.nodes)
    numbers = tuple(number for device in mine for number in device.numbers)
    if nodes and record is not None and record.ejected and not record.released:
        message = "it is unmounted; checking whether anything still has it open"
        return VolumeStatus(
            VolumeState.EJECTING, message=message, node=nodes[0], nodes=nodes, numbers=numbers
        )
    node = nodes[0] if nodes else ""
    if volume.state is Wanted.DECOMMISSIONED or (record is not None and record.decommissioned):
        return VolumeStatus(VolumeState.DECOMMISSIONED, node=node)
    where = f" ({node})" if node else ""
    message = f"it is safe to remove {volume.name}{where}"
    return VolumeStatus(
        VolumeState.EJECTED, message=message, hint=f"eventctl storage attach {volume.name}", node=node
    )


def _mounted(
    volume: Volume, mine: tuple[DeviceState, ...], mount: MountState, record: VolumeRecord | None
) -> VolumeStatus:
    nodes = [node for device in mine if (node := mounted_on(mount, device)) is not None]
    if not nodes:
        if record is not None and _was_ours(mount, record):
            message = (
                f"{mount.source}, which is mounted at {volume.path}, is not (or no longer) {volume.name}"
            )
            hint = "attach the disk again"
            return VolumeStatus(VolumeState.LOST, "device-gone", message, hint, record.node, record.number)
        message = f"{mount.source} is mounted at {volume.path}, and is not {volume.name} ({volume.id})"
        hint = f"unmount {volume.path}; eventd does not touch what it did not mount"
        return VolumeStatus(VolumeState.REFUSED, "something-else-mounted", message, hint, ours=False)
    options = mount.options.split(",")
    node, number = nodes[0], mount.device
    if put_away(volume, record):
        message = "it is unmounted as soon as nothing uses it"
        return VolumeStatus(
            VolumeState.EJECTING, message=message, node=node, number=number, mounted=True, numbers=(number,)
        )
    missing = [option for option in ALWAYS if option not in options]
    if missing:
        return VolumeStatus(
            VolumeState.REFUSED,
            "unsafe-options",
            f"{volume.path} is mounted without {' and '.join(missing)}",
            "unmount it, and leave the mounting to eventd (or add the options where it is mounted)",
            node,
            number,
        )
    if any(option in options for option in _BROKEN) or ("ro" in options and not volume.read_only):
        return VolumeStatus(
            VolumeState.DEGRADED,
            "read-only",
            f"{volume.path} is read-only: the disk is write-protected, or its file system was found damaged",
            f"see `dmesg`; check {node} with fsck while it is unmounted, then retry with `eventctl sync`",
            node,
            number,
        )
    if len(mine) > 1 or mine[0].ambiguous:
        # The mounted one was checked before the other appeared, so it stays mounted.
        found = _twice(volume, mine)
        return replace(found, state=VolumeState.ATTACHED, node=node, number=number)
    return VolumeStatus(VolumeState.ATTACHED, node=node, number=number)


def _was_ours(mount: MountState, record: VolumeRecord) -> bool:
    if record.mounting:
        return True
    if mount.device.startswith("0:"):
        return bool(record.node) and mount.source == record.node
    return mount.device == record.number


def _absent(volume: Volume, devices: tuple[DeviceState, ...]) -> VolumeStatus:
    for device in devices:
        if volume.label and device.label == volume.label and device.nodes:
            return VolumeStatus(
                VolumeState.REFUSED,
                "wrong-disk",
                f"{device.nodes[0]} is labelled {device.label} and is not {volume.name}:"
                f" its UUID is {device.uuid}, not {volume.id_kind} {volume.id}",
                "attach the right disk, or write this one's id into storage.toml if it takes its place",
                device.nodes[0],
            )
    return VolumeStatus(
        VolumeState.DISCONNECTED, "not-attached", f"no disk with {volume.id_kind} {volume.id} is attached"
    )


def _twice(volume: Volume, mine: tuple[DeviceState, ...]) -> VolumeStatus:
    nodes = [node for device in mine for node in device.nodes]
    return VolumeStatus(
        VolumeState.REFUSED,
        "duplicate-id",
        f"{' and '.join(nodes)} both have the {volume.id_kind} {volume.id} of {volume.name}: one is a copy",
        "detach the copy, or give it a new id (tune2fs -U random, xfs_admin -U generate, btrfstune -u)",
    )
