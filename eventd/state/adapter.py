"""The daemon's memory and journal, in the state file. Once a method has returned, its change survives a power cut.

`StateStore` runs the statements of `Database` in one writer thread (0.2 ms a commit), or inline for the simulator,
which has no threads.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.events import Event
from eventd.kernel.model.journal import OpenStep
from eventd.kernel.model.report import RunReport, WorkloadReport
from eventd.state.adapter_database import DAMAGED, Database
from eventd.state.adapter_markers import OwnershipMarkers
from eventd.workloads.model_records import FileRecord, Records, UnitRecord, WorkloadRecord

T = TypeVar("T")
RUNS_KEPT = 500


class StateStore:
    """The `Store` port."""

    def __init__(
        self,
        database: Database,
        *,
        markers: OwnershipMarkers | None = None,
        inline: bool = False,
    ) -> None:
        """Wrap an open database.

        `markers`: the copies of the workloads' records. `inline` runs statements in the caller's thread.
        """
        self._db = database
        self._markers = markers
        self._on_damage: list[Callable[[str], None]] = []
        self._inline = inline
        self._thread = None if inline else ThreadPoolExecutor(1, thread_name_prefix="eventd-state")

    def on_damage(self, subscriber: Callable[[str], None]) -> None:
        """Call `subscriber` with what is wrong when the database turns out to be damaged while in use."""
        self._on_damage.append(subscriber)

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            if self._thread is None:
                return work()

            # Shielded: after a cancelled run, its statement must not still be running during the next one's.
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))
        except PermanentError as error:
            if error.reason == DAMAGED:
                for subscriber in self._on_damage:
                    subscriber(error.message)
            raise

    async def _execute(self, sql: str, *values: object) -> int:
        return await self._do(partial(self._db.execute, sql, *values))

    async def load(self) -> Records:
        """Return all records."""
        return await self._do(self._db.records)

    async def markers(self) -> Mapping[str, WorkloadRecord]:
        """Return the copies of the workloads' records that are kept outside the database."""
        return {} if self._markers is None else await self._do(self._markers.read)

    async def put_workload(self, record: WorkloadRecord) -> None:
        """Insert or replace a record, after its marker."""
        if self._markers is not None:
            await self._do(partial(self._markers.put, record))
        await self._execute(
            "INSERT OR REPLACE INTO workloads VALUES (?,?,?,?,?,?,?,?,?)",
            record.name,
            record.uid,
            record.ownership.value,
            record.run,
            int(record.retained),
            record.verified_digest,
            record.verified_commit,
            record.verified_at,
            int(record.lingering),
        )

    async def forget_workload(self, name: str) -> None:
        """Delete the records of a workload, its units and its files, after its marker."""
        if self._markers is not None:
            await self._do(partial(self._markers.drop, name))
        tables = (("workloads", "name"), ("units", "workload"), ("files", "workload"))
        statements: list[tuple[str, tuple[object, ...]]] = [
            (f"DELETE FROM {table} WHERE {column}=?", (name,))  # noqa: S608
            for table, column in tables
        ]
        await self._do(partial(self._db.write_all, statements))

    async def put_unit(self, workload: str, unit: str, record: UnitRecord | None) -> None:
        """Insert, replace, or (None) delete."""
        await self._put("units", "unit", workload, unit, record)

    async def put_file(self, workload: str, path: str, record: FileRecord | None) -> None:
        """Insert, replace, or (None) delete."""
        await self._put("files", "path", workload, path, record)

    async def _put(
        self, table: str, column: str, workload: str, key: str, record: UnitRecord | FileRecord | None
    ) -> None:
        if record is None:
            await self._execute(f"DELETE FROM {table} WHERE workload=? AND {column}=?", workload, key)  # noqa: S608
        else:
            await self._execute(
                f"INSERT OR REPLACE INTO {table} VALUES (?,?,?,?)",  # noqa: S608
                workload,
                key,
                record.digest,
                record.run,
            )

    async def documents(self, kind: str) -> Mapping[str, str]:
        """Return every document of a kind."""
        query = "SELECT key, body FROM documents WHERE kind=? ORDER BY key"
        return dict(await self._do(partial(self._db.rows, query, kind)))

    async def put_documents(self, rows: Sequence[tuple[str, str, str | None]]) -> None:
        """Write documents, all or none."""
        put, drop = (
            "INSERT OR REPLACE INTO documents VALUES (?,?,?)",
            "DELETE FROM documents WHERE kind=? AND key=?",
        )
        statements: list[tuple[str, tuple[object, ...]]] = [
            (drop, (kind, key)) if body is None else (put, (kind, key, body)) for kind, key, body in rows
        ]
        await self._do(partial(self._db.write_all, statements))

    async def begin_run(self, started: float, commit: str, triggers: str) -> int:
        """Open a run, and delete all but the last 500."""
        run = await self._execute(
            "INSERT INTO runs (started, commit_id, triggers) VALUES (?,?,?)", started, commit, triggers
        )
        if run % 50 == 0:
            await self._execute("DELETE FROM steps WHERE run <= ? AND result IS NOT NULL", run - RUNS_KEPT)
            await self._execute(
                "DELETE FROM runs WHERE id <= ? AND NOT EXISTS (SELECT 1 FROM steps WHERE run = runs.id)",
                run - RUNS_KEPT,
            )
        return run

    async def begin_step(self, run: int, workload: str, verb: str, target: str, detail: str = "") -> int:
        """Write an intent."""
        return await self._execute(
            "INSERT INTO steps (run, workload, verb, target, began, detail) VALUES (?,?,?,?,?,?)",
            run,
            workload,
            verb,
            target,
            time.time(),
            detail,
        )

    async def end_step(self, step: int, result: str, note: str = "") -> None:
        """Write a result."""
        await self._execute(
            "UPDATE steps SET ended=?, result=?, note=? WHERE id=?", time.time(), result, note, step
        )

    async def end_run(self, report: RunReport) -> None:
        """Close a run."""
        await self._execute(
            "UPDATE runs SET ended=?, result=?, commit_id=?, report=? WHERE id=?",
            report.ended,
            report.result.value,
            report.commit,
            json.dumps(run_json(report)),
            report.id,
        )

    async def open_steps(self) -> Sequence[OpenStep]:
        """Return the steps that a crash left open."""
        rows = await self._do(
            partial(
                self._db.rows,
                "SELECT run, workload, verb, target, id, detail FROM steps WHERE result IS NULL ORDER BY id",
            )
        )
        return [OpenStep(*row) for row in rows]

    async def close_runs(self) -> Sequence[int]:
        """Mark the runs that a crash left open as interrupted."""
        rows = await self._do(
            partial(self._db.rows, "SELECT id FROM runs WHERE result='running' ORDER BY id")
        )
        if rows:
            await self._execute(
                "UPDATE runs SET ended=?, result='interrupted' WHERE result='running'", time.time()
            )
        return [row[0] for row in rows]

    async def runs(self, limit: int) -> Sequence[str]:
        """Return the last reports, newest first."""
        rows = await self._do(
            partial(
                self._db.rows,
                "SELECT id, started, ended, commit_id, triggers, result, report FROM runs ORDER BY id DESC LIMIT ?",
                limit,
            )
        )
        settled = await self._do(
            partial(
                self._db.rows,
                "SELECT run, workload, verb, target, result, note FROM steps WHERE note != '' AND run >= ? ORDER BY id",
                rows[-1][0] if rows else 0,
            )
        )
        return [_with(row[6] or _bare(*row[:6]), [s[1:] for s in settled if s[0] == row[0]]) for row in rows]

    def close(self) -> None:
        """Close the database and its thread."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
        self._db.close()


def run_json(report: RunReport) -> dict[str, Any]:
    """Return a report as the API shows it."""
    row = {f.name: getattr(report, f.name) for f in dataclasses.fields(report)}
    row["workloads"] = [_workload(each) for each in report.workloads]
    row["triggers"] = [_trigger(event) for event in report.triggers]
    return row


def _workload(report: WorkloadReport) -> dict[str, Any]:
    row = {**dataclasses.asdict(report), "result": report.outcome.value}
    del row["wakes_on"], row["judged"]  # only for this process
    return row


def _trigger(event: Event) -> dict[str, Any]:
    return {
        "origin": event.origin.value,
        "kind": event.kind.value,
        "subject": event.subject,
        "scope": event.scope,
        "sequence": event.sequence,
    }


def _bare(number: int, started: float, ended: float | None, commit: str, triggers: str, result: str) -> str:
    """Describe a run that a crash interrupted before its report."""
    # A subject that contains a space (a path) is split there. This is only read by people, after a crash.
    parts = [t.split(":", 2) for t in triggers.split() if t.count(":") >= 2]
    names = [{"origin": p[0], "kind": p[1], "subject": p[2], "sequence": 0} for p in parts]
    row = {"id": number, "started": started, "ended": ended, "commit": commit, "triggers": names}
    return json.dumps({**row, "result": result, "workloads": [], "error": "", "joined": 0})


def _with(text: str, settled: list[tuple[Any, ...]]) -> str:
    """Add how recovery settled the run's open steps."""
    if not settled:
        return text
    names = ("workload", "verb", "target", "ended", "note")
    return json.dumps(
        {**json.loads(text), "recovered": [dict(zip(names, row, strict=True)) for row in settled]}
    )
