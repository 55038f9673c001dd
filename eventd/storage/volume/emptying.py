"""Deletes trees that a hostile owner may have prepared: an unfinished copy, the data on an old disk, a home.

It uses descriptors only and follows no symlinks. Folders found inside are moved up to the top, so that no path is
deeper than two names. What is mounted inside is not touched. The caller makes sure that only root can reach the tree. A
folder may have millions of names; only few are in memory at once. After a kill, the same call continues.
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
"""Most names of one folder that are in memory at once."""
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


class Mounted(Refused):
    """Something is mounted inside the tree."""

    def __init__(self, name: str) -> None:
        super().__init__("mounted", f"something is mounted at {name}: it is not deleted")
        self.name = name


def discard(path: str, name: str) -> dict[str, object]:
    """Delete the folder `name` in `path`. A missing one is no error."""
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
    """Empty the open folder `top`: unlink the files of its folders, and move their folders up into it.

    `before_each`: called before each name. If it raises, the deletion stops, and the same call continues later. Raises
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
    """Unlink the files of `inner` and move its folders to `top`. Return the last number used for a name."""
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
                    # The name is taken: use the next number.
                    if error.errno in _TAKEN:
                        continue
                    raise
                break
    return number


def names_in(folder: int) -> Iterator[str]:
    """Yield the names in an open folder, from the beginning."""
    with os.scandir(folder) as rows:
        for row in rows:
            yield row.name


def is_folder(name: str, at: int) -> bool:
    """Return whether a name in an open folder is a folder, not a symlink to one."""
    return stat.S_ISDIR(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)


def _mount_of(descriptor: int) -> str:
    """Return the mount id of an open file (proc_pid_fdinfo(5)). The device is not enough: a bind mount has the same."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:  # noqa: PTH123
        return next((line.split()[1] for line in file if line.startswith("mnt_id:")), "")
