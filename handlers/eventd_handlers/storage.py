"""Storage: mount points, mounts and folders of volumes, and stopping and starting what uses them.

Bound to what is remembered of volumes and to the ports that reach out of the daemon's sandbox. Decides one thing: a
mount whose device is not the volume's is taken away again, before anybody is told that the volume is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import anyio

from eventd.core.actions import Action, StartAgain
from eventd.core.errors import EventdError, TemporaryError
from eventd.core.facts import DeviceState, FactKey, FactKind, FileState, MountState
from eventd.core.layout import manager_unit
from eventd.core.ports import Verb
from eventd.core.storage_actions import (
    STORAGE_ACTIONS,
    MakeFolder,
    MountVolume,
    NoteVolume,
    ReleaseVolume,
    SealMountPoint,
    StopForVolume,
    UnmountVolume,
)
from eventd.core.storage_look import carriers, mounted_on
from eventd.core.storage_manifest import ALWAYS, Volume
from eventd.core.storage_migration import Phase
from eventd.core.storage_moved import settled
from eventd.core.storage_ports import Holder, MountPoints, Mounts
from eventd.core.storage_records import VolumeRecord, VolumeState
from eventd.runtime import waiting
from eventd.runtime.storage.keeper import VolumeKeeper
from eventd.runtime.transaction import Handler, Transaction, UnitFailedError
from eventd_handlers import units
from eventd_handlers.managers import CALL_TIMEOUT
from eventd_handlers.migration import MigrationHandlers

MOUNT_TIMEOUT = 60.0
"""Seconds for a mount: a journal of a large disk may have to be replayed."""
SEEN_TIMEOUT = 10.0
"""Seconds until the kernel's table of mounts, or inotify, tells what has been done."""


