"""The inventory: `Records` in memory. Every change is written to the store first.

Owns what eventd remembers. A crash between the two writes leaves the disk ahead of memory, never behind. Cancellation
cannot come between them: a change is completed even if its caller is cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import anyio

from eventd.adoption.model import Grant
from eventd.kernel.document_table import DocumentTable, write
from eventd.kernel.ports import DocumentStore
from eventd.kernel.whole import wholly
from eventd.removal.model import Removal, Rename
from eventd.state.ports import Journal, Store
from eventd.workloads.model_records import (
    FileRecord,
    FolderRecord,
    Ownership,
    Records,
    StartedWith,
    UnitRecord,
    WorkloadRecord,
)

R = TypeVar("R", UnitRecord, FileRecord, StartedWith)


@dataclass(slots=True)
class Inventory:
    """Write-through records."""

    _store: Store
    records: Records = field(default_factory=Records)
    folders: DocumentTable[FolderRecord] = field(init=False)
    """By absolute path: the folders that eventd created."""
    grants: DocumentTable[Grant] = field(init=False)
    """By account: the accounts that root has handed over."""
    removals: DocumentTable[Removal] = field(init=False)
    """By workload: those that left the repository, and those whose data is to be deleted when they do."""

    started: DocumentTable[StartedWith] = field(init=False)
    """By workload and unit, with a slash between: the host's files that a unit was started with."""

    renames: DocumentTable[Rename] = field(init=False)
    """By new name: renames that have begun."""

    removing: anyio.Lock = field(default_factory=anyio.Lock)
    """Held while an account is deleted, and while it is decided whether to delete one."""

    def __post_init__(self) -> None:
        """Create the document tables."""
        self.renames = DocumentTable(self._store, "rename", Rename)
        self.started = DocumentTable(self._store, "started-with", StartedWith)
        self.removals = DocumentTable(self._store, "removal", Removal)
        self.grants = DocumentTable(self._store, "adoption", Grant)
        self.folders = DocumentTable(self._store, "folder", FolderRecord)

    @property
    def documents(self) -> DocumentStore:
        """The place for other documents that are remembered."""
        return self._store

    @property
    def journal(self) -> Journal:
        """The record of runs and of their steps."""
        return self._store

    async def markers(self) -> Mapping[str, WorkloadRecord]:
        """Return the copies of workloads' records that are kept outside of the database."""
        return await self._store.markers()

    async def mark(self, record: WorkloadRecord) -> None:
        """Write a workload's record once more, and its copy with it."""
        await self._store.put_workload(record)

    async def load(self) -> None:
        """Read all records from the store."""
        self.records = await self._store.load()
        await self.removals.load()
        await self.grants.load()
        await self.folders.load()
        self.records.granted = {name: grant.uid for name, grant in self.grants.rows.items()}
        await self.renames.load()
        await self.started.load()
        for key, row in self.started.rows.items():
            workload, _, unit = key.partition("/")
            self.records.started.setdefault(workload, {})[unit] = row

    async def made(self, paths: Iterable[str], uid: int, run: int) -> None:
        """Record the folders that eventd created for an account."""
        await write([(self.folders, path, FolderRecord(uid, run)) for path in paths])

    async def unmade(self, paths: Iterable[str]) -> None:
        """Forget folders that no longer exist."""
        await write([(self.folders, path, None) for path in paths if path in self.folders])

    @wholly
    async def grant(self, name: str, grant: Grant | None) -> None:
        """Record that an account may be adopted; None: it has been adopted, or the grant was withdrawn."""
        await self.grants.put(name, grant)
        if grant is None:
            self.records.granted.pop(name, None)
        else:
            self.records.granted[name] = grant.uid

    @wholly
    async def adopted(self, name: str, uid: int, run: int) -> None:
        """Record that the account was adopted."""
        await self.workload(WorkloadRecord(name, uid, Ownership.ADOPTED, run))
        await self.grant(name, None)

    def workload_of(self, uid: int) -> str | None:
        """Return the workload whose account has `uid`."""
        return next((r.name for r in self.records.workloads.values() if r.uid == uid), None)

    async def created(self, name: str, uid: int, run: int) -> None:
        """Record that eventd created the account."""
        await self.workload(WorkloadRecord(name, uid, Ownership.CREATED, run))

    @wholly
    async def workload(self, record: WorkloadRecord) -> None:
        """Write one workload's record."""
        if self.records.workloads.get(record.name) != record:
            await self._store.put_workload(record)
            self.records.workloads[record.name] = record

    @wholly
    async def forget(self, name: str) -> None:
        """Delete the records of a workload, its units and its files."""
        record = self.records.workloads.get(name)
        kept = {other.uid for other in self.records.workloads.values() if other.name != name}
        if record is not None and record.uid not in kept:  # after a rename, another record has this account
            await self.unmade([path for path, row in self.folders.rows.items() if row.uid == record.uid])
        for unit in tuple(self.records.started.get(name, ())):
            await self.started_with(name, unit, None)
        await self._store.forget_workload(name)
        self.records.workloads.pop(name, None)
        self.records.units.pop(name, None)
        self.records.files.pop(name, None)

    async def change(self, name: str, **fields: object) -> None:
        """Replace fields of an existing workload record."""
        await self.workload(replace(self.records.workloads[name], **fields))  # type: ignore[arg-type]

    @wholly
    async def unit(self, workload: str, unit: str, record: UnitRecord | None) -> None:
        """Write or delete a unit's record."""
        if self.records.unit(workload, unit) == record:
            return
        if record is None:
            await self.started_with(workload, unit, None)
        await self._store.put_unit(workload, unit, record)
        _set(self.records.units, workload, unit, record)

    @wholly
    async def started_with(self, workload: str, unit: str, row: StartedWith | None) -> None:
        """Write or delete the record of the files that a unit was started with."""
        await self.started.put(f"{workload}/{unit}", row)
        _set(self.records.started, workload, unit, row)

    @wholly
    async def file(self, workload: str, path: str, record: FileRecord | None) -> None:
        """Write or delete a file's record."""
        if self.records.file(workload, path) == record:
            return
        await self._store.put_file(workload, path, record)
        _set(self.records.files, workload, path, record)

    def rewritten(self, workload: str) -> None:
        """Note that a file of the workload has changed: until its manager reloads, it may use the old one.

        In memory only. After a restart, the order of the journal's steps shows the same.
        """
        self.records.unloaded.add(workload)

    def reloaded(self, workload: str) -> None:
        """Note that the manager has reloaded its files, or that no manager is running."""
        self.records.unloaded.discard(workload)


def _set(table: dict[str, dict[str, R]], workload: str, key: str, record: R | None) -> None:
    rows = table.setdefault(workload, {})
    if record is None:
        rows.pop(key, None)
    else:
        rows[key] = record
    if not rows:
        del table[workload]
