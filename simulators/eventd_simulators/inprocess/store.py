"""The ports `Store` and `HostLock` in memory. The store is the disk: it outlives the daemon."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from eventd.kernel.model.errors import DeadlineError
from eventd.kernel.model.journal import OpenStep
from eventd.kernel.ports import LockHolder
from eventd.workloads.model_records import FileRecord, Records, UnitRecord, WorkloadRecord
from eventd.workloads.model_recovery import reloads, writes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventd.kernel.model.report import RunReport
    from eventd_simulators.inprocess.life import Life

R = TypeVar("R")


@dataclass(slots=True)
class Disk:
    """What a database would hold."""

    records: Records = field(default_factory=Records)
    markers: dict[str, WorkloadRecord] = field(default_factory=dict)
    """Copies of the workloads' records, beside the database."""
    documents: dict[tuple[str, str], str] = field(default_factory=dict)
    """(kind, key) -> text."""
    runs: list[int] = field(default_factory=list)
    open_runs: list[int] = field(default_factory=list)
    most_open: int = 0
    """The most runs that were ever open at a time."""
    steps: dict[int, OpenStep] = field(default_factory=dict)
    """The open ones."""
    journal: dict[int, tuple[OpenStep, str]] = field(default_factory=dict)
    """All of them, with their results; empty: open."""
    settled: list[tuple[OpenStep, str, str]] = field(default_factory=list)
    """What was found open, how it ended, and the note."""
    reports: list[RunReport] = field(default_factory=list)
    last_step: int = 0
    holder: Life | None = None
    """Who has the file lock; the kernel releases it when that process dies."""


class SimStore:
    """`ports.Store`. Every write is a step boundary: the daemon may die before or after it."""

    def __init__(self, life: Life, disk: Disk) -> None:
        self._life = life
        self._disk = disk

    async def load(self) -> Records:
        """See the port."""

        def read() -> Records:
            records = copy.deepcopy(self._disk.records)
            records.unloaded = set()
            for step, result in self._disk.journal.values():
                if writes(step.verb):
                    records.unloaded.add(step.workload)
                elif result == "done" and reloads(step.verb, step.known()):
                    records.unloaded.discard(step.workload)
            return records

        return await self._life.read(read)

    async def markers(self) -> Mapping[str, WorkloadRecord]:
        """See the port."""
        return await self._life.read(lambda: dict(self._disk.markers))

    async def put_workload(self, record: WorkloadRecord) -> None:
        """See the port."""
        await self._write(lambda: self._disk.markers.__setitem__(record.name, record))
        await self._write(lambda: self._disk.records.workloads.__setitem__(record.name, record))

    async def forget_workload(self, name: str) -> None:
        """See the port."""

        def forget() -> None:
            records = self._disk.records
            for rows in (records.workloads, records.units, records.files):
                rows.pop(name, None)

        await self._write(lambda: self._disk.markers.pop(name, None))
        await self._write(forget)

    async def put_unit(self, workload: str, unit: str, record: UnitRecord | None) -> None:
        """See the port."""
        await self._write(lambda: _set(self._disk.records.units, workload, unit, record))

    async def put_file(self, workload: str, path: str, record: FileRecord | None) -> None:
        """See the port."""
        await self._write(lambda: _set(self._disk.records.files, workload, path, record))

    async def documents(self, kind: str) -> Mapping[str, str]:
        """See the port."""
        return await self._life.read(
            lambda: {key: text for (of, key), text in sorted(self._disk.documents.items()) if of == kind}
        )

    async def put_documents(self, rows: Sequence[tuple[str, str, str | None]]) -> None:
        """See the port."""

        def put() -> None:
            for kind, key, text in rows:
                if text is None:
                    self._disk.documents.pop((kind, key), None)
                else:
                    self._disk.documents[kind, key] = text

        await self._write(put)

    async def begin_run(self, started: float, commit: str, triggers: str) -> int:
        """See the port."""
        del started, commit, triggers

        def begin() -> int:
            self._disk.runs.append(len(self._disk.runs) + 1)
            self._disk.open_runs.append(self._disk.runs[-1])
            self._disk.most_open = max(self._disk.most_open, len(self._disk.open_runs))
            return self._disk.runs[-1]

        return await self._life.change("store", begin, failure=0)

    async def begin_step(self, run: int, workload: str, verb: str, target: str, detail: str = "") -> int:
        """See the port."""

        def begin() -> int:
            self._disk.last_step += 1
            step = OpenStep(run, workload, verb, target, self._disk.last_step, detail)
            self._disk.steps[step.id], self._disk.journal[step.id] = step, (step, "")
            return step.id

        return await self._life.change("store", begin, failure=0)

    async def end_step(self, step: int, result: str, note: str = "") -> None:
        """See the port."""

        def end() -> None:
            found = self._disk.steps.pop(step, None)
            if found is None:
                return  # it was written, although the answer was an error
            self._disk.journal[step] = (found, result)
            if note:
                self._disk.settled.append((found, result, note))

        await self._write(end)

    async def end_run(self, report: RunReport) -> None:
        """See the port."""

        def end() -> None:
            if report.id in self._disk.open_runs:  # else it was written, although the answer was an error
                self._disk.reports.insert(0, report)
                self._disk.open_runs.remove(report.id)

        await self._write(end)

    async def open_steps(self) -> Sequence[OpenStep]:
        """See the port."""
        return await self._life.read(lambda: list(self._disk.steps.values()))

    async def close_runs(self) -> Sequence[int]:
        """See the port."""

        def close() -> list[int]:
            closed = list(self._disk.open_runs)
            self._disk.open_runs.clear()
            return closed

        return await self._life.change("store", close, failure=0)

    async def runs(self, limit: int) -> Sequence[str]:
        """See the port; the texts here are `repr`s, since only the real store has a format."""
        return await self._life.read(lambda: [repr(report) for report in self._disk.reports[:limit]])

    async def _write(self, effect: Callable[[], object]) -> None:
        await self._life.change("store", effect, failure=self._life.faults.store_failures)


class SimLock:
    """`ports.HostLock`."""

    def __init__(self, life: Life, disk: Disk) -> None:
        self._life = life
        self._disk = disk
        self._contended = 0

    @property
    def contended(self) -> int:
        """See the port."""
        return self._contended

    async def acquire(
        self, *, timeout: float, waiting: Callable[[LockHolder | None], None] | None = None
    ) -> None:
        """See the port."""
        await self._life.read(lambda: None)
        deadline = self._life.clock.time() + timeout
        if self._is_held():
            self._contended += 1
            if waiting is not None:
                waiting(LockHolder(4242, "other"))
        while self._is_held():
            if self._life.clock.time() >= deadline:
                raise DeadlineError(f"another eventd has had the lock for {timeout:g} s")
            await asyncio.sleep(0.05)
        self._disk.holder = self._life

    def release(self) -> None:
        """See the port."""
        if self._disk.holder is self._life:
            self._disk.holder = None

    def _is_held(self) -> bool:
        holder = self._disk.holder
        return holder is not None and holder is not self._life and not holder.dead


def _set(rows: dict[str, dict[str, R]], workload: str, key: str, record: R | None) -> None:
    mine = rows.setdefault(workload, {})
    if record is None:
        mine.pop(key, None)
    else:
        mine[key] = record
    if not mine:
        del rows[workload]
