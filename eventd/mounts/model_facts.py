"""Facts about mounts and block devices: their kinds, and what their values are."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.facts import FactKind


class MountFact(FactKind):
    """Facts about mounts and block devices; the comments say what scope, name and value are."""

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
    """Which folder of the file system: another than `/` for a bind mount."""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """Block devices that carry one filesystem UUID, by udev's database."""

    uuid: str
    nodes: tuple[str, ...]
    label: str
    fstype: str
    numbers: tuple[str, ...] = ()
    """`major:minor` of each node, in the order of `nodes`."""
    links: frozenset[str] = frozenset()
    """The symlinks in /dev that lead to any of them."""
    members: tuple[str, ...] = ()
    """`ID_FS_UUID_SUB` of each node: members of one file system over several devices differ in it, copies do not."""

    @property
    def ambiguous(self) -> bool:
        """Several devices claim to be this file system, and are no members of one."""
        distinct = len({member for member in self.members if member}) == len(self.nodes)
        return len(self.nodes) > 1 and not distinct
