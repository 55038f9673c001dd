"""Facts about mounts and block devices: their kinds and values."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.facts import FactKind


class MountFact(FactKind):
    """Facts about mounts and block devices. The comments give scope, name and value."""

    MOUNT = "mount"  # name: mount point; value: MountState
    DEVICE = "device"  # name: filesystem UUID; value: DeviceState


@dataclass(frozen=True, slots=True)
class MountState:
    """A row of /proc/self/mountinfo (proc_pid_mountinfo(5))."""

    point: str
    source: str
    fstype: str
    options: str
    device: str
    """`major:minor`."""
    root: str = "/"
    """The folder of the file system that is mounted; for a bind mount, not `/`."""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The block devices with one file system UUID, from udev's database."""

    uuid: str
    nodes: tuple[str, ...]
    label: str
    fstype: str
    numbers: tuple[str, ...] = ()
    """`major:minor` of each node, in the order of `nodes`."""
    links: frozenset[str] = frozenset()
    """The symlinks in /dev to any of them."""
    members: tuple[str, ...] = ()
    """`ID_FS_UUID_SUB` of each node. Members of a multi-device file system differ in it; copies do not."""

    @property
    def ambiguous(self) -> bool:
        """Several devices have this UUID without being members of one file system."""
        distinct = len({member for member in self.members if member}) == len(self.nodes)
        return len(self.nodes) > 1 and not distinct
