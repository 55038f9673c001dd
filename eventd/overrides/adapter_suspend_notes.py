"""Suspensions that root records while the daemon is down, one root-owned file each; the next start reads them.

So a daemon that starts, by itself or at boot, does not touch a workload that is being repaired by hand. The files are
below the state folder, which only root can access.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from eventd.kernel.model.errors import PermanentError

log = logging.getLogger(__name__)
FOLDER = "suspend"
"""Below the state folder."""
_HOST = "@host"
"""Name of the file that suspends the whole host; no workload can have this name."""


@dataclass(frozen=True, slots=True)
class Note:
    """`workload` empty: the whole host."""

    workload: str
    by: str
    why: str


def write(state: str, note: Note) -> str:
    """Write a note durably (fsync); return its path. Raises PermanentError."""
    folder = Path(state) / FOLDER
    path = folder / f"{note.workload or _HOST}.json"
    temporary = folder / f".{os.getpid()}"
    try:
        Path(state).mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        with temporary.open("x", encoding="utf-8") as file:
            json.dump(asdict(note), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise PermanentError(f"cannot write {path}: {error.strerror}", reason="not-written") from error
    return str(path)


def read(state: str) -> Iterator[tuple[Path, Note]]:
    """Yield each note and its file, which the caller removes once it is stored; a damaged one suspends all."""
    for path in sorted((Path(state) / FOLDER).glob("*.json")):
        try:
            row = json.loads(path.read_bytes())
            note = Note(str(row["workload"]), str(row["by"]), str(row["why"]))
        except (OSError, ValueError, LookupError, TypeError):
            log.warning("%s is damaged: suspending the whole host to be safe", path)
            note = Note("", "eventd", f"{path} is damaged")
        yield path, note
