"""The state file: sqlite in WAL mode with `synchronous=FULL`, so that what a method returned from survives a power cut.

Owns the schema and nothing else. `Database` is synchronous and single-threaded; `StateStore` gives it to the loop
through one writer thread (0.2 ms a commit), or inline for the simulator, which has no threads.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from eventd.adapters.marks import Marks
from eventd.core.errors import EventdError, PermanentError, TemporaryError
from eventd.core.events import Event
from eventd.core.journal import OpenStep, known, loads, writes
from eventd.core.records import FileRecord, Ownership, Records, UnitRecord, WorkloadRecord
from eventd.core.report import RunReport, WorkloadReport

T = TypeVar("T")
VERSION = 2
DAMAGED = "state-damaged"
RUNS_KEPT = 500

SCHEMA = """
CREATE TABLE workloads (
  name TEXT PRIMARY KEY, uid INTEGER NOT NULL, ownership TEXT NOT NULL, run INTEGER NOT NULL,
  retained INTEGER NOT NULL, verified_digest TEXT NOT NULL, verified_commit TEXT NOT NULL,
  verified_at REAL NOT NULL, lingering INTEGER NOT NULL) STRICT;
CREATE TABLE units (
  workload TEXT NOT NULL, unit TEXT NOT NULL, digest TEXT NOT NULL, run INTEGER NOT NULL,
  PRIMARY KEY (workload, unit)) STRICT;
CREATE TABLE files (
  workload TEXT NOT NULL, path TEXT NOT NULL, digest TEXT NOT NULL, run INTEGER NOT NULL,
  PRIMARY KEY (workload, path)) STRICT;
CREATE TABLE runs (
  id INTEGER PRIMARY KEY AUTOINCREMENT, started REAL NOT NULL, commit_id TEXT NOT NULL, triggers TEXT NOT NULL,
  ended REAL, result TEXT NOT NULL DEFAULT 'running', report TEXT) STRICT;
CREATE TABLE steps (
  id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL REFERENCES runs(id), workload TEXT NOT NULL,
  verb TEXT NOT NULL, target TEXT NOT NULL, began REAL NOT NULL, ended REAL, result TEXT,
  detail TEXT NOT NULL DEFAULT '', note TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE documents (
  kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)) STRICT;
CREATE INDEX steps_open ON steps (run) WHERE result IS NULL;
"""
UPGRADES = {
    1: """
ALTER TABLE steps ADD COLUMN detail TEXT NOT NULL DEFAULT '';
ALTER TABLE steps ADD COLUMN note TEXT NOT NULL DEFAULT '';
""",
}
"""Version -> what makes it the next one."""


class Database:
    """The synchronous half."""

    def __init__(self, path: str) -> None:
        """Open or create.

        Raises PermanentError(reason="state-damaged" | "state-too-new" | "state-unusable"), TemporaryError
        (reason="disk-full" | "state-error"). Only `state-damaged` is about the content.
        """
        self.path = path
        self.created = False
        """There was no file, or an empty one."""
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise _too_new(path, version)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA foreign_keys=ON")
            if path != ":memory:":
                os.chmod(path, 0o600)  # noqa: PTH101
            (check,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            raise _translate(path, error, "open") from error
        except OSError as error:
            raise _unusable(path, error.strerror or str(error)) from error
        if check != "ok":
            raise _damaged(path, check)
        script = SCHEMA if version == 0 else "".join(UPGRADES[each] for each in range(version, VERSION))
        self.created = version == 0
        if script:
            try:
                self._db.executescript(f"BEGIN; {script} PRAGMA user_version={VERSION}; COMMIT;")
            except sqlite3.DatabaseError as error:
                raise _translate(path, error, "write") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def execute(self, sql: str, *values: object) -> int:
        """Run one statement in a transaction of its own; return the id of an inserted row."""
        try:
            return self._db.execute(sql, values).lastrowid or 0
        except sqlite3.DatabaseError as error:
            raise _translate(self.path, error, "write") from error

    def write_all(self, statements: Sequence[tuple[str, tuple[object, ...]]]) -> None:
        """Run statements in one transaction: all or none."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for sql, values in statements:
                    self._db.execute(sql, values)
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
        except sqlite3.DatabaseError as error:
            raise _translate(self.path, error, "write") from error

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise _translate(self.path, error, "read") from error

    def records(self) -> Records:
        """Read the whole memory."""
        try:
            return self._records()
        except ValueError as error:
            raise _damaged(self.path, str(error)) from error

    def _records(self) -> Records:
        records = Records()
        for row in self.rows(
            "SELECT name, uid, ownership, run, retained, verified_digest, verified_commit, verified_at, lingering"
            " FROM workloads"
        ):
            name, uid, ownership, run, retained, digest, commit, at, lingering = row
            records.workloads[name] = WorkloadRecord(
                name, uid, Ownership(ownership), run, bool(retained), digest, commit, at, bool(lingering)
            )
        for workload, unit, digest, run in self.rows("SELECT workload, unit, digest, run FROM units"):
            records.units.setdefault(workload, {})[unit] = UnitRecord(digest, run)
        for workload, path, digest, run in self.rows("SELECT workload, path, digest, run FROM files"):
            records.files.setdefault(workload, {})[path] = FileRecord(digest, run)
        for workload, verb, result, detail in self.rows(
            "SELECT workload, verb, result, detail FROM steps ORDER BY id"
        ):
            if writes(verb):
                records.unloaded.add(workload)
            elif result == "done" and loads(verb, known(detail)):
                records.unloaded.discard(workload)
        return records


