"""The simulated drives as one life of the daemon sees them: udev's and the kernel's facts, and the ports of storage.

The facts come through the real `DeviceTable`. Events of one device keep their order, as udev's do; those of different
devices overtake each other, come twice, and get lost: then everything is read again, as after ENOBUFS of netlink.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from eventd.adapters.udev import Block
from eventd.core.errors import PermanentError, TemporaryError
from eventd.core.events import EventKind, Origin
from eventd.core.facts import FactKey, FactKind, FileState, MountState
from eventd.core.ports import JobResult
from eventd.core.storage_ports import Holder
from eventd.sources.devices import DeviceTable
from eventd_simulators.inprocess.life import Channel, Life
from eventd_simulators.model.drives import Drives


class SimDisks:
    """Both ports of storage, and the sources. `folders`: (mount point, name) whose FILE facts are kept."""

    def __init__(self, life: Life, drives: Drives, folders: Iterable[tuple[str, str]] = ()) -> None:
        self._life = life
        self._drives = drives
        self._folders = tuple(folders)
        self._table = DeviceTable(life.emit)
        self._udev: dict[str, Channel] = {}
        self._kernel = Channel(life, self._tell_mounts)
        self._known: dict[str, MountState] = {}
        self._files: dict[str, FileState | None] = {}
        drives.udev.append(self._told)
        drives.kernel.append(lambda: self._kernel.post(self._tell_mounts))

    def read(self) -> None:
        """Read everything, as sources do when they start."""
        self._read_devices()
        self._tell_mounts()

    def _told(self, action: str, block: Block) -> None:
        channel = self._udev.setdefault(block.path, Channel(self._life, self._gap))
        channel.post(lambda: self._table.take([(action, block)]), may_drop=True)

    def _gap(self) -> None:
        self._life.emit(Origin.UDEV, EventKind.GAP, "devices", attributes={"reason": "udev-lost"})
        # What was on its way is lost with the old socket; the new one is subscribed to before all is read.
        for channel in self._udev.values():
            channel.close()
        self._udev.clear()
        self._read_devices()

    def _read_devices(self) -> None:
        self._table.read(list(self._drives.blocks.values()))

    def _tell_mounts(self) -> None:
        now = dict(self._drives.mounts)
        for point in self._known.keys() | now.keys():
            if self._known.get(point) != now.get(point):
                key = FactKey(FactKind.MOUNT, point)
                self._life.emit(Origin.KERNEL, EventKind.MOUNT, point, facts=[(key, now.get(point))])
        self._known = now
        for point, name in self._folders:
            path, state = f"{point}/{name}", self._drives.folder(point, name)
            if self._files.get(path) != state:
                self._files[path] = state
                key = FactKey(FactKind.FILE, path)
                self._life.emit(Origin.INOTIFY, EventKind.FILE_CHANGED, path, facts=[(key, state)])

    async def mount(
        self,
        what: str,
        where: str,
        options: tuple[str, ...],
        *,
        description: str,
        before: tuple[str, ...],
        timeout: float,
        private: bool = False,
    ) -> JobResult:
        """See `core.storage_ports.Mounts`."""
        del description, before, private
        async with asyncio.timeout(timeout):
            done = await self._life.change(f"mount {where}", lambda: self._drives.mount(what, where, options))
        return JobResult(where, "done" if done else "failed")

    async def unmount(self, where: str, *, lazy: bool, timeout: float) -> JobResult:
        """See `core.storage_ports.Mounts`."""

        def effect() -> bool:
            if self._drives.users and not lazy:
                return False
            self._drives.unmount(where)
            return True

        async with asyncio.timeout(timeout):
            done = await self._life.change(f"unmount {where}", effect)
        return JobResult(where, "done" if done else "failed")

    async def seal(self, path: str) -> None:
        """See `core.storage_ports.MountPoints`."""
        await self._life.change(f"seal {path}", lambda: self._drives.sealed.add(path))

    async def folder(self, mount: str, name: str, uid: int, gid: int) -> None:
        """See `core.storage_ports.MountPoints`."""
        del gid

        def effect() -> bool:
            if mount not in self._drives.mounts:
                raise PermanentError(f"nothing is mounted at {mount}", reason="not-mounted")
            return self._drives.make_folder(mount, name, uid)

        if not await self._life.change(f"folder {mount}/{name}", effect):
            raise TemporaryError("Input/output error", reason="file-error")

    async def holders(
        self, nodes: tuple[str, ...], numbers: tuple[str, ...], *, mounts: bool
    ) -> tuple[Holder, ...]:
        """See `core.storage_ports.MountPoints`."""
        del nodes, numbers
        return await self._life.change("holders", lambda: () if mounts else tuple(self._drives.users))
