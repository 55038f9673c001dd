"""What stands on this host where workloads name files, and who their accounts are, for `check`.

Looks at owner, mode and access control lists, and opens nothing. What follows is `eventd.files.model_host_files`' to
say.
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
"""As many as path_resolution(7) follows."""
_ACL = "system.posix_acl_access"


def read_host(workload: Workload) -> tuple[Reader, dict[str, tuple[Place, ...]]]:
    """Return who is to read the files of a workload, and the way to each that is there."""
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
    """Return each folder that is passed on the way to a path, and what it leads to.

    Empty where nothing is at its end; as far as one can see, where a folder on the way is closed to who asks.
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
            places.pop(here, None)  # the end comes last, also where a link leads back to it
            _add(places, here)
    except PermissionError:
        return tuple(places.values())
    except OSError:
        return ()
    return tuple(places.values())


def _add(places: dict[str, Place], path: str) -> None:
    status = os.stat(path, follow_symlinks=False)
    acl = b""
    with contextlib.suppress(OSError):  # none, or a file system without
        acl = os.getxattr(path, _ACL, follow_symlinks=False)
    places[path] = Place(path, status.st_mode, status.st_uid, status.st_gid, acl)