@dataclass(frozen=True, slots=True)
class StorageHandlers:
    """The handlers of `eventd.core.storage_actions`, and of starting what they stopped."""

    ACTIONS: ClassVar[tuple[type[Action], ...]] = (
        *(each for each in STORAGE_ACTIONS if each not in MigrationHandlers.ACTIONS),
        StartAgain,
    )
    keeper: VolumeKeeper
    mounts: Mounts
    points: MountPoints

    def table(self) -> Mapping[type[Action], Handler]:
        """Return them by action."""
        return {
            SealMountPoint: self.seal,
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
        self.keeper.sealed[action.target] = action.path

    async def mount(self, action: Action, tx: Transaction) -> None:
        """Mount, and believe it only when the kernel's number of what is mounted is udev's for the durable id."""
        assert isinstance(action, MountVolume)
        volume = action.volume
        # Before the mount, so that after a crash it is known for ours: also if the link leads elsewhere by then.
        await self._remember(volume, tx, mounting=True)
        options = (*volume.mount_options, "bind") if action.source else volume.mount_options
        result = await self.mounts.mount(
            action.source or volume.link,
            volume.path,
            options,
            description=f"Volume {volume.name} of eventd",
            before=tuple(manager_unit(uid) for uid in action.uids),
            timeout=MOUNT_TIMEOUT,
        )
        key = FactKey(FactKind.MOUNT, volume.path)
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
                f"{volume.path} was mounted, and is not any more",
                reason="mount-vanished",
                wakes_on=frozenset({key}),
            )
        wrong = _wrong(volume, state, self.keeper.devices())
        folder = action.source.rpartition("/")[2]
        if not wrong and folder and not state.root.endswith(f"/{folder}"):
            wrong = f"is {state.root} of {state.source}, and not {folder}"  # a symlink in its place
        if wrong:
            await self.mounts.unmount(volume.path, lazy=True, timeout=MOUNT_TIMEOUT)
            if await waiting.until(tx.facts, [key], lambda: key not in tx.facts, timeout=SEEN_TIMEOUT):
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
                declared = self.keeper.manifest.volumes.get(volume.name)
                if declared is not None and (place := self.keeper.place(declared)) is not None:
                    record = settled(record, declared, place)
            return replace(record, mounting=mounting)

        await self.keeper.memory.change(volume.name, how)

    async def unmount(self, action: Action, tx: Transaction) -> None:
        """Unmount, and wait until the kernel says so."""
        assert isinstance(action, UnmountVolume)
        volume = self.keeper.manifest.volumes.get(action.target)
        if volume is not None and self.keeper.look(volume).state is VolumeState.DEGRADED:
            self.keeper.afresh[action.target] = tx.now()
        key = FactKey(FactKind.MOUNT, action.path)
        result = await self.mounts.unmount(action.path, lazy=action.lazy, timeout=MOUNT_TIMEOUT)
        gone = result.done and await waiting.until(
            tx.facts, [key], lambda: key not in tx.facts, timeout=SEEN_TIMEOUT
        )
        if gone:
            return
        state = tx.facts.get(key)
        numbers = (state.device,) if isinstance(state, MountState) else ()
        holders = () if action.lazy else await self.points.holders((), numbers, mounts=False)
        moving = self.keeper.moving(action.target)
        if holders and moving is not None and moving.row.phase is Phase.QUIESCE:
            # Its users are stopped: they are not kept waiting for a process that nobody may ever end.
            error = f"{action.path} is in use by {_some(holders)}"
            await self.keeper.migrate(replace(moving.row, error=error).to_phase(Phase.UNDO, tx.now()))
        if holders:
            pids = " ".join(str(each.pid) for each in holders)
            raise TemporaryError(
                f"{action.path} is in use by {_some(holders)}, so it was not unmounted",
                reason="in-use",
                hint=f"end it (kill {pids}), or have it leave {action.path}; it is tried again",
                wakes_on=frozenset({key}),
            )
        raise TemporaryError(
            f"{action.path} was not unmounted: the job ended with {result.result}",
            reason="unmount-failed",
            hint=f"something uses it: fuser -vm {action.path}",
            wakes_on=frozenset({key}),
        )

    async def release(self, action: Action, tx: Transaction) -> None:  # noqa: ARG002
        """Believe that nothing has the file system open any more, anywhere, only when the kernel says so."""
        assert isinstance(action, ReleaseVolume)
        holders = await self.points.holders(action.nodes, action.numbers, mounts=True)
        if holders:
            raise TemporaryError(
                f"it is unmounted here, but still mounted for {_some(holders)}: it is not safe to remove yet",
                reason="still-mounted",
                hint=f"end it (kill {holders[0].pid}); it is looked at again",
            )

        def how(record: VolumeRecord | None) -> VolumeRecord:
            assert record is not None, "only what an operator put away is released"
            return replace(record, released=record.ejected)

        await self.keeper.memory.change(action.target, how)

    async def note(self, action: Action, tx: Transaction) -> None:  # noqa: ARG002
        """Remember how a volume is."""
        assert isinstance(action, NoteVolume)
        new = action.record

        def how(record: VolumeRecord | None) -> VolumeRecord:
            # What operators and other steps write is theirs: the plan was made a moment ago.
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

        await self.keeper.memory.change(action.target, how)

    async def folder(self, action: Action, tx: Transaction) -> None:
        """Make the folder of a workload, and wait until it is seen."""
        assert isinstance(action, MakeFolder)
        user = tx.user()
        key = FactKey(FactKind.FILE, action.target)
        await self.points.folder(action.mount, action.workload, user.uid, user.gid)

        def there() -> bool:
            state = tx.facts.get(key)
            return isinstance(state, FileState) and state.uid == user.uid

        if not await waiting.until(tx.facts, [key], there, timeout=SEEN_TIMEOUT):
            raise TemporaryError(
                f"{action.target} was made, and is not seen",
                reason="folder-not-seen",
                wakes_on=frozenset({key}),
            )

    async def stop(self, action: Action, tx: Transaction) -> None:
        """Remember what runs, then stop all of it at once: nothing may go on writing to a dead disk.

        In this order: after a crash in between, the units are remembered as running, which they are.
        """
        assert isinstance(action, StopForVolume)
        await self.keeper.memory.stop(tx.workload, action.units, action.why, tx.now())
        manager = await tx.host.user_managers.connect(tx.user(), timeout=CALL_TIMEOUT)
        failed: list[EventdError] = []

        async def one(unit: str) -> None:
            try:
                result = await manager.job(Verb.STOP, unit, timeout=action.timeout)
                if not result.done:
                    message = f"{unit} did not stop: its job ended with {result.result}"
                    failed.append(UnitFailedError(message, unit=unit, reason="stop-failed"))
                # A unit that failed with its disk is no failure of its own.
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
        """Start a unit that a lost volume had stopped, and forget that."""
        assert isinstance(action, StartAgain)
        await units.start(action, tx)
        await self.keeper.memory.started(tx.workload, action.unit)


def _not_there(action: MountVolume, result: str, key: FactKey) -> TemporaryError:
    """Return the failure to mount a volume from a folder: its old disk is not taken instead."""
    volume = action.volume
    return TemporaryError(
        f"{volume.name} was moved to {action.source}, which cannot be mounted at {volume.path} (the job ended with"
        f" {result}): is there such a folder?",
        reason="no-folder",
        hint=f"ls -d {action.source}; if it was never moved, take migrated_to of {volume.name} out of storage.toml",
        wakes_on=frozenset({key}),
    )


def _some(holders: tuple[Holder, ...]) -> str:
    shown = ", ".join(str(each) for each in holders[:3])
    return shown + (f" and {len(holders) - 3} more" if len(holders) > 3 else "")


def _wrong(volume: Volume, state: MountState, devices: Iterable[DeviceState]) -> str:
    """Return what is wrong with a mount, empty if it is the volume's."""
    mine = carriers(volume, devices)
    if not any(mounted_on(state, device) for device in mine):
        return f"is {state.source} ({state.device}), which is not {volume.id_kind} {volume.id}"
    if state.fstype not in volume.fstypes:
        return f"has {state.fstype}"
    missing = [option for option in ALWAYS if option not in state.options.split(",")]
    return f"lacks {' and '.join(missing)}" if missing else ""
