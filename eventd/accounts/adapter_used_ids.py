"""Ids that accounts of eventd have had. A uid, gid or subordinate range is handed out once and never reused.

A file that a deleted account left behind (a set-uid file in /var/tmp, a file on a disk that was detached) would belong
to the next account with the same number. useradd(8) does reuse numbers: the highest one as soon as it is free, and the
lowest gap of subuid(5). So every number is recorded here before useradd is called. The file is JSON, one line per
account, append-only; it lies beside the ownership markers and outlives the state file. If the file itself is lost, the
host gives a lower bound: the rows of the databases and their backups, and the owners of files in homes and temporary
folders.
"""

# ruff: noqa: PTH118, PTH208  plain os, in worker threads

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from eventd.kernel.model.errors import PermanentError

SUBORDINATE_IDS: Final = 65536
"""A container image may use any 16-bit id (podman's rootless tutorial)."""
PLACES = ("/home", "/tmp", "/var/tmp", "/dev/shm", "/var/mail", "/var/spool/cron/crontabs")  # noqa: S108  looked at only
"""Folders whose owners count as used ids when the file is lost."""


@dataclass(frozen=True, slots=True)
class Ids:
    """The numbers of one account."""

    name: str
    uid: int
    gid: int
    subuid: int
    """The first of `SUBORDINATE_IDS`; 0 if it is not known."""
    subgid: int
    made: bool = False
    """An account had these ids. False: they were reserved for it, and useradd may have failed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The ranges of login.defs(5) that ids are taken from, inclusive."""

    uid: tuple[int, int]
    subuid: tuple[int, int]
    subgid: tuple[int, int]


class UsedIds:
    """The file of used ids. Synchronous; called in worker threads, one call at a time."""

    def __init__(self, path: str, *, places: Iterable[str] = PLACES) -> None:
        self._path = path
        self._places = tuple(places)

    def reserve(
        self, name: str, limits: Limits, taken: Iterable[int], sub: tuple[Iterable[int], Iterable[int]]
    ) -> Ids:
        """Choose ids that no account has or had, and record them.

        `taken`: uids and gids of the databases. `sub`: the ends (first id after) of the ranges of subuid and subgid.
        Ids reserved earlier for this name, for an account that was never created, are used again. Raises
        PermanentError(reason="ids-exhausted"), OSError.
        """
        rows = list(self._rows())
        if not Path(self._path).exists():
            rows = [Ids("", uid, uid, 0, 0, made=True) for uid in self._seen(limits)]
            self._append(rows)
        present = set(taken)
        for row in reversed(rows):
            if row.name == name:
                if row.made or row.uid in present:
                    break
                return row
        used = present | {row.uid for row in rows} | {row.gid for row in rows}
        ids = Ids(
            name,
            _next(used, *limits.uid, what="uid"),
            0,
            _next_range(
                (*sub[0], *(row.subuid + SUBORDINATE_IDS for row in rows if row.subuid)), limits.subuid
            ),
            _next_range(
                (*sub[1], *(row.subgid + SUBORDINATE_IDS for row in rows if row.subgid)), limits.subgid
            ),
        )
        ids = Ids(name, ids.uid, ids.uid, ids.subuid, ids.subgid)
        self._append([ids])
        return ids

    def ranges(self, *, sub: str) -> list[tuple[int, int]]:
        """Return (first, count) of every subordinate range of `subuid` or `subgid` that an account has had."""
        firsts = ((row.subuid if sub == "subuid" else row.subgid) for row in self._rows())
        return [(first, SUBORDINATE_IDS) for first in firsts if first]

    def names(self) -> dict[int, str]:
        """Return every uid that an account has had, with the last name of it. Raises OSError."""
        return {row.uid: row.name for row in self._rows() if row.made and row.name}

    def record(self, ids: Ids) -> None:
        """Record that an account has, or had, these ids."""
        made = Ids(ids.name, ids.uid, ids.gid, ids.subuid, ids.subgid, made=True)
        if made not in set(self._rows()):
            self._append([made])

    def _rows(self) -> Iterator[Ids]:
        """Yield the recorded rows. An incomplete line was cut off by a crash, before its ids were used."""
        try:
            text = Path(self._path).read_text("utf-8", "replace")
        except FileNotFoundError:
            return
        for line in text.splitlines():
            try:
                row = json.loads(line)
                yield Ids(
                    str(row["name"]), int(row["uid"]), int(row["gid"]), int(row["subuid"]), int(row["subgid"]),
                    bool(row["made"]),
                )  # fmt: skip
            except (ValueError, KeyError, TypeError):
                continue

    def _append(self, rows: list[Ids]) -> None:
        text = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "ab") as file:
            # Terminate a line that was cut off, so that the next row does not become part of it.
            file.write(b"\n" + text.encode() if file.tell() else text.encode())
            file.flush()
            os.fsync(file.fileno())

    def _seen(self, limits: Limits) -> set[int]:
        """Return the uids in the range that own a file in `PLACES`."""
        found: set[int] = set()
        for place in self._places:
            try:
                names = os.listdir(place)
            except OSError:
                continue
            for name in names:
                try:
                    found.add(os.lstat(os.path.join(place, name)).st_uid)
                except OSError:
                    continue
        return {uid for uid in found if limits.uid[0] <= uid <= limits.uid[1]}


def _next(used: set[int], lowest: int, highest: int, *, what: str) -> int:
    """Return the id after the highest one in use, or else the lowest one never used."""
    after = max((number for number in used if lowest <= number <= highest), default=lowest - 1) + 1
    if after <= highest:
        return after
    for number in range(lowest, highest + 1):
        if number not in used:
            return number
    raise PermanentError(
        f"every {what} from {lowest} to {highest} has already been used by an account",
        reason="ids-exhausted",
        hint="raise UID_MAX in /etc/login.defs; eventd never reuses an id",
    )


def _next_range(ends: Iterable[int], limits: tuple[int, int]) -> int:
    """Return the first id after every range that is, or was, in use."""
    lowest, highest = limits
    first = max((end for end in ends if end > lowest), default=lowest)
    if first + SUBORDINATE_IDS - 1 > highest:
        raise PermanentError(
            f"every range of subordinate ids up to {highest} has already been used by an account",
            reason="ids-exhausted",
            hint="raise SUB_UID_MAX and SUB_GID_MAX in /etc/login.defs; eventd never reuses a range",
        )
    return first
