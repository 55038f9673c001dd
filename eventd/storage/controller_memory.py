"""The persisted state of volumes: document tables, and the STOPPED facts through which the plan sees stopped units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio

from eventd.kernel.document_table import DocumentTable, write
from eventd.kernel.model.events import Emit, KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.kernel.ports import DocumentStore
from eventd.kernel.whole import wholly
from eventd.storage.model_events import StorageEvent
from eventd.storage.model_facts import StorageFact
from eventd.storage.model_records import StoppedUnits, VolumeRecord
from eventd.storage.plan_migration import Forgetting, Migration


class StorageMemory:
    """Written by handlers in journalled steps; read by the controller and the status."""

    def __init__(self, store: DocumentStore, emit: Emit) -> None:
        self.volumes = DocumentTable(store, "volume", VolumeRecord)
        """Volume -> record."""
        self.stopped = DocumentTable(store, "stopped-units", StoppedUnits)
        """Workload -> the units that a lost volume stopped."""
        self.migrations = DocumentTable(store, "migration", Migration)
        """Volume -> its last migration."""
        self.forgetting = DocumentTable(store, "forget-data", Forgetting)
        """Volume -> a request to delete the data on its old disk."""
        self.changed = anyio.Event()
        """Set, and replaced, when a migration makes progress."""
        self._emit = emit
        self._lock = anyio.Lock()

    async def load(self) -> None:
        """Read everything, and publish it."""
        await self.volumes.load()
        await self.stopped.load()
        await self.migrations.load()
        await self.forgetting.load()
        for workload in self.stopped:
            self._publish(workload)

    @wholly
    async def change(self, name: str, how: Callable[[VolumeRecord | None], VolumeRecord]) -> VolumeRecord:
        """Change a volume's record: `how` derives the new record from the existing one.

        Changes are serialised: a step that records what it saw must not overwrite an operator's concurrent request.
        """
        async with self._lock:
            record = how(self.volumes.get(name))
            await self.volumes.put(name, record)
            return record

    @wholly
    async def migrate(
        self, row: Migration, how: Callable[[VolumeRecord], VolumeRecord] | None = None
    ) -> None:
        """Record a migration's phase; at the switch, together with the volume's new place."""
        async with self._lock:
            rows: list[tuple[DocumentTable[Any], str, Any]] = [(self.migrations, row.volume, row)]
            record = self.volumes.get(row.volume)
            if how is not None and record is not None:
                rows.append((self.volumes, row.volume, how(record)))
            await write(rows)
        self.changed.set()
        self.changed = anyio.Event()

    @wholly
    async def stop(self, workload: str, units: tuple[str, ...], why: str, now: float) -> None:
        """Record that these units were running."""
        before = self.stopped.get(workload)
        if before is None:
            row = StoppedUnits(units, why, now)
        else:
            row = replace(before, units=tuple(dict.fromkeys((*before.units, *units))), why=why)
        await self.stopped.put(workload, row)
        self._publish(workload)

    @wholly
    async def started(self, workload: str, unit: str) -> None:
        """Forget a unit: it was started again, or no longer exists."""
        before = self.stopped.get(workload)
        if before is None:
            return
        left = tuple(each for each in before.units if each != unit)
        await self.stopped.put(workload, replace(before, units=left) if left else None)
        self._publish(workload)

    def _publish(self, workload: str) -> None:
        row = self.stopped.get(workload)
        units = frozenset(row.units) if row else None
        self._emit(
            KernelOrigin.DAEMON,
            StorageEvent.VOLUME_CHANGED,
            workload,
            scope=workload,
            attributes={"stopped": len(units or ())},
            facts=[(FactKey(StorageFact.STOPPED, workload), units)],
        )
