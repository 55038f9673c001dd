"""The volume controller: derives each volume's state from devices, mounts and the manifest, and plans the next step.

Owns the VOLUME facts. They follow the events of devices and mounts at once, without waiting for a run: they stop
workloads, and open gates. Every change of the host is a step of a plan (`eventd.storage.plan`), carried out by
`eventd_handlers.storage`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial

from eventd.approvals.model_facts import is_rejected
from eventd.desired.controller_activation import Participant
from eventd.desired.controller_load import Loaded
from eventd.kernel.controller import Assessment, Controller
from eventd.kernel.document_table import DocumentTable
from eventd.kernel.model.action import Action
from eventd.kernel.model.events import Emit, KernelOrigin
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.whole import wholly
from eventd.mounts.model_facts import DeviceState, MountFact, MountState
from eventd.platform.model_facts import Account, ActiveState, PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.storage.controller_memory import StorageMemory
from eventd.storage.controller_owners import FactOwners
from eventd.storage.controller_status import assessment_of, runs
from eventd.storage.model_action_table import forget
from eventd.storage.model_actions import ForgetData, UnsealMountPoint
from eventd.storage.model_events import StorageEvent
from eventd.storage.model_facts import StorageFact
from eventd.storage.model_manifest import NOTHING, Manifest, Volume
from eventd.storage.model_moved import Place, assess_moved, claimed, moved, nowhere, place_of, unmoved
from eventd.storage.model_records import VolumeRecord, set_away
from eventd.storage.model_uses import Uses, uses
from eventd.storage.model_volume import VolumeStatus, assess, put_away
from eventd.storage.plan import PREFIX, Moving, draft
from eventd.storage.plan_migration import (
    PATIENCE,
    Forgetting,
    Job,
    Migration,
    Phase,
    job_of,
    job_unit,
    next_step,
)

ONCE = 5.0
"""Seconds in which a forced retry of a volume counts once: a run plans again after each step."""


class VolumeController(Controller, Participant):
    """See the module. `sealed`: volume -> path that was sealed since the daemon's start."""

    prefix = PREFIX

    def __init__(
        self,
        memory: StorageMemory,
        emit: Emit,
        wall: Callable[[], float] = time.time,
        allowed: Callable[[str], bool] = lambda _path: True,
        in_use: Callable[[bool], None] = lambda _any: None,
        suspect: Callable[[], None] = lambda: None,
    ) -> None:
        """`allowed`: whether the host lets a volume be mounted at a path.

        `in_use`: called with whether any volume is attached, each time one comes or goes. `suspect`: called when a unit
        of a workload with a volume failed, maybe because of its disk.
        """
        self.memory = memory
        self._allowed = allowed
        self._loaded = False
        self.manifest: Manifest = NOTHING
        self._uses = Uses()
        self.sealed: dict[str, str] = {}
        self.remounted: dict[str, float] = {}
        """Volume -> when it was last unmounted for a retry, in seconds since the epoch."""
        self._emit = emit
        self._wall = wall
        self._facts = Facts()
        self._dirty: Callable[[str], None] = lambda _name: None
        self.owners = FactOwners()
        self._points: Mapping[str, str] = {}
        """Mount point -> volume."""
        self._told: dict[str, bool] = {}
        self._devices: dict[str, DeviceState] = {}
        self._in_use = in_use
        self._suspect = suspect

    @property
    def users(self) -> Mapping[str, frozenset[str]]:
        """Volume -> workloads that use it."""
        return self._uses.users

    async def load(self) -> None:
        """Read the persisted state, which includes the last good manifest."""
        await self.memory.load()

    def attach(self, facts: Facts, dirty: Callable[[str], None]) -> None:
        """Start watching devices, mounts and folders."""
        self._facts = facts
        self._dirty = dirty
        for key, _ in facts.items(MountFact.DEVICE):
            self._note_device(key)
        facts.watch_all(self._changed)
        self.owners.attach(facts)
        for row in self.memory.migrations.rows.values():
            self._be_patient(row)

    def activated(self, loaded: Loaded) -> None:
        """Apply a manifest. A broken one changes nothing: the last good one stays active, even after a restart."""
        found: Manifest = loaded.desired.storage
        self._loaded = True
        if not found.broken:
            self.manifest = found
        elif not self.manifest.present:
            # A volume that the host does not allow (any more) is not part of the last good manifest.
            known = {
                name: row.volume
                for name, row in self.memory.volumes.rows.items()
                if self._allowed(row.volume.path)
            }
            self.manifest = Manifest(known, present=True)
        self._uses = uses(loaded.desired.workloads)
        self.owners.loaded(loaded.desired.workloads)
        self._points = {volume.path: name for name, volume in self.manifest.volumes.items()}
        for name in [name for name in self._told if name not in self.manifest.volumes]:
            self._publish_state(name, usable=None)
        for name in self.manifest.volumes:
            self._fold(name)

    def names(self) -> Collection[str]:
        """Return the subjects."""
        return [PREFIX + name for name in (*self.manifest.volumes, *self._left())]

    def _left(self) -> list[str]:
        """Return the volumes that left the manifest and whose mount points may still be sealed."""
        if not self._loaded:
            return []
        points = {volume.path for volume in self.manifest.volumes.values()}
        return [
            name
            for name, row in self.memory.volumes.rows.items()
            if name not in self.manifest.volumes
            and not row.unsealed
            and row.volume.path not in points
            and FactKey(MountFact.MOUNT, row.volume.path) not in self._facts
        ]

    def digest(self, name: str) -> str:
        """Return a digest of the wanted and the actual state: a failure with one disk does not count for another."""
        volume = self.manifest.volumes.get(_plain(name))
        if volume is None:
            return ""
        return repr((volume, self.status_of(volume), self.memory.migrations.get(volume.name)))

    def plan(self, name: str, *, forced: bool) -> tuple[Action, ...]:
        """Return the actions to carry out."""
        volume = self.manifest.volumes.get(_plain(name))
        if volume is None:
            left = self.memory.volumes.get(_plain(name)) if _plain(name) in self._left() else None
            return (UnsealMountPoint(name, left.volume.path),) if left is not None else ()
        actions: tuple[Action, ...] = draft(
            volume,
            self.status_of(volume),
            self.memory.volumes.get(volume.name),
            sealed=self.sealed.get(volume.name) == volume.path,
            uids=self._uids(volume.name),
            now=self._wall(),
            forced=forced and self._wall() - self.remounted.get(volume.name, 0.0) > ONCE,
            running=bool(self.running(volume.name)),
            place=self.place(volume),
            moving=self.moving(volume.name),
        )
        wish = self.memory.forgetting.get(volume.name)
        if actions or wish is None or self.in_service(volume):
            return actions
        action = _forget(wish)
        return () if is_rejected(forget(action), self._facts) else (action,)

    def assess_idle(self, name: str) -> Assessment:
        """Return a volume's status."""
        volume = self.manifest.volumes.get(_plain(name))
        if volume is None:
            return Assessment()
        return assessment_of(
            self.status_of(volume), self.running(volume.name), is_used=bool(self.users.get(volume.name))
        )

    def status_of(self, volume: Volume) -> VolumeStatus:
        """Return the current state of a volume."""
        found = self._facts.get(FactKey(MountFact.MOUNT, volume.path))
        mount = found if isinstance(found, MountState) else None
        record, place = self.memory.volumes.get(volume.name), self.place(volume)
        if place is not None:
            seen = assess_moved(place, self.devices(), mount, record)
        elif other := self._moved_to(volume):
            seen = nowhere(other, mount)
        else:
            seen = assess(volume, self.devices(), mount, record)
            seen = unmoved(seen, volume) if volume.migrated_to else seen
        row = self.memory.migrations.get(volume.name)
        if row is not None and row.begun and not (record is not None and record.migrated_to == row.to):
            return moved(seen, row)
        return seen

    def place(self, volume: Volume) -> Place | None:
        """Return the place of a migrated volume. None: it is on its own disk (or nowhere, see `status_of`)."""
        other = self.manifest.volumes.get(self._moved_to(volume))
        if other is None:
            return None
        there = not self._moved_to(other) and self.status_of(other).usable
        return place_of(volume, other, there=there)

    def _moved_to(self, volume: Volume) -> str:
        mount = self._facts.get(FactKey(MountFact.MOUNT, volume.path))
        return claimed(
            volume,
            self.memory.volumes.get(volume.name),
            self.memory.migrations.get(volume.name),
            mount if isinstance(mount, MountState) else None,
        )

    def in_service(self, volume: Volume) -> bool:
        """Return whether the volume's own disk is used, or will be."""
        return self.place(volume) is None and not put_away(volume, self.memory.volumes.get(volume.name))

    @wholly
    async def forget(self, row: Forgetting) -> None:
        """Record a request to delete the data on an old disk; the plan then requires a signature."""
        await self.memory.forgetting.put(row.volume, row)
        self._dirty(PREFIX + row.volume)

    def on(self, name: str) -> tuple[str, ...]:
        """Return the volumes that were migrated to this one."""
        volumes = self.manifest.volumes.values()
        return tuple(each.name for each in volumes if (p := self.place(each)) is not None and p.other == name)

    def moving(self, name: str) -> Moving | None:
        """Return the running migration of a volume."""
        row = self.memory.migrations.get(name)
        if row is None or not row.on:
            return None
        record = self.memory.volumes.get(name)
        switched = record is not None and record.migrated_to == row.to
        job = {Phase.COPY: Job.COPY, Phase.VERIFY: Job.VERIFY}.get(row.phase)
        unit = (
            as_unit(self._facts.get(FactKey(PlatformFact.UNIT, job_unit(job, name))))
            if job is not None
            else None
        )
        late = bool(self.running(name)) and self._wall() - row.since >= PATIENCE
        return Moving(row, next_step(row, unit, switched=switched, late=late))

    @wholly
    async def migrate(self, row: Migration) -> None:
        """Record the beginning or the abort of a migration; the next steps are planned from that."""
        await self.memory.migrate(row)
        self._fold(row.volume)
        self._dirty(PREFIX + row.volume)

    def _be_patient(self, row: Migration) -> None:
        """Schedule a check of a migration for when its users should have stopped."""
        if row.phase is Phase.QUIESCE:
            left = max(0.0, row.since + PATIENCE - self._wall())
            asyncio.get_running_loop().call_later(left + 1, self._dirty, PREFIX + row.volume)

    def refold(self, name: str) -> None:
        """Update the VOLUME fact after a change of a migration."""
        row = self.memory.migrations.get(name)
        if row is not None:
            self._be_patient(row)
        if name in self.manifest.volumes:
            self._fold(name)

    def devices(self) -> list[DeviceState]:
        """Return every file system that is attached."""
        return list(self._devices.values())

    def record(self, name: str) -> VolumeRecord | None:
        """Return a volume's record."""
        return self.memory.volumes.get(name)

    @property
    def records(self) -> Mapping[str, VolumeRecord]:
        """The record of each volume."""
        return self.memory.volumes.rows

    @property
    def migrations(self) -> DocumentTable[Migration]:
        """The last migration of each volume."""
        return self.memory.migrations

    @property
    def forgetting(self) -> DocumentTable[Forgetting]:
        """The volumes whose old data is to be deleted."""
        return self.memory.forgetting

    @wholly
    async def set_away(self, name: str, *, away: bool, decommissioned: bool = False) -> None:
        """Record that an operator ejects or attaches a volume; the next steps are planned from that."""
        volume = self.manifest.volumes[name]
        wish = partial(set_away, volume, self._wall(), away=away, decommissioned=decommissioned)
        await self.memory.change(name, wish)
        if not away and self.place(volume) is None:
            await self.memory.forgetting.put(name, None)  # a disk in use again must not be deleted
        self._fold(name)
        self._dirty(PREFIX + name)

    def running(self, name: str) -> tuple[str, ...]:
        """Return the workloads that use a volume and still run."""
        users = self.users.get(name, frozenset())
        found = {
            key.scope
            for key, state in self._facts.items(PlatformFact.UNIT)
            if key.scope in users and (key.scope, key.name) in self._uses.units and runs(as_unit(state))
        }
        return tuple(sorted(found))

    def _uids(self, name: str) -> tuple[int, ...]:
        found = (self._facts.get(FactKey(PlatformFact.ACCOUNT, user)) for user in self.users.get(name, ()))
        return tuple(sorted(account.uid for account in found if isinstance(account, Account)))

    def _changed(self, key: FactKey) -> None:
        match key.kind:
            case MountFact.DEVICE:
                self._note_device(key)
                for name in self.manifest.volumes:
                    self._fold(name)
                    self._dirty(PREFIX + name)
            case MountFact.MOUNT if key.name in self._points:
                name = self._points[key.name]
                for each in (name, *self.on(name)):
                    self._fold(each)
                    self._dirty(PREFIX + each)
            case PlatformFact.FILE if key.name in self._uses.folders:
                self._dirty(self._uses.folders[key.name])
            case PlatformFact.UNIT if not key.scope and (name := job_of(key.name)) in self.manifest.volumes:
                self._dirty(PREFIX + name)
            case PlatformFact.UNIT if key.scope in self._uses.workloads:
                state = as_unit(self._facts.get(key))
                if not runs(state):
                    self._stopped(key.scope)
                if state is not None and (state.active is ActiveState.FAILED or state.auto_restarting):
                    self._suspect()
            case StorageFact.STOPPED:
                self._dirty(key.name)
            case _:
                pass

    def _stopped(self, workload: str) -> None:
        """Check the volumes of a workload after one of its units has ended: an eject may wait for it."""
        for name, users in self.users.items():
            volume = self.manifest.volumes.get(name)
            if workload in users and volume is not None and self.status_of(volume).leaving:
                self._dirty(PREFIX + name)

    def _note_device(self, key: FactKey) -> None:
        state = self._facts.get(key)
        if isinstance(state, DeviceState):
            self._devices[key.name] = state
        else:
            self._devices.pop(key.name, None)

    def _fold(self, name: str) -> None:
        self._publish_state(name, usable=self.status_of(self.manifest.volumes[name]).usable)

    def _publish_state(self, name: str, *, usable: bool | None) -> None:
        """Set the VOLUME fact, and mark the affected workloads dirty."""
        if self._told.get(name) == usable:
            return
        if usable is None:
            self._told.pop(name, None)
        else:
            self._told[name] = usable
        self._emit(
            KernelOrigin.DAEMON,
            StorageEvent.VOLUME_CHANGED,
            name,
            attributes={"attached": bool(usable)},
            facts=[(FactKey(StorageFact.VOLUME, name), usable)],
        )
        self._in_use(any(self._told.values()))
        for workload in sorted(self.users.get(name, ())):
            self._dirty(workload)


def _plain(subject: str) -> str:
    return subject.removeprefix(PREFIX)


def _forget(wish: Forgetting) -> ForgetData:
    why = f"{wish.by} requested the deletion of the data on the old disk of {wish.volume}"
    return ForgetData(PREFIX + wish.volume, wish.id, wish.since, why)
