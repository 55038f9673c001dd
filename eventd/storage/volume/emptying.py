"""Deleting trees that their owners may have prepared against us: an unfinished copy, what is on an old disk, a home.

Nothing is followed: everything goes by descriptors, folders that are found inside are moved up to the top, so that no
path is ever deeper than two names, and nothing that is mounted in them is touched. Where this is done, nobody but root
gets to. A folder may have millions of names, of which few are in memory at once. Killed at any point, the same call
goes on.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from itertools import islice

from eventd.storage.volume.places import Refused

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
BATCH = 5_000
"""Names of one folder that are in memory at once."""
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


class Mounted(Refused):
    """Something is mounted in what is to be deleted."""

    def __init__(self, name: str) -> None:
        super().__init__("mounted", f"something is mounted at {name}: it is not deleted")
        self.name = name


def discard(path: str, name: str) -> dict[str, object]:
    """Delete the folder `name` in `path`; gone is no error."""
    at = os.open(path, FOLDER)
    try:
        top = os.open(name, FOLDER, dir_fd=at)
    except FileNotFoundError:
        return {}
    sweep(top)
    os.rmdir(name, dir_fd=at)
    os.fsync(at)
    return {}


def discard_in(at: int, name: str) -> None:
    """Delete the folder `name` in an opened folder."""
    top = os.open(name, FOLDER, dir_fd=at)
    try:
        sweep(top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=at)


def empty(path: str, keep: str) -> dict[str, object]:
    """Delete everything in `path`, the root of a file system, except for one name."""
    top = os.open(path, FOLDER)
    if os.fstat(top).st_dev == os.stat("..", dir_fd=top).st_dev:
        raise Refused("not-mounted", f"nothing is mounted at {path}")
    sweep(top, frozenset({keep}))
    os.fsync(top)
    return {}


def sweep(
    top: int, keep: frozenset[str] = frozenset(), *, before_each: Callable[[], None] = lambda: None
) -> None:
    """Empty the open folder `top`: its folders' files are unlinked, and their folders moved up into it.

    `before_each`: called before each name; what it raises ends this, and the same call goes on from there. Raises
    Mounted, and OSError (EBUSY or EXDEV: something is mounted there).
    """
    number, mount = 0, _mount_of(top)
    while names := tuple(islice((name for name in names_in(top) if name not in keep), BATCH)):
        for name in names:
            before_each()
            if not is_folder(name, top):
                os.unlink(name, dir_fd=top)
                continue
            inner = os.open(name, FOLDER, dir_fd=top)
            try:
                if _mount_of(inner) != mount:
                    raise Mounted(name)
                number = _hoist(inner, top, number, before_each)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)


def _hoist(inner: int, top: int, number: int, before_each: Callable[[], None]) -> int:
    """Unlink the files of `inner`, move its folders to `top`; return the last number that was used for a name."""
    while names := tuple(islice(names_in(inner), BATCH)):
        for name in names:
            before_each()
            if not is_folder(name, inner):
                os.unlink(name, dir_fd=inner)
                continue
            while True:
                number += 1
                try:
                    os.rename(name, f".eventd-{number}", src_dir_fd=inner, dst_dir_fd=top)
                except OSError as error:
                    # Taken by a file or a full folder that was there: the next number.
                    if error.errno in _TAKEN:
                        continue
                    raise
                break
    return number


def names_in(folder: int) -> Iterator[str]:
    """Yield the names in an open folder, from its beginning, one by one."""
    with os.scandir(folder) as rows:
        for row in rows:
            yield row.name


def is_folder(name: str, at: int) -> bool:
    """Return whether a name in an open folder is a folder, and no link to one."""
    return stat.S_ISDIR(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)


def _mount_of(descriptor: int) -> str:
    """Return the id of the mount that an open file is in (proc_pid_fdinfo(5)): a bind mount has the same device."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:  # noqa: PTH123
        return next((line.split()[1] for line in file if line.startswith("mnt_id:")), "")
