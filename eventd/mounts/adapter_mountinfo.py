"""The kernel's mount table: reads it, parses it, and signals when it changes.

Owns `/proc/PID/mountinfo` (proc_pid_mountinfo(5)): its escapes, which mounts hide others, and its unusual change
signal. Emits nothing; `eventd.mounts.source` turns it into facts.

Facts of the kernel behind the design:
- A change makes poll(2) return POLLPRI|POLLERR once; an asyncio selector supports neither. So the file is in an epoll
  set of its own, and the *set* becomes readable.
- Polling consumes the signal, even when the selector polls the set, and even when the set is added to the selector. So
  the result of the set is ignored: the reader subscribes, then reads, and reads again whenever it is called.
- Several read(2) calls are not a snapshot: the table is read again if it changed meanwhile.
- A hidden mount (another one covers it, or a folder above it) is still in the table, but cannot be reached.
"""

from __future__ import annotations

import os
import re
import select
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.mounts.model_facts import MountState

TABLES = ("/proc/1/mountinfo", "/proc/self/mountinfo")
"""The host's table; if it cannot be read (hidepid=), our own, which includes the sandbox's mounts."""
_AGAIN = 8
"""How often the table is read in a row while it keeps changing; the next signal triggers another read anyway."""
_CHUNK = 1 << 18
_ESCAPE = re.compile(rb"\\([0-7]{3})")
AUTOFS = "autofs"


@dataclass(frozen=True, slots=True)
class Row:
    """One mount: its place in the tree of mounts, and its properties."""

    mount: int
    parent: int
    state: MountState


def parse_row(line: bytes) -> Row | None:
    """Return the mount of a line; None if it is not a line of mountinfo."""
    before, dash, after = line.partition(b" - ")
    fields, more = before.split(b" "), after.split(b" ")
    if not dash or len(fields) < 6 or len(more) < 2 or not (fields[0].isdigit() and fields[1].isdigit()):
        return None
    state = MountState(
        point=_text(fields[4]),
        source=_text(more[1]),
        fstype=_text(more[0]),
        options=_options(_text(fields[5]), _text(more[2]) if len(more) > 2 else ""),
        device=_text(fields[2]),
        root=_text(fields[3]),
    )
    return Row(int(fields[0]), int(fields[1]), state)


def _text(field: bytes) -> str:
    # Space, tab, newline, backslash and # are in octal. File names are bytes: invalid UTF-8 becomes surrogates, as
    # everywhere in Python's os.
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field))


def _options(mount: str, filesystem: str) -> str:
    """Join the options of the mount and of its file system, as findmnt(8) does: read-only if either is."""
    both = [option for option in (*mount.split(","), *filesystem.split(",")) if option]
    read_only = "ro" in both
    rest = (option for option in both if option not in ("ro", "rw"))
    return ",".join(dict.fromkeys(("ro" if read_only else "rw", *rest)))


def reachable(rows: Iterable[Row]) -> dict[str, MountState]:
    """Return the reachable mounts by mount point, without those that another mount hides.

    An automount point (autofs) does not count as a mount until something triggers it.
    """
    by_id = {row.mount: row for row in rows}
    children: dict[int, list[Row]] = {}
    for row in by_id.values():
        if row.parent in by_id and row.parent != row.mount:
            children.setdefault(row.parent, []).append(row)
    tops = [row for row in by_id.values() if row.parent not in by_id or row.parent == row.mount]
    found: dict[str, MountState] = {}
    # Walk down from the roots of the tree. Among the mounts on one parent, a mount at or above another's mount point
    # hides it.
    while tops:
        row = tops.pop()
        on_it = children.get(row.mount, [])
        points = {child.state.point for child in on_it}
        if row.state.point not in points and row.state.fstype != AUTOFS:
            found[row.state.point] = row.state
        tops += [child for child in on_it if not _is_below_one(child.state.point, points)]
    return found


def _is_below_one(path: str, points: set[str]) -> bool:
    parts = path.split("/")[1:]
    return any("/" + "/".join(parts[:depth]) in points for depth in range(1, len(parts)))


class MountTable:
    """The opened table. Raises PermanentError(reason="no-mount-table") if none can be read."""

    def __init__(self, tables: Iterable[str] = TABLES) -> None:
        self.path, self._file = _open(tables)
        self._set = select.epoll()
        self._set.register(self._file, select.EPOLLPRI | select.EPOLLERR)
        self._rows: dict[bytes, Row | None] = {}

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the table changes."""
        return self._set.fileno()

    def read(self) -> Mapping[str, MountState]:
        """Return the mounts. Blocks while the kernel changes the table, so call it in a thread.

        Raises TemporaryError(reason="mount-table").
        """
        try:
            content = self._content()
        except OSError as error:
            raise TemporaryError(
                f"cannot read {self.path}: {error.strerror}", reason="mount-table"
            ) from error
        # A container host has thousands of mounts, and usually one changes at a time.
        self._rows = {line: self._rows.get(line) or parse_row(line) for line in content.split(b"\n")}
        return reachable(row for row in self._rows.values() if row is not None)

    def close(self) -> None:
        """Close the descriptors. Must not be called during a read."""
        self._set.close()
        os.close(self._file)

    def _content(self) -> bytes:
        content = b""
        for _ in range(_AGAIN):
            os.lseek(self._file, 0, os.SEEK_SET)
            content = b"".join(iter(_reader(self._file), b""))
            if not self._set.poll(0):
                break
        return content


def _reader(file: int) -> Callable[[], bytes]:
    return lambda: os.read(file, _CHUNK)


def _open(tables: Iterable[str]) -> tuple[str, int]:
    failed = ""
    for path in tables:
        try:
            return path, os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            failed = f"cannot read {path}: {error.strerror}"
    raise PermanentError(failed or "there is no mount table", reason="no-mount-table")
