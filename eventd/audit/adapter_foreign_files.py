"""Lists the folders of `eventd.audit.model_places` with the rights of the user who owns them.

Synchronous, for a worker thread. It lists names and reads no content. A path in a home is only looked up with that
user's file system ids (setfsuid(2)), so that a link leads nowhere that the user could not go. No process runs as the
user, and signals, ptrace and scheduling calls do not check these ids. It follows links as systemd and Quadlet do, and
reads a bounded number of entries: a user with more cannot be audited.
"""

# ruff: noqa: PTH112, PTH116  paths are strings here, and looked up once

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from eventd.audit.model_places import Names, Place
from eventd.platform.model_facts import Account
from eventd.platform.processes.as_account import as_account

MOST = 2000
"""Entries per workload, over all its folders."""
_DEPTH = 8
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


@dataclass(slots=True)
class Found:
    """The result of one scan."""

    files: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Path -> signature; a different one means that the file was changed or replaced."""
    masks: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    """Folders below the places that have to be watched too: drop-in folders, and Quadlet's subfolders."""
    problem: str = ""
    left: int = MOST


@dataclass(frozen=True, slots=True)
class Concern:
    """Which names matter in a place: `file(name)`, and `drop_ins(name)` for folders."""

    file: Callable[[Place, str], bool]
    drop_ins: Callable[[Place, str], bool]


def of(names: Names) -> Concern:
    """Return the names that matter to one workload."""
    return Concern(
        lambda place, name: names.shadows(place.rank, name), lambda p, name: names.drops(p.rank, name)
    )


EVERYTHING = Concern(lambda _place, name: "." in name, lambda _place, name: name.endswith(".d"))
"""For the system's folders, which are scanned once for all workloads."""


def scan(places: Sequence[Place], concern: Concern, account: Account | None, most: int = MOST) -> Found:
    """Scan all places, as `account` if there is one. `problem` says what cannot be read."""
    found = Found(left=most)
    with as_account(account):
        for place in places:
            try:
                _place(place, place.folder, concern, found, 0)
            except _TooManyError:
                found.problem = f"more than {most} entries in and before {place.folder}"
                break
            except OSError as error:
                found.problem = f"{error.filename or place.folder}: {error.strerror}"
    return found


class _TooManyError(Exception):
    pass


def _list(folder: str, found: Found) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = []
            for entry in entries:
                found.left -= 1
                if found.left < 0:
                    raise _TooManyError
                names.append(entry.name)
    except OSError as error:
        if error.errno in _ABSENT:
            return []
        raise
    return sorted(names)


def _place(place: Place, folder: str, concern: Concern, found: Found, depth: int) -> None:
    for name in _list(folder, found):
        path = f"{folder}/{name}"
        if concern.drop_ins(place, name):
            found.folders.add(path)
            for each in _list(path, found):
                if each.endswith(".conf"):
                    _file(f"{path}/{each}", found)
        elif concern.file(place, name):
            _file(path, found)
        elif place.searches(name) and depth < _DEPTH and os.path.isdir(path):
            found.folders.add(path)
            _place(place, path, concern, found, depth + 1)


def _file(path: str, found: Found) -> None:
    try:
        link = os.lstat(path)
    except OSError as error:
        if error.errno in _ABSENT:
            return
        raise
    signature: tuple[int, ...] = (link.st_dev, link.st_ino, link.st_size, link.st_mtime_ns, link.st_ctime_ns)
    masked = stat.S_ISREG(link.st_mode) and link.st_size == 0
    if stat.S_ISLNK(link.st_mode):
        try:
            target = os.stat(path)
        except OSError:
            target = None  # it dangles, or leads where the user may not go; it counts as a file
        if target is not None:
            masked = stat.S_ISCHR(target.st_mode) or (stat.S_ISREG(target.st_mode) and target.st_size == 0)
            signature += (target.st_dev, target.st_ino, target.st_size, target.st_mtime_ns)
    elif stat.S_ISDIR(link.st_mode):
        return
    found.files[path] = signature
    if masked:
        found.masks.add(path)
