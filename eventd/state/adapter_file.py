"""Open the state file, or set a damaged one aside and begin another: nothing is thrown away, and nothing is silent.

Owns the names beside `state.db`: what is set aside is kept as `state.db.damaged-TIME` (with its `-wal` and `-shm`),
and `state.db.condemned` says that this is going on, so that a crash in between is picked up. That it happened is a
`StateLoss` in the new file, which status shows until an operator acknowledges it. What is known of the host all the
same, the runtime finds out (`eventd.state.controller_rebuild`). A full or read-only disk, or the file of a newer
version, is no damage: those are raised.
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
from eventd.platform.file_state import translate
from eventd.state.adapter import StateStore
from eventd.state.adapter_database import Database
from eventd.state.adapter_markers import OwnershipMarkers
from eventd.workloads.model_records import LOSSES, StateLoss

NUMBERS = 100_000
"""After a loss, runs are counted from the next multiple of this above the last one that is known of."""
_PARTS = ("-wal", "-shm", "")
"""The database last: a log that is left beside a new database would be replayed into it."""


def open_store(
    path: str, *, wall: Callable[[], float] = time.time, damaged: Callable[[str], None] = lambda _why: None
) -> StateStore:
    """Open the state file at `path`, with the marks beside it.

    `damaged` is called (in any thread) when damage shows later. The caller holds the lock of the instance.
    Raises what `Database` raises, `state-damaged` excepted.
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
            loss = StateLoss(at=wall(), why=f"{path} was empty or gone", kept="")
        if loss is not None:
            body = json.dumps(asdict(loss))
            # No number of a run is used twice: a record says which run made the account, and approvals rest on it.
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
        raise translate(error, "open", path) from error
    return StateStore(database, markers=markers, damaged=damaged)


def condemn(path: str, why: str, *, wall: Callable[[], float] = time.time) -> None:
    """Write down that the file is damaged: the next to open it sets it aside. Raises OSError."""
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
        # Not even the note can be read: what it condemned is named by it alone, so another name has to do.
        note.unlink()
        condemn(path, "it was condemned, and the note about it is damaged")
        loss = _noted(note)
        assert loss is not None
    if not os.path.lexists(loss.kept):  # else all of it was moved before a crash, and what is here is new
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
