"""The state file, as the runtime sees it. Every method returns when its change is on the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from eventd.kernel.model.journal import OpenStep
from eventd.kernel.model.report import RunReport
from eventd.kernel.ports import DocumentStore
from eventd.workloads.model_records import FileRecord, Records, UnitRecord, WorkloadRecord


class Journal(Protocol):
    """The record of runs and of their steps. Every method returns when its change is on the disk."""

    async def begin_run(self, started: float, commit: str, triggers: str) -> int:
        """Open a run and return its number, which no other run of this host has."""
        ...

    async def begin_step(self, run: int, workload: str, verb: str, target: str, detail: str = "") -> int:
        """Write the intent of a step, with what settling it would need (JSON); return its number."""
        ...

    async def end_step(self, step: int, result: str, note: str = "") -> None:
        """Write the result of a step: `done`, the reason of its failure, or (with a note) how it was settled."""
        ...

    async def end_run(self, report: RunReport) -> None:
        """Close a run with its report."""
        ...

    async def open_steps(self) -> Sequence[OpenStep]:
        """Return the steps that a crash left open, oldest first."""
        ...

    async def close_runs(self) -> Sequence[int]:
        """Mark open runs as interrupted; return their numbers."""
        ...

    async def runs(self, limit: int) -> Sequence[str]:
        """Return the last reports as JSON texts, newest first."""
        ...


class Store(Journal, DocumentStore, Protocol):
    """The durable memory. Every method returns when its change is on the disk."""

    async def load(self) -> Records:
        """Return all records."""
        ...

    async def markers(self) -> Mapping[str, WorkloadRecord]:
        """Return the copies of workloads' records kept outside the database. They are never older than its rows."""
        ...

    async def put_workload(self, record: WorkloadRecord) -> None:
        """Insert or replace."""
        ...

    async def forget_workload(self, name: str) -> None:
        """Delete the record of a workload, and those of its units and files, in one transaction."""
        ...

    async def put_unit(self, workload: str, unit: str, record: UnitRecord | None) -> None:
        """Insert or replace; None deletes."""
        ...

    async def put_file(self, workload: str, path: str, record: FileRecord | None) -> None:
        """Insert or replace; None deletes."""
        ...
