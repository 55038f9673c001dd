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

from eventd.volume.places import IMMUTABLE, Refused, flags, is_mounted, set_flags, walk

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LABEL = "security.selinux"
_FULL = (errno.ENOSPC, errno.EDQUOT)


def seal(path: str) -> None:
    """Make a mount point so that nothing can be written into it while nothing is mounted there.

    Mode 0000 keeps out every user, and with them every rootless container; the immutable flag root, too. A folder that
    has something in it is left alone: a mount would hide that.
    """
    folder, parent = walk(path, make=True)
    if is_mounted(folder, parent):
        raise Refused("mounted", f"something is mounted at {path}")
    now = flags(folder)
    status = os.fstat(folder)
    if now is not None and now & IMMUTABLE and status.st_mode & 0o777 == 0 and status.st_uid == 0:
        return
    _check_empty(folder, path)
    _clear(folder)
    _close(folder)


def renew(path: str) -> None:
    """Put a new, sealed folder in the place of a mount point at which nothing is mounted any more; gone is no error.

    One that is mounted here is left alone, and so is one with something in it.
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
    name = path.rpartition("/")[2]
    new = f".{name}.eventd-new"
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(new, dir_fd=parent)  # of a renewal that was cut off
    label = _label(folder)
    try:
        os.mkdir(new, 0, dir_fd=parent)
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
        made = os.open(new, _FOLDER, dir_fd=parent)
        _clear(folder)
        try:
            # In one step: there is no moment without a folder, or with one that takes files of just anybody.
            os.rename(new, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            _close(folder)
            raise
    if label:
        with contextlib.suppress(OSError):
            os.setxattr(made, _LABEL, label)
    _close(made)
    os.fsync(parent)


def _label(folder: int) -> bytes:
    """Return what a person may have given it with chcon(1)."""
    try:
        return os.getxattr(folder, _LABEL)
    except OSError:
        return b""


def _check_empty(folder: int, path: str) -> None:
    if any(os.scandir(folder)):
        raise Refused(
            "mount-point-not-empty",
            f"there are files in {path} itself, which the volume would hide",
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
