"""Storage: mount points, mounts and folders of volumes, and stopping and starting their users.

Uses the records of volumes, and the ports that reach outside the daemon's sandbox. It decides one thing: if the mounted
device is not the volume's, it is unmounted before the volume is reported as attached.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import anyio

from eventd.kernel import waiting
from eventd.kernel.executor import Handler
from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import EventdError, TemporaryError
from eventd.kernel.model.facts import FactKey
from eventd.mounts.model_facts import DeviceState, MountFact, MountState
from eventd.platform.model_facts import FileState, PlatformFact
from eventd.platform.systemd.model_user_manager import manager_unit
from eventd.platform.systemd.ports import JobResult, Verb
from eventd.storage.controller import VolumeController
from eventd.storage.model_actions import (
    MakeFolder,
    MountVolume,
    NoteVolume,
    ReleaseVolume,
    SealMountPoint,
    StopForVolume,
    UnmountVolume,
    UnsealMountPoint,
)
from eventd.storage.model_manifest import ALWAYS, Volume
from eventd.storage.model_moved import settled
from eventd.storage.model_ports import MountPoints, Mounts
from eventd.storage.model_records import VolumeRecord, VolumeState
from eventd.storage.model_volume import carriers, mounted_on
from eventd.storage.plan_migration import Phase
from eventd.workloads.controller_transaction import Transaction, UnitFailedError
from eventd.workloads.model_actions import StartAgain
from eventd_handlers import workloads_units as units
from eventd_handlers.jobs import run_job
from eventd_handlers.managers import CALL_TIMEOUT
from eventd_handlers.storage_unmounting import MOUNT_TIMEOUT, SEEN_TIMEOUT, InUseError, Unmounting

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StorageHandlers:
    """The handlers of `eventd.storage.model_actions`, including restarting the units that they stopped."""

    unmounting: Unmounting

    @property
    def controller(self) -> VolumeController:
        """The records of volumes."""
        return self.unmounting.controller

    @property
    def mounts(self) -> Mounts:
        """The mount units."""
        return self.unmounting.mounts

    @property
    def points(self) -> MountPoints:
        """The mount points."""
        return self.unmounting.points

    def table(self) -> Mapping[type[Action], Handler[Transaction]]:
        """Return the handlers by action."""
        return {
            SealMountPoint: self.seal,
            UnsealMountPoint: self.unseal,
            MountVolume: self.mount,
            UnmountVolume: self.unmount,
            ReleaseVolume: self.release,
            NoteVolume: self.note,
            MakeFolder: self.folder,
            StopForVolume: self.stop,
            StartAgain: self.start_again,
        }

    async def seal(self, action: Action, tx: Transaction) -> None:  # noqa: ARG002
        """Seal a mount point."""
        assert isinstance(action, SealMountPoint)
        await self.points.seal(action.path)
        self.controller.sealed[action.target] = action.path
        if (record := self.controller.record(action.target)) is not None and record.unsealed:
            await self.controller.memory.change(
                action.target, lambda row: replace(row or record, unsealed=False)
            )

    async def unseal(self, action: Action, tx: Transaction) -> None:  # noqa: ARG002
        """Remove the mount point of a volume that left the repository, and record that."""
        assert isinstance(action, UnsealMountPoint)
        if await self.points.unseal(action.path):
            log.warning(
                "removed the mount point %s: the volume %s no longer exists", action.path, action.target
            )
        self.controller.sealed.pop(action.target, None)
        if (record := self.controller.record(action.target)) is not None:
            await self.controller.memory.change(
                action.target, lambda row: replace(row or record, unsealed=True)
            )

    async def mount(self, action: Action, tx: Transaction) -> None:
        """Mount a volume, and check that the kernel's device number is the one that udev has for its durable id."""
        assert isinstance(action, MountVolume)
        volume = action.volume
        # Recorded before the mount, so that after a crash it is known as ours, even if the link points elsewhere by
        # then.
        before = self.controller.record(volume.name)
        await self._remember(volume, tx, mounting=True)
        if before is not None and before.number and before.number not in _numbers(self.controller.devices()):
            # If the disk was pulled out, a dead mount may remain in a namespace and keep the device from coming back.
            await self.unmounting.clear(volume.name, tx)
        options = (*volume.mount_options, "bind") if action.source else volume.mount_options

        async def mount() -> JobResult:
            return await self.mounts.mount(
                action.source or volume.link,
                volume.path,
                options,
                description=f"Volume {volume.name} of eventd",
                before=tuple(manager_unit(uid) for uid in action.uids),
                timeout=MOUNT_TIMEOUT,
            )

        result = await mount()
        if not result.done and not action.source:
            # A namespace may still have it mounted read-only or broken. One file system cannot be mounted both ways.
            await self.unmounting.clear(volume.name, tx)
            result = await mount()
        key = FactKey(MountFact.MOUNT, volume.path)
        if not result.done:
            await self._remember(volume, tx, mounting=False)
            if action.source:
                raise _not_there(action, result.result, key)
            raise TemporaryError(
                f"{volume.link} was not mounted at {volume.path}: the job ended with {result.result}",
                reason="mount-failed",
                hint=f"journalctl -b | grep {volume.path}; a damaged file system needs fsck",
                wakes_on=frozenset({key}),
            )
        seen = await waiting.until(tx.facts, [key], lambda: key in tx.facts, timeout=SEEN_TIMEOUT)
        state = tx.facts.get(key)
        if not seen or not isinstance(state, MountState):
            await self._remember(volume, tx, mounting=False)
            raise TemporaryError(
                f"{volume.path} was mounted, but is not any more",
                reason="mount-vanished",
                wakes_on=frozenset({key}),
            )
        wrong = _wrong(volume, state, self.controller.devices())
        folder = action.source.rpartition("/")[2]
        if not wrong and folder and not state.root.endswith(f"/{folder}"):
            wrong = f"is {state.root} of {state.source}, and not {folder}"  # a symlink in its place
        if wrong:
            await self.unmounting.unmount(volume.name, volume.path, tx, lazy=True)
            await self._remember(volume, tx, mounting=False)
            raise TemporaryError(
                f"what was mounted at {volume.path} {wrong}, so it was unmounted",
                reason="wrong-device",
                hint="see eventctl storage for what is attached",
                wakes_on=frozenset({key}),
            )
        await self._remember(volume, tx, mounting=False, mount=state)

    async def _remember(
        self, volume: Volume, tx: Transaction, *, mounting: bool, mount: MountState | None = None
    ) -> None:
        def how(record: VolumeRecord | None) -> VolumeRecord:
            record = record or VolumeRecord(volume, added=tx.now())
            if mount is not None:
                record = replace(record, node=mount.source, number=mount.device)
                declared = self.controller.manifest.volumes.get(volume.name)
                if declared is not None and (place := self.controller.place(declared)) is not None:
                    record = settled(record, declared, place)
            return replace(record, mounting=mounting)

        await self.controller.memory.change(volume.name, how)

    async def unmount(self, action: Action, tx: Transaction) -> None:
        """Unmount a volume on the host and, if needed, in every namespace."""
        assert isinstance(action, UnmountVolume)
        name = action.target
        volume = self.controller.manifest.volumes.get(name)
        if volume is not None and self.controller.status_of(volume).state is VolumeState.DEGRADED:
            self.controller.remounted[name] = tx.now()
        try:
            await self.unmounting.unmount(name, action.path, tx, lazy=action.lazy)
        except InUseError as error:
            moving = self.controller.moving(name)
            if moving is not None and moving.row.phase is Phase.QUIESCE:
                # Its users are stopped, and must not wait for a foreign process that may never end.
                row = replace(moving.row, error=error.message, hint=error.hint)
                await self.controller.migrate(row.to_phase(Phase.UNDO, tx.now()))
            raise

    async def release(self, action: Action, tx: Transaction) -> None:
        """Check with the kernel that nothing has the file system open any more."""
        assert isinstance(action, ReleaseVolume)
        await self.unmounting.release(action.target, action.nodes, action.numbers, tx)

        def how(record: VolumeRecord | None) -> VolumeRecord:
            assert record is not None, "only an ejected volume is released"
            return replace(record, released=record.ejected)

        await self.controller.memory.change(action.target, how)

    async def note(self, action: Action, tx: Transaction) -> None:  # noqa: ARG002
        """Record the state of a volume."""
        assert isinstance(action, NoteVolume)
        new = action.record

        def how(record: VolumeRecord | None) -> VolumeRecord:
            # Keep what operators and other steps have written since the plan was made.
            if record is None:
                return new
            return replace(
                new,
                ejected=record.ejected,
                released=record.released,
                decommissioned=record.decommissioned,
                migrated_to=record.migrated_to or new.migrated_to,
                migrated_from=record.migrated_from or new.migrated_from,
            )

        await self.controller.memory.change(action.target, how)

    async def folder(self, action: Action, tx: Transaction) -> None:
        """Create the folder of a workload, and wait until its fact is set."""
        assert isinstance(action, MakeFolder)
        user = tx.user()
        key = FactKey(PlatformFact.FILE, action.target)
        await self.points.folder(action.mount, action.workload, user.uid, user.gid)

        def there() -> bool:
            state = tx.facts.get(key)
            return isinstance(state, FileState) and state.uid == user.uid

        if not await waiting.until(tx.facts, [key], there, timeout=SEEN_TIMEOUT):
            raise TemporaryError(
                f"{action.target} was created, but inotify did not report it",
                reason="folder-not-seen",
                wakes_on=frozenset({key}),
            )

    async def stop(self, action: Action, tx: Transaction) -> None:
        """Record the running units, then stop them all at once: nothing may keep writing to a dead disk.

        In this order: after a crash in between, the units are recorded as running, which they are.
        """
        assert isinstance(action, StopForVolume)
        await self.controller.memory.stop(tx.workload, action.units, action.why, tx.now())
        manager = await tx.host.user_managers.connect(tx.user(), timeout=CALL_TIMEOUT)
        failed: list[EventdError] = []

        async def one(unit: str) -> None:
            try:
                result = await run_job(manager, Verb.STOP, unit, timeout=action.timeout)
                if not result.done:
                    message = f"{unit} did not stop: its job ended with {result.result}"
                    failed.append(UnitFailedError(message, unit=unit, reason="stop-failed"))
                # A unit that failed together with its disk has not failed by itself.
                await manager.reset_failed(unit)
            except EventdError as error:
                failed.append(error)

        async with anyio.create_task_group() as group:
            for unit in action.units:
                group.start_soon(one, unit)
        await tx.host.user_managers.refresh(tx.workload)
        if failed:
            raise failed[0]

    async def start_again(self, action: Action, tx: Transaction) -> None:
        """Start a unit that was stopped because of a lost volume, and delete that record."""
        assert isinstance(action, StartAgain)
        await units.start(action, tx)
        await self.controller.memory.started(tx.workload, action.unit)


