"""For `check`: the files of this host that workloads name, and the accounts of the workloads.

Reads owner, mode and access control lists, and opens nothing. `eventd.files.model_host_files` draws the conclusions.
"""

# ruff: noqa: PTH115, PTH116  paths are strings here, looked up one component at a time

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from typing import TYPE_CHECKING

from eventd.files.model_host_files import Place, Reader
from eventd.files.model_named import expand

if TYPE_CHECKING:
    from eventd.desired.model import Workload

_LINKS = 40
"""The limit of path_resolution(7)."""
_ACL = "system.posix_acl_access"


def read_host(workload: Workload) -> tuple[Reader, dict[str, tuple[Place, ...]]]:
    """Return the account that reads a workload's files, and the way to each file that exists."""
    try:
        row = pwd.getpwnam(workload.name)
    except KeyError:
        reader, home, uid = Reader(None), "", 0
    else:
        reader = Reader(row.pw_uid, frozenset(os.getgrouplist(row.pw_name, row.pw_gid)))
        home, uid = row.pw_dir, row.pw_uid
    found: dict[str, tuple[Place, ...]] = {}
    for path in {named.path for unit in workload.units for named in unit.named}:
        if home or not path.startswith("%h"):  # the home of a new account is empty
            found[path] = way(expand(path, workload.name, uid, home))
    return reader, found


def way(path: str) -> tuple[Place, ...]:
    """Return each folder on the way to a path, and the file at its end.

    Empty if the path does not exist. If the caller may not enter a folder, the way ends there.
    """
    places: dict[str, Place] = {}
    todo = [part for part in reversed(path.split("/")) if part]
    here, links = "/", 0
    try:
        _add(places, here)
        while todo:
            part = todo.pop()
            if part == "..":
                here = os.path.dirname(here)  # noqa: PTH120  what is below was no link
                continue
            there = os.path.join(here, part)  # noqa: PTH118
            if stat.S_ISLNK(os.lstat(there).st_mode):
                links += 1
                if links > _LINKS:
                    return ()
                target = os.readlink(there)
                here = "/" if target.startswith("/") else here
                todo += [each for each in reversed(target.split("/")) if each and each != "."]
                continue
            here = there
            places.pop(here, None)  # the end comes last, even if a link leads back to it
            _add(places, here)
    except PermissionError:
        return tuple(places.values())
    except OSError:
        return ()
    return tuple(places.values())


def _add(places: dict[str, Place], path: str) -> None:
    status = os.stat(path, follow_symlinks=False)
    acl = b""
    with contextlib.suppress(OSError):  # it has no list, or the file system does not support them
        acl = os.getxattr(path, _ACL, follow_symlinks=False)
    places[path] = Place(path, status.st_mode, status.st_uid, status.st_gid, acl)
