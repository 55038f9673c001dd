"""Mount points: seals one, or replaces it by a new folder, which unmounts it in every namespace.

Why replace it. A new mount namespace is a copy of another one, with everything that is mounted in it. An unmount on the
host propagates to the namespaces of systemd's services and of podman's pause processes. It does not propagate to all:

- aardvark-dns has a private namespace. Nobody can unmount anything there: mounts from a more privileged namespace are
  locked.
- pasta and slirp4netns have detached their original tree. Their program is still in it, and so are its mounts, which
  /proc does not show.

Each of these keeps the file system in use until it ends. Removing the folder reaches all of them: what is mounted on a
removed folder is unmounted in every namespace (since Linux 3.18, mount_namespaces(7)). The unmount is lazy: a process
with an open file keeps it, and is found by that.
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
"""Nothing below these is sealed: services of the system need them (hier(7), systemd.exec(5))."""


def seal(path: str) -> bool:
    """Create a mount point that cannot be written to while nothing is mounted there. Return whether it is sealed.

    Mode 0000 keeps out all users, including rootless containers; the immutable flag also keeps out root. Only a folder
    that is created here is sealed: an existing one belongs to somebody, and is left as it is.
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
    # The mode marks it as created here, even after a crash before the flag is set. The flag prevents its removal.
    os.rename(_draft(name), name, src_dir_fd=parent, dst_dir_fd=parent)
    _close(made)
    os.fsync(parent)
    return True


def unseal(path: str) -> str:
    """Remove a sealed mount point that no volume uses any more. Return the result.

    A sealed one was created here and is empty. One that is mounted or not sealed is left as it is.
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
    """Replace an unmounted mount point by a new folder. A missing one is no error.

    The new folder is sealed, or has the owner and mode of the old one. A mount point that is mounted here, or is not
    empty, is left as it is.
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
        # Remove it first: that frees the space for the new one. Only root can create anything there.
        _clear(folder)
        os.rmdir(name, dir_fd=parent)
        os.close(folder)
        os.mkdir(name, 0, dir_fd=parent)
        made = os.open(name, _FOLDER, dir_fd=parent)
    else:
        _clear(folder)
        try:
            # In one step: there is always a folder, and never one that users can write to.
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
    """Return its SELinux label, which somebody may have set with chcon(1)."""
    try:
        return os.getxattr(folder, _LABEL)
    except OSError:
        return b""


def _draft(name: str) -> str:
    return f".{name}.eventd-new"


def _new(parent: int, name: str) -> int:
    """Create a folder beside the mount point that nobody can use yet."""
    with contextlib.suppress(FileNotFoundError):
        left = os.open(_draft(name), _FOLDER, dir_fd=parent)
        _clear(left)  # left by an interrupted call
        os.close(left)
        os.rmdir(_draft(name), dir_fd=parent)
    os.mkdir(_draft(name), 0, dir_fd=parent)
    return os.open(_draft(name), _FOLDER, dir_fd=parent)


def _is_ours(folder: int) -> bool:
    """Return whether a folder was created here. Nobody else creates folders with mode 0000."""
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
    """Seal a folder against all users and root."""
    os.fchown(folder, 0, 0)
    os.fchmod(folder, 0)
    now = flags(folder)
    if now is not None:
        set_flags(folder, now | IMMUTABLE)
    os.fsync(folder)
