"""Root-owned files in the folders that eventd owns: written atomically, and removed with their empty parents.

Owns every write below its roots. It never touches a path outside them, and never follows a symlink below one: each
component is opened relative to its parent with O_NOFOLLOW (open(2)), so a planted link causes an error instead of a
write elsewhere. The result reaches the facts through inotify (`eventd.files.source_owned`).

A call that is cancelled, or hits its deadline on a disk that does not answer, abandons its worker thread. The thread
checks a flag just before the rename and stops there, so a late write cannot overwrite the next run's. Only a rename
that the kernel has already begun cannot be stopped.
"""

# ruff: noqa: PTH119, PTH120  names relative to opened folders, and lexical operations on strings

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import secrets
import stat
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import anyio
import anyio.to_thread

from eventd.kernel.model.errors import DeadlineError, PermanentError
from eventd.platform.file_state import ABSENT, TEMPORARY_PREFIX, file_error, open_folder, read_at, walk
from eventd.platform.model_facts import FileState

_T = TypeVar("_T")
_FOLDER_MODE = 0o755
_PRIVATE_MODE = 0o750
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PRUNE_ENDS = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.EBUSY})


def everybody(uid: int) -> None:
    """Return None: everybody may read a user's folder."""
    del uid


def primary_group(uid: int) -> int | None:
    """Return the gid of a user's primary group; None if the user does not exist. May query a directory service."""
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return None


