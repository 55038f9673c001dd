"""Deleting trees that their owners may have prepared against us: an unfinished copy, or what is on an old disk.

Nothing is followed: everything goes by descriptors, folders that are found inside are moved up to the top, so that no
path is ever deeper than two names, and nothing on another file system is touched. Where this is done, nobody but root
gets to. Killed at any point, the same call goes on.
"""

from __future__ import annotations

import errno
import os
import stat

from eventd.volume.places import Refused

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


def discard(path: str, name: str) -> dict[str, object]:
    """Delete the folder `name` in `path`; gone is no error."""
    at = os.open(path, _FOLDER)
    try:
        top = os.open(name, _FOLDER, dir_fd=at)
    except FileNotFoundError:
        return {}
    _sweep(top, frozenset())
    os.rmdir(name, dir_fd=at)
    os.fsync(at)
    return {}


def discard_in(at: int, name: str) -> None:
    """Delete the folder `name` in an opened folder."""
    top = os.open(name, _FOLDER, dir_fd=at)
    try:
        _sweep(top, frozenset())
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=at)


def empty(path: str, keep: str) -> dict[str, object]:
    """Delete everything in `path`, the root of a file system, except for one name."""
    top = os.open(path, _FOLDER)
    if os.fstat(top).st_dev == os.stat("..", dir_fd=top).st_dev:
        raise Refused("not-mounted", f"nothing is mounted at {path}")
    _sweep(top, frozenset({keep}))
    os.fsync(top)
    return {}


def _sweep(top: int, keep: frozenset[str]) -> None:
    number, device = 0, os.fstat(top).st_dev
    while names := [name for name in os.listdir(top) if name not in keep]:
        for name in names:
            if not _is_folder(name, top):
                os.unlink(name, dir_fd=top)
                continue
            inner = os.open(name, _FOLDER, dir_fd=top)
            try:
                if os.fstat(inner).st_dev != device:
                    raise Refused("mounted", f"something is mounted at {name}: it is not deleted")
                number = _hoist(inner, top, number)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)


def _hoist(inner: int, top: int, number: int) -> int:
    """Unlink the files of `inner`, move its folders to `top`; return the last number that was used for a name."""
    while names := os.listdir(inner):
        for name in names:
            if not _is_folder(name, inner):
                os.unlink(name, dir_fd=inner)
                continue
            while True:
                number += 1
                try:
                    os.rename(name, f".eventd-{number}", src_dir_fd=inner, dst_dir_fd=top)
                except OSError as error:
                    if error.errno in _TAKEN:
                        continue
                    raise
                break
    return number


def _is_folder(name: str, at: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)
