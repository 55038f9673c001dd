"""Mount points: sealing one, and making it anew, which takes what was mounted there out of every namespace.

Why anew. A mount namespace begins as a copy of another one, with all that is mounted in it. Those of systemd's services
and of podman's pause processes follow the host, and an unmount there goes on to them. Others do not: aardvark-dns lives
in one that follows nobody (`private`), where nobody can unmount either, since what came from a namespace of other
privileges is locked; pasta and slirp4netns have turned their back on the tree that they began with, but their program
is in it, and with it, shown nowhere, all that is mounted there. Each keeps the file system in use until it ends.

What reaches all of them is the folder itself: what is mounted on a folder that is removed is unmounted everywhere
(since Linux 3.18, mount_namespaces(7)), lazily: who has a file open there may go on with it, and is found by that.
"""

from __future__ import annotations

import contextlib
import errno
import os

from eventd.storage.model_system_folders import SYSTEM_FOLDERS
from eventd.storage.volume.places import IMMUTABLE, Refused, flags, is_mounted, set_flags, walk

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LABEL = "security.selinux"
_FULL = (errno.ENOSPC, errno.EDQUOT)


NEVER = (*SYSTEM_FOLDERS, "/var/lib/private", "/var/cache/private", "/var/log", "/var/lib/systemd")
"""Nothing below these is ever sealed: the system's services need them (hier(7), systemd.exec(5))."""


def seal(path: str) -> bool:
    """Make a mount point so that nothing can be written into it while nothing is mounted there; tell whether it is so.

    Mode 0000 keeps out every user, and with them every rootless container; the immutable flag root, too. Only a folder
    that is made here is sealed: one that was there is somebody's, and stays as it is.
    """
    if any(path == each or path.startswith(each + "/") for each in NEVER):
        raise Refused(
            "unsafe-path",
            f"{path} belongs to the system: volumes cannot be mounted there",
            "see [storage] paths",
        )
    try:
        folder, parent = walk(path, make=False)
    except Refused as error:
        if error.reason != "not-mounted":
            raise
    else:
        if is_mounted(folder, parent):
            raise Refused("mounted", f"something is mounted at {path}")
        _check_empty(folder, path)
        if _is_ours(folder):
            _clear(folder)
            _close(folder)
            return True
        return False
    above, name = path.rsplit("/", 1)
    parent, _ = walk(above, make=True)
    made = _new(parent, name)
    # Its mode tells that it was made here, also if this is cut off before the flag is set, which keeps it in its place.
    os.rename(_draft(name), name, src_dir_fd=parent, dst_dir_fd=parent)
    _close(made)
    os.fsync(parent)
    return True


def unseal(path: str) -> str:
    """Take a sealed mount point away that no volume has any more; return what became of it.

    It was made here, and is empty. One that is mounted, or is not sealed, is left alone.
    """
    try:
        folder, parent = walk(path, make=False)
    except Refused:
        return "gone"
    if is_mounted(folder, parent) or not _is_ours(folder):
        return "left"
    _clear(folder)
    if any(os.scandir(folder)):
        os.fchmod(folder, 0o755)
        return "opened"
    os.rmdir(path.rpartition("/")[2], dir_fd=parent)
    os.fsync(parent)
    return "removed"


def renew(path: str) -> None:
    """Put a new folder in the place of a mount point at which nothing is mounted any more; gone is no error.

    It is as the old one was: sealed, or with its owner and mode. One that is mounted here is left alone, and so is one
    with something in it.
    """
    try:
        folder, parent = walk(path, make=False)
    except Refused as error:
        if error.reason == "not-mounted":
            return
        raise
    if is_mounted(folder, parent):
        raise Refused("mounted", f"something is mounted at {path}")
    _check_empty(folder, path)
    name, sealed, status, label = path.rpartition("/")[2], _is_ours(folder), os.fstat(folder), _label(folder)
    try:
        made = _new(parent, name)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        # It has to go all the same, and what it took is room for another one. Nobody but root can make anything there.
        _clear(folder)
        os.rmdir(name, dir_fd=parent)
        os.close(folder)
        os.mkdir(name, 0, dir_fd=parent)
        made = os.open(name, _FOLDER, dir_fd=parent)
    else:
        _clear(folder)
        try:
            # In one step: there is no moment without a folder, or with one that takes files of just anybody.
            os.rename(_draft(name), name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            if sealed:
                _close(folder)
            raise
    if label:
        with contextlib.suppress(OSError):
            os.setxattr(made, _LABEL, label)
    if sealed:
        _close(made)
    else:
        os.fchown(made, status.st_uid, status.st_gid)
        os.fchmod(made, status.st_mode & 0o7777)
    os.fsync(parent)


def _label(folder: int) -> bytes:
    """Return what a person may have given it with chcon(1)."""
    try:
        return os.getxattr(folder, _LABEL)
    except OSError:
        return b""


def _draft(name: str) -> str:
    return f".{name}.eventd-new"


def _new(parent: int, name: str) -> int:
    """Make a folder beside the mount point, which nobody can use yet."""
    with contextlib.suppress(FileNotFoundError):
        left = os.open(_draft(name), _FOLDER, dir_fd=parent)
        _clear(left)  # of a call that was cut off
        os.close(left)
        os.rmdir(_draft(name), dir_fd=parent)
    os.mkdir(_draft(name), 0, dir_fd=parent)
    return os.open(_draft(name), _FOLDER, dir_fd=parent)


def _is_ours(folder: int) -> bool:
    """Return whether a folder was made here: nobody else has use for one that nobody may enter."""
    status = os.fstat(folder)
    return status.st_mode & 0o777 == 0 and status.st_uid == 0


def _check_empty(folder: int, path: str) -> None:
    if any(os.scandir(folder)):
        raise Refused(
            "mount-point-not-empty",
            f"{path} itself contains files, which the volume would hide",
            f"move what is in {path} elsewhere (onto the volume, once it is mounted)",
        )


def _clear(folder: int) -> None:
    now = flags(folder)
    if now is not None and now & IMMUTABLE:
        set_flags(folder, now & ~IMMUTABLE)


def _close(folder: int) -> None:
    """Keep out every user, and root."""
    os.fchown(folder, 0, 0)
    os.fchmod(folder, 0)
    now = flags(folder)
    if now is not None:
        set_flags(folder, now | IMMUTABLE)
    os.fsync(folder)
