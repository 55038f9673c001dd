"""The state file itself: sqlite in WAL mode with `synchronous=FULL`, so that a commit survives a power cut.

Owns the schema, its upgrades, and the meaning of sqlite's errors. Synchronous and single-threaded; `StateStore` makes
it available to the event loop.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from typing import Any

from eventd.kernel.model.errors import EventdError, PermanentError, TemporaryError
from eventd.kernel.model.journal import known
from eventd.workloads.model_records import FileRecord, Ownership, Records, UnitRecord, WorkloadRecord
from eventd.workloads.model_recovery import reloads, writes

VERSION = 2
DAMAGED = "state-damaged"

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
"""Version -> the script that upgrades it to the next."""


class Database:
    """The synchronous half of the store."""

    def __init__(self, path: str) -> None:
        """Open or create.

        Raises PermanentError(reason="state-damaged" | "state-too-new" | "state-unusable"), TemporaryError
        (reason="disk-full" | "state-error"). Only `state-damaged` is about the content.
        """
        self.path = path
        self.created = False
        """The file was missing or empty."""
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
        """Run statements in one transaction."""
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
        """Read all records."""
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
            elif result == "done" and reloads(verb, known(detail)):
                records.unloaded.discard(workload)
        return records


def _damaged(path: str, why: str) -> PermanentError:
    return PermanentError(f"{path} is damaged: {why}", reason=DAMAGED)


def _too_new(path: str, version: int) -> PermanentError:
    return PermanentError(
        f"{path} was written by a newer eventd (its schema is {version}, the newest known is {VERSION})",
        reason="state-too-new",
        hint="install the newer version again",
    )


def _unusable(path: str, why: str) -> PermanentError:
    return PermanentError(
        f"cannot use {path}: {why}", reason="state-unusable", hint="make its folder writable for eventd"
    )


def _translate(path: str, error: sqlite3.DatabaseError, what: str) -> EventdError:
    """Distinguish a damaged file from one that cannot be read now: a full disk is no reason to set records aside."""
    # The low byte of an extended error code is the primary one (sqlite3_errcode(3)).
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return _damaged(path, str(error))
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return _unusable(path, str(error))
        case sqlite3.SQLITE_FULL:
            return TemporaryError(f"cannot {what} {path}: {error}", reason="disk-full")
        case _:
            return TemporaryError(f"cannot {what} {path}: {error}", reason="state-error")
