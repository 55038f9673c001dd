"""Opens folders by descriptors: no path is looked up twice, and no symlink is followed.

Every folder on the way must belong to root and be writable by nobody else, so that no user can have prepared it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct

GET_FLAGS = 0x80086601
SET_FLAGS = 0x40086602
"""FS_IOC_GETFLAGS, FS_IOC_SETFLAGS (ioctl_iflags(2)) on 64-bit systems. The kernel reads an int nevertheless."""
IMMUTABLE = 0x10
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FLAGS = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


class Refused(Exception):  # noqa: N818  a finding, not a bug
    """The request must not be carried out."""

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason, self.message, self.hint = reason, message, hint


def safe(status: os.stat_result, path: str) -> None:
    """Raise Refused if a user could have prepared this folder."""
    if status.st_uid != 0 or status.st_mode & 0o022:
        raise Refused(
            "unsafe-path",
            f"{path} belongs to uid {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}:"
            " a user could replace what is in it by a symlink",
            f"chown root: {path} && chmod go-w {path}, if it should belong to the system",
        )


def walk(path: str, *, make: bool) -> tuple[int, int]:
    """Return descriptors of a folder and of its parent. `make`: create missing folders (0755)."""
    parent = -1
    here = os.open("/", _FOLDER)
    done = ""
    try:
        for part in path.strip("/").split("/"):
            safe(os.fstat(here), done or "/")
            done = f"{done}/{part}"
            try:
                below = os.open(part, _FOLDER, dir_fd=here)
            except FileNotFoundError:
                if not make:
                    raise Refused("not-mounted", f"there is no {done}") from None
                os.mkdir(part, 0o755, dir_fd=here)
                below = os.open(part, _FOLDER, dir_fd=here)
                os.fchmod(below, 0o755)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise Refused(
                        "unsafe-path", f"{done} is not a folder, or is a symlink", f"remove {done}"
                    ) from None
                raise
            if parent >= 0:
                os.close(parent)
            parent, here = here, below
    except BaseException:
        os.close(here)
        if parent >= 0:
            os.close(parent)
        raise
    return here, parent


def is_mounted(folder: int, parent: int) -> bool:
    """Return whether a folder is on another file system than its parent."""
    return os.fstat(folder).st_dev != os.fstat(parent).st_dev


def flags(folder: int) -> int | None:
    """Return the inode's flags; None if the file system has none."""
    try:
        found: int = struct.unpack("i", fcntl.ioctl(folder, GET_FLAGS, struct.pack("i", 0)))[0]
    except OSError as error:
        if error.errno in _NO_FLAGS:
            return None
        raise
    return found


def set_flags(folder: int, value: int) -> bool:
    """Set the inode's flags. Return False if the file system does not support them."""
    try:
        fcntl.ioctl(folder, SET_FLAGS, struct.pack("i", value))
    except OSError as error:
        if error.errno in _NO_FLAGS:
            return False
        raise
    return True