def _not_there(action: MountVolume, result: str, key: FactKey) -> TemporaryError:
    """Return the error for a volume that cannot be mounted from its new folder; its old disk is not used instead."""
    volume = action.volume
    return TemporaryError(
        f"{volume.name} was moved to {action.source}, which cannot be mounted at {volume.path} (the job ended with"
        f" {result}): does that folder exist?",
        reason="no-folder",
        hint=f"ls -d {action.source}; if it was never moved, remove migrated_to of {volume.name} from storage.toml",
        wakes_on=frozenset({key}),
    )


def _numbers(devices: Iterable[DeviceState]) -> frozenset[str]:
    """Return the device numbers of all attached devices."""
    return frozenset(number for device in devices for number in device.numbers)


def _wrong(volume: Volume, state: MountState, devices: Iterable[DeviceState]) -> str:
    """Return what is wrong with a mount, empty if it is the volume's."""
    mine = carriers(volume, devices)
    if not any(mounted_on(state, device) for device in mine):
        return f"is {state.source} ({state.device}), which is not {volume.id_kind} {volume.id}"
    if state.fstype not in volume.fstypes:
        return f"has {state.fstype}"
    missing = [option for option in ALWAYS if option not in state.options.split(",")]
    return f"lacks {' and '.join(missing)}" if missing else ""
