"""Reads the state of a path without following any symlink below the given folder.

Owns how a file becomes a `FileState`, and which names are eventd's own temporary files. Writes nothing. Synchronous:
`eventd.files.adapter` and `eventd.files.source_owned` call it in worker threads.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass, field

from eventd.kernel.model.errors import EventdError, PermanentError, TemporaryError
from eventd.platform.model_facts import FileKind, FileState

TEMPORARY_PREFIX = ".eventd-tmp-"
"""Names with this prefix are writes in progress, or leftovers of a crash."""

HASH_LIMIT = 16 * 1024 * 1024
"""Bytes. A larger file gets `too-large:SIZE:MTIME_NS` as its digest. No desired file is nearly as big, so it is
foreign: its digest only has to differ from every sha256 and to change with the file."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Error numbers of an open with O_NOFOLLOW for a path that does not exist, or that a link or a file blocks."""
_REASONS = {
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "disk-full",
    errno.EROFS: "read-only",
    errno.EACCES: "permission-denied",
    errno.EPERM: "permission-denied",
    errno.EIO: "io-error",
    errno.ENAMETOOLONG: "name-too-long",
    errno.ELOOP: "not-a-folder",
    errno.ENOTDIR: "not-a-folder",
    errno.EISDIR: "is-a-folder",
    errno.EMFILE: "too-many-open-files",
    errno.ENFILE: "too-many-open-files",
}
_TEMPORARY = frozenset({"disk-full", "io-error", "too-many-open-files"})
_HINTS = {
    "disk-full": "free some space or raise the quota",
    "read-only": "remount the file system read-write; see `mount` and the kernel log",
    "not-a-folder": "a file or a symlink stands where a folder is needed: remove it",
}


def file_error(error: OSError, verb: str, path: str) -> EventdError:
    """Return the `EventdError` for an OSError of doing `verb` to `path`.

    A full disk, an I/O error and too many open files are temporary; the rest is permanent.
    """
    reason = _REASONS.get(error.errno or 0, "file-error")
    message = f"cannot {verb} {path}: {error.strerror or error}"
    hint = _HINTS.get(reason, "")
    if reason in _TEMPORARY:
        return TemporaryError(message, reason=reason, hint=hint)
    return PermanentError(message, reason=reason, hint=hint)


def open_folder(path: str, dir_fd: int | None = None) -> int:
    """Open a folder; the last component may not be a symlink. Raises OSError."""
    return os.open(path, _FOLDER, dir_fd=dir_fd)


def read_at(folder: int, name: str) -> FileState | None:
    """Return the state of one entry of an opened folder, None if there is none. Raises OSError."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in ABSENT:
            return None
        raise
    if not stat.S_ISREG(status.st_mode):
        kind = (
            FileKind.DIRECTORY
            if stat.S_ISDIR(status.st_mode)
            else FileKind.SYMLINK
            if stat.S_ISLNK(status.st_mode)
            else FileKind.OTHER
        )
        return FileState(kind, "", stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    try:
        # O_NONBLOCK: a fifo may have replaced the file since the stat, and its open would block.
        fd = os.open(name, _READ | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        if error.errno in ABSENT:
            # Replaced or removed between the two calls: inotify reports it, and it is read again.
            return None
        raise
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return FileState(FileKind.OTHER, "", stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        if status.st_size > HASH_LIMIT:
            digest = f"too-large:{status.st_size}:{status.st_mtime_ns}"
        else:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileState(FileKind.REGULAR, digest, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


@dataclass(slots=True)
class Walk:
    """What a walk found, by absolute path."""

    folders: set[str] = field(default_factory=set)
    files: dict[str, FileState] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    """Temporary files, of a write in progress or left by a crash."""


def walk(top: str, folder: int | None = None) -> Walk:
    """Read everything below the folder `top`. `folder`: `top`, opened already; it is closed.

    Finds nothing if `top` is not a folder. Raises OSError.
    """
    found = Walk()
    if folder is None:
        try:
            folder = open_folder(top)
        except OSError as error:
            if error.errno in ABSENT:
                return found
            raise
    _walk(folder, top, found)
    return found


def walk_at(root: str, path: str) -> Walk:
    """Read `path`, which is `root` or below it; a folder with everything in it.

    Follows no symlink, not even `root` itself: a path behind one counts as missing. Raises OSError.
    """
    found = Walk()
    if path == root:
        return walk(root)
    try:
        folder = open_folder(root)
        try:
            *way, name = path[len(root) + 1 :].split("/")
            for part in way:
                below = open_folder(part, folder)
                os.close(folder)
                folder = below
            state = read_at(folder, name)
            if state is not None and state.kind is FileKind.DIRECTORY:
                return walk(path, open_folder(name, folder))
            if state is not None and not name.startswith(TEMPORARY_PREFIX):
                found.files[path] = state
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno not in ABSENT:
            raise
    return found


def _walk(fd: int, path: str, found: Walk) -> None:
    try:
        found.folders.add(path)
        with os.scandir(fd) as entries:
            names = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        for name, is_folder in names:
            child = f"{path.rstrip('/')}/{name}"
            if name.startswith(TEMPORARY_PREFIX) and not is_folder:
                found.stale.append(child)
            elif is_folder:
                try:
                    child_fd = open_folder(name, fd)
                except OSError as error:
                    if error.errno in ABSENT:
                        continue
                    raise
                _walk(child_fd, child, found)
            elif (state := read_at(fd, name)) is not None and state.kind is not FileKind.DIRECTORY:
                found.files[child] = state
    finally:
        os.close(fd)
