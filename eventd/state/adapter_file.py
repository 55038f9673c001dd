"""Opens the state file. A damaged one is set aside and replaced: nothing is deleted, and the loss is reported.

Owns the file names beside `state.db`. A damaged file is kept as `state.db.damaged-TIME` (with its `-wal` and `-shm`).
While it is being moved, `state.db.condemned` exists, so that the move is finished after a crash. The new file gets a
`StateLoss`, which the status shows until an operator acknowledges it. `eventd.state.controller_rebuild` then rebuilds
the records from the host. A full or read-only disk, or a file from a newer version, is not damage: those errors are
raised.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from eventd.kernel.model.errors import PermanentError
from eventd.platform.file_state import file_error
from eventd.state.adapter import StateStore
from eventd.state.adapter_database import Database
from eventd.state.adapter_markers import OwnershipMarkers
from eventd.workloads.model_records import LOSSES, StateLoss

NUMBERS = 100_000
"""After a loss, run numbers continue at the next multiple of this above the last known run."""
_PARTS = ("-wal", "-shm", "")
"""The database comes last: a log left beside a new database would be replayed into it."""


def open_store(path: str, *, wall: Callable[[], float] = time.time) -> StateStore:
    """Open the state file at `path`, and the ownership markers beside it.

    The caller holds the instance lock.
    Raises what `Database` raises, except `state-damaged`.
    """
    markers = OwnershipMarkers(str(Path(path).parent / "accounts"))
    note = Path(f"{path}.condemned")
    try:
        if note.exists():
            _set_aside(path, note)
        try:
            database = Database(path)
        except PermanentError as error:
            if error.reason != "state-damaged":
                raise
            condemn(path, error.message, wall=wall)
            _set_aside(path, note)
            database = Database(path)
        loss = _noted(note)
        if loss is None and database.created and markers.read():
            loss = StateLoss(at=wall(), why=f"{path} was empty or missing", kept="")
        if loss is not None:
            body = json.dumps(asdict(loss))
            # Run numbers are never reused: a record names the run that created the account, and approvals rely on it.
            last = max((mark.run for mark in markers.read().values()), default=0)
            database.write_all(
                [
                    ("INSERT OR REPLACE INTO documents VALUES (?,?,?)", (LOSSES, f"{loss.at:017.6f}", body)),
                    ("DELETE FROM sqlite_sequence WHERE name='runs'", ()),
                    ("INSERT INTO sqlite_sequence VALUES ('runs', ?)", ((last // NUMBERS + 1) * NUMBERS,)),
                ]
            )
            note.unlink(missing_ok=True)
    except OSError as error:
        raise file_error(error, "open", path) from error
    return StateStore(database, markers=markers)


def condemn(path: str, why: str, *, wall: Callable[[], float] = time.time) -> None:
    """Record that the file is damaged. The next `open_store` sets it aside. Raises OSError."""
    note, now = Path(f"{path}.condemned"), wall()
    if note.exists():
        return
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    kept = next(
        name
        for name in (f"{path}.damaged-{stamp}{more}" for more in ("", *(f".{n}" for n in range(1, 10_000))))
        if not os.path.lexists(name)
    )
    temporary = Path(f"{note}.new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"at": now, "why": why, "kept": kept}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(note)
    _sync(note.parent)


def _set_aside(path: str, note: Path) -> None:
    loss = _noted(note)
    if loss is None:
        # The note itself is damaged, and only it had the name of the file set aside: write a new note.
        note.unlink()
        condemn(path, "the file was damaged, and so was the note about it")
        loss = _noted(note)
        assert loss is not None
    if not os.path.lexists(
        loss.kept
    ):  # else everything was moved before a crash, and the present file is the new one
        for part in _PARTS:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{path}{part}").rename(f"{loss.kept}{part}")
    _sync(note.parent)


def _noted(note: Path) -> StateLoss | None:
    try:
        found = json.loads(note.read_bytes())
        return StateLoss(at=float(found["at"]), why=str(found["why"]), kept=str(found["kept"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
