"""What is remembered of volumes: two shelves, and the STOPPED facts that are the plan's view of the second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import anyio

from eventd.core.events import Emit, EventKind, Origin
from eventd.core.facts import FactKey, FactKind
from eventd.core.ports import Store
from eventd.core.storage_records import StoppedUnits, VolumeRecord
from eventd.runtime.shelf import Shelf


class StorageMemory:
    """Written by handlers in journalled steps, read by the keeper and by whoever shows storage."""

    def __init__(self, store: Store, emit: Emit) -> None:
        self.volumes = Shelf(store, "volume", VolumeRecord)
        """Volume -> record."""
        self.stopped = Shelf(store, "stopped-units", StoppedUnits)
        """Workload -> what a lost volume stopped."""
        self._emit = emit
        self._lock = anyio.Lock()

    async def load(self) -> None:
        """Read everything, and publish it."""
        await self.volumes.load()
        await self.stopped.load()
        for workload in self.stopped:
            self._publish(workload)

    async def change(self, name: str, how: Callable[[VolumeRecord | None], VolumeRecord]) -> VolumeRecord:
        """Remember something of a volume: `how` makes the new record of the one that there is.

        One at a time: a step that notes what it saw must not take back what an operator says in the same moment.
        """
        async with self._lock:
            record = how(self.volumes.get(name))
            await self.volumes.put(name, record)
            return record

    async def stop(self, workload: str, units: tuple[str, ...], why: str, now: float) -> None:
        """Remember that these units were running."""
        before = self.stopped.get(workload)
        if before is None:
            row = StoppedUnits(units, why, now)
        else:
            row = replace(before, units=tuple(dict.fromkeys((*before.units, *units))), why=why)
        await self.stopped.put(workload, row)
        self._publish(workload)

    async def started(self, workload: str, unit: str) -> None:
        """Forget one of them: it has been started again, or is not there any more."""
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
            Origin.DAEMON,
            EventKind.VOLUME_CHANGED,
            workload,
            scope=workload,
            attributes={"stopped": len(units or ())},
            facts=[(FactKey(FactKind.STOPPED, workload), units)],
        )