class StateStore:
    """The `Store` port."""

    def __init__(
        self,
        database: Database,
        *,
        marks: Marks | None = None,
        damaged: Callable[[str], None] = lambda _why: None,
        inline: bool = False,
    ) -> None:
        """Wrap an open database.

        `marks`: where copies of the workloads' records are kept. `damaged` is called when the database turns out to
        be damaged while it is used. `inline` runs statements in the caller's thread.
        """
        self._db = database
        self._marks = marks
        self.damaged = damaged
        self._inline = inline
        self._thread = None if inline else ThreadPoolExecutor(1, thread_name_prefix="eventd-state")

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            if self._thread is None:
                return work()

            # Shielded: a cancelled run must not leave a statement running behind the next one's back.
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))
        except PermanentError as error:
            if error.reason == DAMAGED:
                self.damaged(error.message)
            raise

    async def _execute(self, sql: str, *values: object) -> int:
        return await self._do(partial(self._db.execute, sql, *values))

    async def load(self) -> Records:
        """Return everything that is remembered."""
        return await self._do(self._db.records)

    async def marks(self) -> Mapping[str, WorkloadRecord]:
        """Return the copies of the workloads' records that are kept outside of the database."""
        return {} if self._marks is None else await self._do(self._marks.read)

    async def put_workload(self, record: WorkloadRecord) -> None:
        """Insert or replace, after its mark."""
        if self._marks is not None:
            await self._do(partial(self._marks.put, record))
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
        """Delete the records of a workload, its units and its files, after its mark."""
        if self._marks is not None:
            await self._do(partial(self._marks.drop, name))
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
        """Open a run; old ones beyond the last 500 go."""
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
        """Return what a crash left open."""
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
    del row["wakes_on"]  # for this life's index only
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
    """Describe a run that a crash cut off before its report."""
    # A subject with a space in it (a path) is cut there: this is for people, and only after a crash.
    parts = [t.split(":", 2) for t in triggers.split() if t.count(":") >= 2]
    names = [{"origin": p[0], "kind": p[1], "subject": p[2], "sequence": 0} for p in parts]
    row = {"id": number, "started": started, "ended": ended, "commit": commit, "triggers": names}
    return json.dumps({**row, "result": result, "workloads": [], "error": "", "joined": 0})


def _with(text: str, settled: list[tuple[Any, ...]]) -> str:
    """Add how the steps that a crash had left open in a run were settled."""
    if not settled:
        return text
    names = ("workload", "verb", "target", "ended", "note")
    return json.dumps(
        {**json.loads(text), "recovered": [dict(zip(names, row, strict=True)) for row in settled]}
    )


def _damaged(path: str, why: str) -> PermanentError:
    return PermanentError(f"{path} is damaged: {why}", reason=DAMAGED)


def _too_new(path: str, version: int) -> PermanentError:
    return PermanentError(
        f"{path} was written by a newer eventd (schema {version}, this one knows {VERSION})",
        reason="state-too-new",
        hint="install the newer version again",
    )


def _unusable(path: str, why: str) -> PermanentError:
    return PermanentError(
        f"cannot use {path}: {why}", reason="state-unusable", hint="its folder has to be writable for eventd"
    )


def _translate(path: str, error: sqlite3.DatabaseError, what: str) -> EventdError:
    """Tell a damaged file from one that cannot be reached: records must not be set aside for a full disk."""
    # The extended code has the primary one in its low byte (sqlite3_errcode(3)).
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return _damaged(path, str(error))
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return _unusable(path, str(error))
        case sqlite3.SQLITE_FULL:
            return TemporaryError(f"cannot {what} {path}: {error}", reason="disk-full")
        case _:
            return TemporaryError(f"cannot {what} {path}: {error}", reason="state-error")
