"""Drives and mounts of the simulated host: what is plugged in where, what is mounted, what is on each file system.

The model of udev and of the kernel's table of mounts. A device that is pulled out while it is mounted leaves its mount
behind, dead. Knows no daemon; `eventd_simulators.inprocess.disks` is how one sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from eventd.adapters.udev import Block
from eventd.core.facts import FileKind, FileState, MountState
from eventd.core.storage_ports import Holder

Told = Callable[[str, Block], None]


@dataclass(slots=True)
class Drives:
    """The world: it outlives the daemon."""

    blocks: dict[str, Block] = field(default_factory=dict)
    """By path in /sys."""
    mounts: dict[str, MountState] = field(default_factory=dict)
    """By mount point."""
    sealed: set[str] = field(default_factory=set)
    folders: dict[str, dict[str, int]] = field(default_factory=dict)
    """UUID -> name of a top folder -> uid."""
    udev: list[Told] = field(default_factory=list)
    """Told of each event of udev."""
    kernel: list[Callable[[], None]] = field(default_factory=list)
    """Told that the table of mounts changed."""
    write_protected: bool = False
    """Every disk has its switch on: what is mounted is mounted read-only, as mount(8) does then."""
    users: list[Holder] = field(default_factory=list)
    """Processes, besides the workloads', that have files open on whatever is mounted."""
    spills: list[str] = field(default_factory=list)
    """What was made in a mount point with nothing mounted there: has to stay empty."""

    def plug(self, node: str, uuid: str, *, fstype: str = "ext4", label: str = "", member: str = "") -> None:
        """Attach a device."""
        path = f"/devices/{node}"
        number = f"8:{16 + int.from_bytes(node.encode(), 'big') % 200}"
        links = frozenset({f"/dev/disk/by-uuid/{uuid}"})
        self.blocks[path] = block = Block(path, f"/dev/{node}", uuid, label, fstype, number, links, member)
        self._tell("add", block)

    def pull(self, node: str) -> None:
        """Take a device away."""
        block = self.blocks.pop(f"/devices/{node}", None)
        if block is not None:
            self._tell("remove", replace(block, uuid=""))

    def repeat(self) -> None:
        """Udev says again what is so (udevadm trigger)."""
        for block in list(self.blocks.values()):
            self._tell("change", block)

    def mount(self, link: str, point: str, options: tuple[str, ...]) -> bool:
        """Mount what a link in /dev leads to; False if there is nothing, or something is mounted there."""
        found = [block for block in self.blocks.values() if link in block.links]
        if not found or point in self.mounts:
            return False
        block = found[-1]
        shown = ",".join(
            (
                "ro" if self.write_protected else "rw",
                *(each for each in options if each not in ("rw", "nofail")),
            )
        )
        self.mounts[point] = MountState(point, block.node, block.fstype, shown, block.number)
        self._changed()
        return True

    def unmount(self, point: str) -> None:
        """Take a mount away."""
        if self.mounts.pop(point, None) is not None:
            self._changed()

    def remount(self, point: str, options: str) -> None:
        """Change a mount's options, as the kernel does with a damaged file system."""
        self.mounts[point] = replace(self.mounts[point], options=options)
        self._changed()

    def on(self, point: str) -> str | None:
        """Return the UUID of what is mounted at a point, None if nothing is, or its device is gone."""
        mount = self.mounts.get(point)
        if mount is None:
            return None
        return next((b.uuid for b in self.blocks.values() if b.number == mount.device), "")

    def make_folder(self, point: str, name: str, uid: int) -> bool:
        """Make a folder at a path; False where the device that is mounted there does not answer any more."""
        uuid = self.on(point)
        if uuid is None:
            self.spills.append(f"{point}/{name}")
            return True
        if not uuid:
            return False
        self.folders.setdefault(uuid, {}).setdefault(name, uid)
        self._changed()
        return True

    def folder(self, point: str, name: str) -> FileState | None:
        """Return what stands at a path."""
        uid = self.folders.get(self.on(point) or "", {}).get(name)
        return None if uid is None else FileState(FileKind.DIRECTORY, "", 0o700, uid, uid)

    def _tell(self, action: str, block: Block) -> None:
        for told in list(self.udev):
            told(action, block)

    def _changed(self) -> None:
        for told in list(self.kernel):
            told()
