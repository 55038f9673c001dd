"""Moves the data of a volume to another disk, step by step, and deletes the old copy once that is approved.

`eventd.storage.plan_migration` decides which step comes next. Each step is recorded before or after its work, so that
repeating it is harmless. The copy itself runs in a unit of its own for as long as it takes; no step waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from eventd.kernel import waiting
from eventd.kernel.executor import Handler
from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import EventdError, PermanentError, TemporaryError
from eventd.kernel.model.facts import FactKey
from eventd.mounts.model_facts import MountFact, MountState
from eventd.storage.controller import VolumeController
from eventd.storage.model_actions import ForgetData, MigrateVolume
from eventd.storage.model_facts import StorageFact
from eventd.storage.model_manifest import Volume
from eventd.storage.model_ports import Moves
from eventd.storage.model_records import VolumeRecord
from eventd.storage.model_volume import carriers, mounted_on
from eventd.storage.plan_migration import (
    PATIENCE,
    Job,
    Migration,
    Phase,
    Step,
    count_of,
    draft_of,
    message_of,
    private_mount,
)
from eventd.workloads.controller_transaction import Transaction
from eventd_handlers.storage_unmounting import MOUNT_TIMEOUT, SEEN_TIMEOUT, InUseError, Unmounting


@dataclass(frozen=True, slots=True)
class MigrationHandlers:
    """The handlers of migrations."""

    unmounting: Unmounting
    moves: Moves
    _failing: dict[str, float] = field(default_factory=dict)
    """Volume -> since when its next step has failed, in seconds since the epoch."""

    @property
    def controller(self) -> VolumeController:
        """The records of volumes."""
        return self.unmounting.controller

    def table(self) -> Mapping[type[Action], Handler[Transaction]]:
        """Return the handlers by action."""
        return {MigrateVolume: self.migrate, ForgetData: self.forget}

    async def migrate(self, action: Action, tx: Transaction) -> None:
        """Carry out one step."""
        assert isinstance(action, MigrateVolume)
        name = action.workload.partition(":")[2]
        row, volume = self.controller.migrations.get(name), self.controller.manifest.volumes.get(name)
        if row is None or volume is None:
            raise PermanentError(f"there is no migration of {name}", reason="no-migration")
        try:
            await self._carry_out(action.step, row, volume, tx)
        except EventdError as error:
            since = self._failing.setdefault(name, tx.now())
            if action.step in (Step.COPY, Step.VERIFY) and (
                isinstance(error, InUseError) or tx.now() - since >= PATIENCE
            ):
                # Its users are stopped and its data is untouched: let them run again.
                row = self.controller.migrations.get(name) or row
                self._failing.pop(name, None)
                await self._to(replace(row, error=error.message, hint=error.hint), Phase.UNDO, tx)
                self.controller.refold(name)
            raise
        self._failing.pop(name, None)
        self.controller.refold(name)

    async def _carry_out(self, step: Step, row: Migration, volume: Volume, tx: Transaction) -> None:
        match step:
            case Step.PREPARE:
                await self._prepare(row, volume, tx)
            case Step.COPY:
                await self._start(Job.COPY, Phase.COPY, row, volume, tx)
            case Step.VERIFY:
                await self._start(Job.VERIFY, Phase.VERIFY, row, volume, tx)
                await self.moves.end(Job.COPY, row.volume)
            case Step.SWITCH:
                await self._switch(row, volume, tx)
            case Step.FINISH:
                for job in (Job.COPY, Job.VERIFY):  # after a crash, a job of the phase before may still run
                    await self.moves.end(job, row.volume)
                await self._to(row, Phase.DONE, tx)
            case Step.UNDO:
                await self._undo(row, tx)

    async def _prepare(self, row: Migration, volume: Volume, tx: Transaction) -> None:
        """Check that there is enough space, and create the folder of the copy."""
        try:
            other = self._other(row)
            for job in (Job.COPY, Job.VERIFY):
                await self.moves.end(job, row.volume)
            size, files = await self.moves.prepare(volume.path, other.path, row.volume)
        except EventdError as error:
            # Nothing has been done yet: end the migration here.
            await self._to(replace(row, error=error.message, hint=error.hint), Phase.FAILED, tx)
            raise
        await self._to(replace(row, size=size, files=files), Phase.QUIESCE, tx)

    async def _start(self, job: Job, phase: Phase, row: Migration, volume: Volume, tx: Transaction) -> None:
        """Mount the old disk read-only in a folder only root can enter, and start a job between the two disks."""
        other = self._other(row)
        source = await self._mount(volume, "ro", tx)
        await self.moves.start(job, row.volume, source, other.path)
        if row.phase is not phase:
            await self._to(row, phase, tx)

    async def _switch(self, row: Migration, volume: Volume, tx: Transaction) -> None:
        """Move the copy into place, and make the volume use it from now on."""
        other = self._other(row)
        if row.phase is not Phase.SWITCH:
            row = await self._to(row, Phase.SWITCH, tx)
        said = await self.moves.end(Job.VERIFY, row.volume)
        row = replace(row, files=count_of(said) or row.files)
        await self.moves.settle(other.path, row.volume)
        await self._unmount(row.volume, tx)
        old = f"{volume.id_kind} {volume.id}"

        def how(record: VolumeRecord) -> VolumeRecord:
            return replace(record, migrated_to=row.to, migrated_from=old, node="", number="")

        await self.controller.memory.migrate(replace(row, old_id=old), how)

    async def _undo(self, row: Migration, tx: Transaction) -> None:
        """Discard the copy. The old disk was only read."""
        failed = [
            message_of(said)
            for job in (Job.COPY, Job.VERIFY)
            if (said := await self.moves.end(job, row.volume))
        ]
        if row.phase is not Phase.UNDO:
            error, hint = self._why(row, [each for each in failed if each[0]])
            row = await self._to(replace(row, error=error, hint=hint), Phase.UNDO, tx)
        await self._unmount(row.volume, tx)
        other = self.controller.manifest.volumes.get(row.to)
        if other is not None and self.controller.status_of(other).usable:
            try:
                await self.moves.delete(Job.DISCARD, row.volume, other.path)
            except EventdError as error:
                # The next migration to that disk reuses it; do not wait for its removal.
                draft = f"{other.path}/{draft_of(row.volume)}"
                row = replace(
                    row, hint=f"{row.hint}; the partial copy is left: rm -r {draft} ({error.message})"
                )
        await self._to(row, Phase.FAILED, tx)

    def _why(self, row: Migration, failed: list[tuple[str, str]]) -> tuple[str, str]:
        """Return why it is undone, and what to do about it. `failed`: the errors of its jobs."""
        if failed:
            return failed[0][0], failed[0][1] or "journalctl -u 'eventd-*'"
        if row.phase is Phase.QUIESCE:
            running = self.controller.running(row.volume)
            who = " and ".join(running) or "its users"
            return (
                f"{who} did not stop within {PATIENCE:g} s",
                f"eventctl why {running[0]}" if running else "",
            )
        return f"its job failed in the phase {row.phase}", "journalctl -u 'eventd-*'"

    async def forget(self, action: Action, tx: Transaction) -> None:
        """Delete all data on a disk that is out of service."""
        assert isinstance(action, ForgetData)
        name = action.target
        row, volume = self.controller.forgetting.get(name), self.controller.manifest.volumes.get(name)
        if row is None or volume is None or row.id != action.id or row.since != action.since:
            raise PermanentError(
                f"no deletion of the old data of {name} was requested", reason="not-asked-for"
            )
        if f"{volume.id_kind} {volume.id}" != row.id or self.controller.in_service(volume):
            raise PermanentError(f"{name} is in service: its data is not deleted", reason="volume-in-use")
        source = await self._mount(volume, "rw", tx)
        await self.moves.delete(Job.FORGET, name, source)
        await self._unmount(name, tx)
        migration = self.controller.migrations.get(name)
        rows: list[tuple[object, str, object]] = [(self.controller.forgetting, name, None)]
        if migration is not None:
            after = replace(migration, forgotten=tx.now())
            rows.append((self.controller.migrations, name, after))
        await tx.conclude(rows)  # type: ignore[arg-type]

    def _other(self, row: Migration) -> Volume:
        """Return the target volume. Raises TemporaryError(reason="not-attached")."""
        other = self.controller.manifest.volumes.get(row.to)
        if other is not None and self.controller.status_of(other).usable:
            return other
        raise TemporaryError(
            f"the volume {row.to}, the target for {row.volume}, is not attached",
            reason="not-attached",
            hint=f"attach it, or: eventctl storage migrate {row.volume} --abort",
            wakes_on=frozenset({FactKey(StorageFact.VOLUME, row.to)}),
        )

    async def _mount(self, volume: Volume, mode: str, tx: Transaction) -> str:
        """Mount a volume's own disk in a folder only root can enter; return the folder."""
        where = private_mount(volume.name)
        key = FactKey(MountFact.MOUNT, where)
        devices = self.controller.devices()
        mine = carriers(volume, devices)
        if len(mine) != 1 or mine[0].ambiguous:
            raise TemporaryError(
                f"the disk {volume.id_kind} {volume.id} is {'there more than once' if mine else 'not attached'}",
                reason="not-attached",
                wakes_on=frozenset(FactKey(MountFact.DEVICE, each.uuid) for each in mine),
            )
        for _, state in tx.facts.items(MountFact.MOUNT):
            if isinstance(state, MountState) and state.point != where and mounted_on(state, mine[0]):
                raise TemporaryError(
                    f"{state.source} is mounted at {state.point}",
                    reason="in-use",
                    hint=f"umount {state.point}",
                )
        if key not in tx.facts:
            # If it is still mounted writable somewhere, this mount would be writable too.
            await self.unmounting.release(volume.name, mine[0].nodes, mine[0].numbers, tx)
            options = [each for each in volume.mount_options if each not in ("ro", "rw", "nofail")]
            result = await self.unmounting.mounts.mount(
                volume.link,
                where,
                (*options, mode, "noexec"),
                description=f"Volume {volume.name} of eventd, being moved",
                before=(),
                timeout=MOUNT_TIMEOUT,
                private=True,
            )
            if not result.done:
                raise TemporaryError(
                    f"{volume.link} was not mounted at {where}: the job ended with {result.result}",
                    reason="mount-failed",
                    hint=f"journalctl -b | grep {where}",
                )
        seen = await waiting.until(tx.facts, [key], lambda: key in tx.facts, timeout=SEEN_TIMEOUT)
        state = tx.facts.get(key)
        if not seen or not isinstance(state, MountState) or mounted_on(state, mine[0]) is None:
            await self._unmount(volume.name, tx)
            raise TemporaryError(f"what is mounted at {where} is not {volume.name}", reason="wrong-device")
        return where

    async def _unmount(self, name: str, tx: Transaction) -> None:
        await self.unmounting.unmount(name, private_mount(name), tx)

    async def _to(self, row: Migration, phase: Phase, tx: Transaction) -> Migration:
        after = row.to_phase(phase, tx.now())
        await self.controller.memory.migrate(after)
        return after
