"""The simulated drives as one process of the daemon sees them: udev's and the kernel's facts, and the ports of storage.

The facts come through the real `DeviceTable`. Events of one device keep their order, as udev's do; those of different
devices overtake each other, come twice, and get lost: then everything is read again, as after ENOBUFS of netlink.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.kernel.model.events import KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.source_state import SourceState
from eventd.mounts.adapter_udev import Block
from eventd.mounts.model_events import MountEvent, MountOrigin
from eventd.mounts.model_facts import MountFact, MountState
from eventd.mounts.source_devices import DeviceTable
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import ActiveState, FileState, LoadState, PlatformFact, UnitState
from eventd.platform.systemd.ports import JobResult
from eventd.storage.model_holders import Holder
from eventd.storage.model_ports import Keeping
from eventd.storage.plan_migration import Job, job_unit
from eventd_simulators.faults import Lossy
from eventd_simulators.inprocess.life import Channel, Life
from eventd_simulators.model.drives import Drives

_SHOWN = {
    "running": (ActiveState.ACTIVE, "running"),
    "exited": (ActiveState.ACTIVE, "exited"),
    "failed": (ActiveState.FAILED, "failed"),
}
COPYING = 5.0
"""Seconds that a job takes."""


class SimDisks:
    """All ports of storage, and the sources. `folders`: (mount point, name) whose FILE facts are kept."""

    def __init__(self, life: Life, drives: Drives, folders: Iterable[tuple[str, str]] = ()) -> None:
        self._life = life
        self._drives = drives
        self._folders = tuple(folders)
        self._table = DeviceTable(life.emit)
        self._udev: dict[str, Channel] = {}
        self._kernel = Channel(life, self._emit_mounts)
        self._known: dict[str, MountState] = {}
        self._units: dict[str, str] = {}
        self._files: dict[str, FileState | None] = {}
        drives.udev.append(self._on_uevent)
        drives.kernel.append(
            lambda: self._kernel.post(self._emit_mounts, signal=Lossy.MOUNT, announced=False)
        )

    def read(self) -> None:
        """Read everything, as sources do when they start."""
        self._read_devices()
        self._emit_mounts()
        for name in ("devices", "mounts"):
            SourceState(self._life.emit, KernelOrigin.DAEMON, name).current()

    async def reread(self) -> None:
        """Read everything again, for a requested run."""
        await self._life.read(lambda: self._table.again(list(self._drives.blocks.values())))
        self._emit_mounts()

    def _on_uevent(self, action: str, block: Block) -> None:
        channel = self._udev.setdefault(block.path, Channel(self._life, self._gap))
        channel.post(lambda: self._table.take([(action, block)]), signal=Lossy.DEVICE)

    def _gap(self) -> None:
        self._life.emit(MountOrigin.UDEV, KernelEvent.GAP, "devices", attributes={"reason": "udev-lost"})
        # What was in flight is lost with the old socket; the new one is subscribed to before everything is read.
        for channel in self._udev.values():
            channel.close()
        self._udev.clear()
        self._read_devices()

    def _read_devices(self) -> None:
        self._table.read(list(self._drives.blocks.values()))

    def _emit_mounts(self) -> None:
        now = dict(self._drives.mounts)
        for point in self._known.keys() | now.keys():
            if self._known.get(point) != now.get(point):
                key = FactKey(MountFact.MOUNT, point)
                self._life.emit(MountOrigin.KERNEL, MountEvent.MOUNT, point, facts=[(key, now.get(point))])
        self._known = now
        for unit in self._units.keys() | self._drives.jobs.keys():
            if self._units.get(unit) != (job := self._drives.jobs.get(unit)):
                units = FactKey(PlatformFact.UNIT, unit)
                shown = None if job is None else UnitState(unit, LoadState.LOADED, *_SHOWN[job])
                self._life.emit(
                    PlatformOrigin.SYSTEMD, PlatformEvent.UNIT_CHANGED, unit, facts=[(units, shown)]
                )
        self._units = dict(self._drives.jobs)
        for point, name in self._folders:
            path, state = f"{point}/{name}", self._drives.folder(point, name)
            if self._files.get(path) != state:
                self._files[path] = state
                key = FactKey(PlatformFact.FILE, path)
                self._life.emit(
                    PlatformOrigin.INOTIFY, PlatformEvent.FILE_CHANGED, path, facts=[(key, state)]
                )

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
        """See `storage.model_ports.Mounts`."""
        del description, before, private
        async with asyncio.timeout(timeout):
            done = await self._life.change(f"mount {where}", lambda: self._drives.mount(what, where, options))
        return JobResult(where, "done" if done else "failed")

    async def unmount(self, where: str, *, lazy: bool, timeout: float) -> JobResult:
        """See `storage.model_ports.Mounts`."""

        def effect() -> bool:
            if self._drives.users and not lazy:
                return False
            self._drives.unmount(where)
            return True

        async with asyncio.timeout(timeout):
            done = await self._life.change(f"unmount {where}", effect)
        return JobResult(where, "done" if done else "failed")

    async def seal(self, path: str) -> None:
        """See `storage.model_ports.MountPoints`."""
        await self._life.change(f"seal {path}", lambda: self._drives.sealed.add(path))

    async def unseal(self, path: str) -> bool:
        """See `storage.model_ports.MountPoints`."""

        def effect() -> bool:
            there = path in self._drives.sealed and path not in self._drives.mounts
            if there:
                self._drives.sealed.discard(path)
            return there

        return bool(await self._life.change(f"unseal {path}", effect))

    async def folder(self, mount: str, name: str, uid: int, gid: int) -> None:
        """See `storage.model_ports.MountPoints`."""
        del gid

        def effect() -> bool:
            if mount not in self._drives.mounts:
                raise PermanentError(f"nothing is mounted at {mount}", reason="not-mounted")
            return self._drives.make_folder(mount, name, uid)

        if not await self._life.change(f"folder {mount}/{name}", effect):
            raise TemporaryError("Input/output error", reason="file-error")

    async def renew(self, path: str) -> None:
        """See `storage.model_ports.MountPoints`."""
        if not await self._life.change(f"renew {path}", lambda: self._drives.renew(path)):
            raise PermanentError(f"something is mounted at {path}", reason="mounted")

    async def holders(self, numbers: tuple[str, ...]) -> tuple[Holder, ...]:
        """See `storage.model_ports.MountPoints`."""
        del numbers
        return await self._life.change("holders", lambda: tuple(self._drives.users))

    async def keeping(self, nodes: tuple[str, ...], numbers: tuple[str, ...]) -> Keeping:
        """See `storage.model_ports.MountPoints`."""

        def effect() -> Keeping:
            held = {number for number, _how in self._drives.copied.values()} & set(numbers)
            return Keeping((*self._drives.users, *self._drives.strangers), nodes if held else ())

        return await self._life.change("keeping", effect)

    async def prepare(self, source: str, target: str, name: str) -> tuple[int, int]:
        """See `storage.model_ports.Moves`."""

        def effect() -> tuple[int, int]:
            uuid = self._drives.on(target)
            if not uuid or not self._drives.on(source):
                raise PermanentError("nothing is mounted", reason="not-mounted")
            if (uuid, name) in self._drives.copies:
                raise PermanentError("it is there", reason="target-exists")
            self._drives.drafts.setdefault((uuid, name), {})
            return 1, 1

        return await self._life.change(f"prepare {name}", effect)

    async def start(self, job: Job, name: str, source: str, target: str) -> None:
        """See `storage.model_ports.Moves`."""

        def end() -> bool:
            uuid, there = self._drives.on(target), self._drives.folders_at(source)
            if not uuid or there is None:
                return False
            if job is Job.COPY:
                self._drives.drafts[uuid, name] = dict(there)
            return self._drives.drafts[uuid, name] == there

        unit = job_unit(job, name)
        await self._life.change(f"start {unit}", lambda: self._drives.begin(unit, COPYING, end))

    async def end(self, job: Job, name: str) -> str:
        """See `storage.model_ports.Moves`."""
        was = await self._life.change(f"end {job} {name}", lambda: self._drives.end(job_unit(job, name)))
        return '{"message": "it broke"}' if was == "failed" else ""

    async def settle(self, target: str, name: str) -> None:
        """See `storage.model_ports.Moves`."""

        def effect() -> None:
            uuid = self._drives.on(target)
            if not uuid:
                raise PermanentError("nothing is mounted", reason="not-mounted")
            if (uuid, name) in self._drives.drafts:
                self._drives.copies[uuid, name] = self._drives.drafts.pop((uuid, name))

        await self._life.change(f"settle {name}", effect)

    async def delete(self, job: Job, name: str, path: str) -> None:
        """See `storage.model_ports.Moves`."""

        def effect() -> None:
            uuid = self._drives.on(path)
            if self._drives.undeletable:
                raise TemporaryError(f"what is on {path} is not deleted yet", reason="not-deleted")
            if uuid and job is Job.DISCARD:
                self._drives.drafts.pop((uuid, name), None)
            elif uuid:
                self._drives.folders[uuid] = {}

        await self._life.change(f"delete {job} {name}", effect)
