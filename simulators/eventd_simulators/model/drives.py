"""Drives and mounts of the simulated host: what is plugged in where, what is mounted, what is on each file system.

The model of udev and of the kernel's table of mounts. A device that is pulled out while it is mounted leaves its mount
behind, dead. Knows no daemon; `eventd_simulators.inprocess.disks` is how one sees it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from eventd.mounts.adapter_udev import Block
from eventd.mounts.model_facts import MountState
from eventd.platform.model_facts import FileKind, FileState
from eventd.storage.model_holders import Holder

Told = Callable[[str, Block], None]


@dataclass(slots=True)
class Drives:
    """The drives, which outlive the daemon."""

    blocks: dict[str, Block] = field(default_factory=dict)
    """By path in /sys."""
    mounts: dict[str, MountState] = field(default_factory=dict)
    """By mount point."""
    sealed: set[str] = field(default_factory=set)
    folders: dict[str, dict[str, int]] = field(default_factory=dict)
    """UUID -> name of a top folder -> uid."""
    udev: list[Told] = field(default_factory=list)
    """Called for each event of udev."""
    kernel: list[Callable[[], None]] = field(default_factory=list)
    """Called when the table of mounts changed."""
    write_protected: bool = False
    """Every disk is write-protected: it is mounted read-only, as mount(8) does then."""
    jobs: dict[str, str] = field(default_factory=dict)
    """Unit of a job of a migration -> `running`, `exited` or `failed`."""
    drafts: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    """(UUID, volume) -> an unfinished copy on it."""
    copies: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    """(UUID, volume) -> what was copied from it, in its place."""
    broken: bool = False
    """Copies fail."""
    undeletable: bool = False
    """Deletions fail."""
    users: list[Holder] = field(default_factory=list)
    """Processes, besides the workloads', that have files open on whatever is mounted."""
    strangers: list[Holder] = field(default_factory=list)
    """Processes that keep the mount in a mount namespace of their own, where it cannot be unmounted."""
    helpers: bool = True
    """New namespaces with such copies appear all the time."""
    copied: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Mount point -> the number of a device, and how it was mounted (`ro`, `rw`), where a namespace keeps a copy of
    that mount: as those of aardvark-dns do, which began while it was mounted. The device cannot be mounted otherwise
    until that is gone, and is in use."""
    spills: list[str] = field(default_factory=list)
    """What was created in an unmounted mount point; must stay empty."""

    def plug(self, node: str, uuid: str, *, fstype: str = "ext4", label: str = "", member: str = "") -> None:
        """Attach a device."""
        path = f"/devices/{node}"
        number = f"8:{16 + int.from_bytes(node.encode(), 'big') % 200}"
        links = frozenset({f"/dev/disk/by-uuid/{uuid}"})
        self.blocks[path] = block = Block(path, f"/dev/{node}", uuid, label, fstype, number, links, member)
        self._send_uevent("add", block)

    def pull(self, node: str) -> None:
        """Detach a device."""
        block = self.blocks.pop(f"/devices/{node}", None)
        if block is not None:
            self._send_uevent("remove", replace(block, uuid=""))

    def repeat(self) -> None:
        """Repeat udev's events (udevadm trigger)."""
        for block in list(self.blocks.values()):
            self._send_uevent("change", block)

    def mount(self, link: str, point: str, options: tuple[str, ...]) -> bool:
        """Mount what a link in /dev leads to; False if there is nothing, or something is mounted there."""
        if "bind" in options:
            return self._bind(link, point, options)
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
        mode = "ro" if self.write_protected or "ro" in options else "rw"
        if any(number == block.number and how != mode for number, how in self.copied.values()):
            return False  # EBUSY: one file system is not both
        if self.helpers:
            self.copied[point] = (block.number, mode)
        self.mounts[point] = MountState(point, block.node, block.fstype, shown, block.number)
        self._changed()
        return True

    def _bind(self, folder: str, point: str, options: tuple[str, ...]) -> bool:
        top, _, name = folder.rpartition("/")
        mount, uuid = self.mounts.get(top), self.on(top)
        volume = name.removeprefix("volume.")
        if mount is None or not uuid or point in self.mounts or (uuid, volume) not in self.copies:
            return False
        shown = ",".join(("rw", *(each for each in options if each not in ("rw", "nofail", "bind"))))
        self.mounts[point] = replace(mount, point=point, options=shown, root=f"/{name}")
        self._changed()
        return True

    def folders_at(self, point: str) -> dict[str, int] | None:
        """Return what is at a mount point; None if nothing is mounted there, or it does not answer."""
        mount, uuid = self.mounts.get(point), self.on(point)
        if mount is None or not uuid:
            return None
        volume = mount.root.rpartition("/")[2].removeprefix("volume.")
        return self.copies[uuid, volume] if volume else self.folders.setdefault(uuid, {})

    def unmount(self, point: str) -> None:
        """Remove a mount."""
        if self.mounts.pop(point, None) is not None:
            self._changed()

    def renew(self, point: str) -> bool:
        """Recreate a mount point: mounts on it are gone everywhere. False: something is mounted there."""
        if point in self.mounts:
            return False
        self.copied.pop(point, None)
        self.sealed.add(point)
        return True

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
        there = self.folders_at(point)
        assert there is not None
        there.setdefault(name, uid)
        self._changed()
        return True

    def folder(self, point: str, name: str) -> FileState | None:
        """Return the state of a path."""
        uid = (self.folders_at(point) or {}).get(name)
        return None if uid is None else FileState(FileKind.DIRECTORY, "", 0o700, uid, uid)

    def _send_uevent(self, action: str, block: Block) -> None:
        for told in list(self.udev):
            told(action, block)

    def _changed(self) -> None:
        for told in list(self.kernel):
            told()

    def begin(self, unit: str, seconds: float, end: Callable[[], bool]) -> None:
        """Start a unit that ends by itself; `end` does its work and returns whether it succeeded."""
        if unit in self.jobs:
            return
        self.jobs[unit] = "running"
        self._changed()

        def over() -> None:
            if self.jobs.get(unit) == "running":
                self.jobs[unit] = "exited" if end() and not self.broken else "failed"
                self._changed()

        asyncio.get_running_loop().call_later(seconds, over)

    def end(self, unit: str) -> str:
        """Stop a unit; return its state."""
        was = self.jobs.pop(unit, "")
        if was:
            self._changed()
        return was