class OwnedFiles:
    """The `Files` port on a real file system.

    `roots`: absolute folders; they need not exist yet. `owner`: uid and gid of written files; None: those of the
    process (a simulated host without root). `group`: the gid that may read the folder of a uid directly below a root;
    None: everybody. `timeout`: seconds for one call, including fsync.
    """

    def __init__(
        self,
        roots: Iterable[str],
        *,
        owner: tuple[int, int] | None = (0, 0),
        group: Callable[[int], int | None] = everybody,
        timeout: float = 30.0,
    ) -> None:
        self._roots = tuple(os.path.normpath(root) for root in roots)
        for root in self._roots:
            if not root.startswith("/") or root == "/":
                raise PermanentError(f"{root!r} is not a valid owned folder", reason="path-not-owned")
        self._owner = owner
        self._group = group
        self._timeout = timeout
        # Temporary files of writes in progress: a scan must not mistake them for leftovers of a crash.
        self._writing: set[str] = set()

    async def put(self, path: str, content: bytes, *, mode: int) -> Sequence[str]:
        """Write a file atomically; see the port.

        Raises PermanentError or TemporaryError with the reason `disk-full`,
        `read-only`, `path-not-owned`, `not-a-folder`, …; on failure only new, empty folders may be left behind.
        """
        root, parts = self._split(path)
        abandoned = threading.Event()
        made: list[str] = []
        await self._run(
            lambda: self._put(root, parts, content, mode, abandoned, made), "write", path, abandoned
        )
        return tuple(made)

    async def remove(self, path: str) -> Sequence[str]:
        """Unlink a file or symlink, then its empty parents, up to but not including the root."""
        root, parts = self._split(path)
        abandoned = threading.Event()
        return await self._run(lambda: self._remove(root, parts, abandoned), "remove", path, abandoned)

    async def read(self, path: str) -> FileState | None:
        """Return the state of the path; None if it, or a parent folder, is missing."""
        root, parts = self._split(path)
        return await self._run(lambda: self._read(root, parts), "read", path)

    async def scan(self, folder: str) -> Mapping[str, FileState]:
        """Return all files below `folder`, and remove temporary files left by a crash."""
        path = folder.rstrip("/")
        root, parts = (path, ()) if path in self._roots else self._split(path)
        return await self._run(lambda: self._scan(root, parts), "scan", folder)

    def _split(self, path: str) -> tuple[str, tuple[str, ...]]:
        """Return the root of `path`, and the components below it. The longest root wins."""
        if path.startswith("/") and "\0" not in path:
            for root in sorted(self._roots, key=len, reverse=True):
                if path.startswith(root + "/"):
                    parts = tuple(path[len(root) + 1 :].split("/"))
                    if not any(part in ("", ".", "..") for part in parts):
                        return root, parts
        raise PermanentError(
            f"{path!r} is not in a folder that eventd owns ({', '.join(self._roots)})",
            reason="path-not-owned",
        )

    async def _run(
        self, work: Callable[[], _T], verb: str, path: str, abandoned: threading.Event | None = None
    ) -> _T:
        try:
            with anyio.fail_after(self._timeout):
                return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        except OSError as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                raise DeadlineError(
                    f"cannot {verb} {path}: the disk did not answer within {self._timeout:g} s",
                    reason="disk-stuck",
                ) from error
            raise file_error(error, verb, path) from error
        finally:
            if abandoned is not None:
                abandoned.set()

    # The methods below run in a worker thread.

    def _descend(self, root: str, parts: Iterable[str], made: list[str] | None = None) -> int:
        """Open the folder that `parts` lead to from `root`; the caller closes it.

        If `made` is given, create missing folders and append them to it.
        """
        if made is not None:
            self._make_way(root, made)
        fd, path = open_folder(root), root
        try:
            for part in parts:
                path = f"{path}/{part}"
                if made is not None:
                    self._mkdir(fd, part, path, made)
                below = open_folder(part, fd)
                os.close(fd)
                fd = below
                if made is not None and path == f"{root}/{part}" and part.isdecimal():
                    self._seclude(fd, int(part))
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _seclude(self, folder: int, uid: int) -> None:
        """Keep other users out of a user's folder: workloads must not read each other's files."""
        group = self._group(uid)
        if group is None:
            return
        status = os.fstat(folder)
        if (status.st_gid, status.st_mode & 0o7777) != (group, _PRIVATE_MODE):
            os.fchown(folder, -1, group)
            os.fchmod(folder, _PRIVATE_MODE)
            os.fsync(folder)

    def _make_way(self, folder: str, made: list[str]) -> None:
        """Create `folder` and its missing parents.

        These parents are under the administrator's control, so symlinks are followed.
        """
        if os.path.lexists(folder):
            return
        self._make_way(os.path.dirname(folder), made)
        above = os.open(os.path.dirname(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._mkdir(above, os.path.basename(folder), folder, made)
        finally:
            os.close(above)

    def _mkdir(self, parent: int, name: str, path: str, made: list[str]) -> None:
        try:
            os.mkdir(name, _FOLDER_MODE, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode):
                return
            # Somebody replaced a folder of ours by a link: remove the link, and leave its target alone.
            os.unlink(name, dir_fd=parent)
            os.mkdir(name, _FOLDER_MODE, dir_fd=parent)
        fd = open_folder(name, parent)
        try:
            os.fchmod(fd, _FOLDER_MODE)  # independent of the umask
            if self._owner is not None:
                os.fchown(fd, *self._owner)
            os.fsync(fd)
        finally:
            os.close(fd)
        # Without this, a power cut can lose the new folder together with the synced file in it.
        os.fsync(parent)
        made.append(path)

    def _put(
        self,
        root: str,
        parts: tuple[str, ...],
        content: bytes,
        mode: int,
        abandoned: threading.Event,
        made: list[str],
    ) -> None:
        folder = self._descend(root, parts[:-1], made)
        temporary = TEMPORARY_PREFIX + secrets.token_hex(8)
        self._writing.add(temporary)
        try:
            fd = os.open(temporary, _NEW, 0o600, dir_fd=folder)
            try:
                self._fill(fd, content, mode)
                if abandoned.is_set():
                    _unlink(temporary, folder)
                    return
                _replace(temporary, parts[-1], folder)
            except OSError:
                _unlink(temporary, folder)
                raise
            finally:
                os.close(fd)
            os.fsync(folder)
        finally:
            self._writing.discard(temporary)
            os.close(folder)

    def _fill(self, fd: int, content: bytes, mode: int) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        if self._owner is not None:
            os.fchown(fd, *self._owner)
        os.fchmod(fd, mode)  # after the chown, which clears set-id bits; independent of the umask
        os.fsync(fd)

    def _remove(self, root: str, parts: tuple[str, ...], abandoned: threading.Event) -> Sequence[str]:
        gone: list[str] = []
        try:
            folder = self._descend(root, parts[:-1])
        except FileNotFoundError:
            return gone
        try:
            if abandoned.is_set():
                return gone
            _unlink(parts[-1], folder)
            os.fsync(folder)
        finally:
            os.close(folder)
        for depth in range(len(parts) - 2, -1, -1):
            try:
                parent = self._descend(root, parts[:depth])
                try:
                    os.rmdir(parts[depth], dir_fd=parent)
                    os.fsync(parent)
                finally:
                    os.close(parent)
            except OSError as error:
                # Not empty: a concurrent put uses the folder. EBUSY: it is a mount point.
                if error.errno in _PRUNE_ENDS:
                    return gone
                raise
            gone.append("/".join((root, *parts[: depth + 1])))
        return gone

    def _read(self, root: str, parts: tuple[str, ...]) -> FileState | None:
        try:
            folder = self._descend(root, parts[:-1])
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise
        try:
            return read_at(folder, parts[-1])
        finally:
            os.close(folder)

    def _scan(self, root: str, parts: tuple[str, ...]) -> dict[str, FileState]:
        try:
            folder = self._descend(root, parts)
        except OSError as error:
            if error.errno in ABSENT:
                return {}
            raise
        found = walk("/".join((root, *parts)), folder)
        for path in found.stale:
            if os.path.basename(path) not in self._writing:
                _, stale = self._split(path)
                parent = self._descend(root, (*parts, *stale[len(parts) : -1]))
                try:
                    _unlink(stale[-1], parent)
                finally:
                    os.close(parent)
        return found.files


def _replace(temporary: str, name: str, folder: int) -> None:
    """Rename over the present file. An empty folder in the way is removed; a non-empty one stays."""
    try:
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except IsADirectoryError:
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=folder)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def _unlink(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
