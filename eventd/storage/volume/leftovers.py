"""Removes what a deleted account owns outside of its home, if it is certainly the account's. Reports the rest.

Runs after all processes of the account have ended, in its own unit (`eventd-sweep@.service`): unlike the daemon's
sandbox, that sees the host's temporary folders. It uses descriptors only and follows no symlinks. A folder is kept and
reported if it contains files of others, nests too deeply, or is found after the deadline. The ids are never reused, so
nobody gets access to what is kept.
"""

from __future__ import annotations

import ctypes
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass

from eventd.storage.volume import emptying

PLACES = (
    *("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock", "/run/screen"),  # noqa: S108
    *(
        "/var/mail",
        "/var/spool/mail",
        "/var/spool/cron/crontabs",
        "/var/spool/cron/atjobs",
        "/var/spool/cron/atspool",
    ),
    *("/var/spool/at", "/var/lib/systemd/linger", "/var/crash", "/var/lib/nfs/sm"),
)
"""Where any account can leave files: hier(7), crontab(1), at(1), shm_overview(7), mq_overview(7)."""
SECONDS = 40.0
DEPTH = 64
SHOWN = 40
"""Most kept files that are named in the result."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_RMID = 0
_IPC = (("shm", "shmctl"), ("msg", "msgctl"), ("sem", "semctl"))


@dataclass(frozen=True, slots=True)
class Owner:
    """The ids of the account: its own, and those of its containers."""

    uid: int
    subuid: tuple[int, int]
    """First id and count; a count of 0 for none."""

    def owns(self, uid: int) -> bool:
        """Return whether the account owns this uid."""
        first, count = self.subuid
        return uid == self.uid or first <= uid < first + count


def sweep(owner: Owner, places: tuple[str, ...] = PLACES, ipc: str = "/proc/sysvipc") -> dict[str, object]:
    """Remove what the account left in these places. Return how much was removed, and what is kept."""
    until, stays, removed = time.monotonic() + SECONDS, list[str](), 0
    for place in places:
        try:
            top = os.open(place, _FOLDER)
        except OSError:
            continue  # this host has no such folder
        try:
            # A place may be listed twice, through a symlink (/var/mail): then it is gone already.
            removed += _of_folder(top, place, owner, stays, until)
        finally:
            os.close(top)
    removed += _ipc(owner, ipc, stays)
    return {"removed": removed, "stays": stays[:SHOWN], "more": max(len(stays) - SHOWN, 0)}


def _of_folder(top: int, place: str, owner: Owner, stays: list[str], until: float) -> int:
    removed = 0
    for name in os.listdir(top):
        path = f"{place}/{name}"
        try:
            status = os.stat(name, dir_fd=top, follow_symlinks=False)
            if not owner.owns(status.st_uid):
                continue
            if time.monotonic() > until:
                stays.append(f"{path} (there was no time left)")
            elif not stat.S_ISDIR(status.st_mode):
                os.unlink(name, dir_fd=top)
                removed += 1
            elif why := _why_not(name, top, owner, until):
                stays.append(f"{path} ({why})")
            else:
                emptying.discard_in(top, name)
                removed += 1
        except FileNotFoundError:
            continue
        except OSError as error:
            stays.append(f"{path} ({error.strerror})")
    return removed


def _why_not(name: str, at: int, owner: Owner, until: float) -> str:
    """Return why a folder must not be removed as a whole; empty if it may."""
    todo = [(os.open(name, _FOLDER, dir_fd=at), 0)]
    device = os.fstat(todo[0][0]).st_dev
    try:
        while todo:
            folder, depth = todo.pop()
            try:
                for status, inner in _entries(folder):
                    if not owner.owns(status.st_uid):
                        return "somebody else's files are in it"
                    if not stat.S_ISDIR(status.st_mode):
                        continue
                    if status.st_dev != device:
                        return "something is mounted in it"
                    if depth + 1 >= DEPTH or len(todo) >= 512:
                        return "it is nested too deeply"
                    todo.append((os.open(inner, _FOLDER, dir_fd=folder), depth + 1))
                    if time.monotonic() > until:
                        return "there was no time left"
            finally:
                os.close(folder)
    finally:
        for folder, _ in todo:
            os.close(folder)
    return ""


def _entries(folder: int) -> Iterator[tuple[os.stat_result, str]]:
    return ((os.stat(name, dir_fd=folder, follow_symlinks=False), name) for name in os.listdir(folder))


def _ipc(owner: Owner, proc: str, stays: list[str]) -> int:
    """Remove System V objects (sysvipc(7)). Only the owner may, so the effective uid is changed for the call."""
    libc, removed = ctypes.CDLL(None, use_errno=True), 0
    for kind, call in _IPC:
        try:
            with open(f"{proc}/{kind}", encoding="ascii", errors="replace") as file:  # noqa: PTH123
                header, *rows = [line.split() for line in file]
        except (OSError, ValueError):
            continue
        for row in rows:
            object_, uid = int(row[1]), int(row[header.index("uid")])
            if not owner.owns(uid):
                continue
            os.seteuid(uid)
            try:
                arguments = (object_, 0, _RMID) if call == "semctl" else (object_, _RMID, None)
                failed = getattr(libc, call)(*arguments)
            finally:
                os.seteuid(0)
            if failed:
                stays.append(f"{kind} {object_} ({os.strerror(ctypes.get_errno())})")
            else:
                removed += 1
    return removed
