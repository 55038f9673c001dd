"""The files of the host: in memory for the in-process face, in a folder for the face on the wire.

Both give a fingerprint that changes with every write, as the mtimes that systemd compares for NeedDaemonReload do.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from eventd.platform.model_facts import FileKind, FileState
from eventd_simulators.model.signals import FileChanged, Hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class FileTree(Protocol):
    """What the model reads."""

    def read(self, path: str) -> bytes | None:
        """Return the content of a regular file, or None."""
        ...

    def fingerprint(self, path: str) -> object | None:
        """Return a value that differs after each write; None if the file does not exist."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the paths of all files below `folder`, relative to it and sorted."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in memory."""

    content: bytes
    mode: int
    uid: int
    version: int
    kind: FileKind = FileKind.REGULAR

    @property
    def state(self) -> FileState:
        """Return it as a fact."""
        digest = hashlib.sha256(self.content).hexdigest() if self.kind is FileKind.REGULAR else ""
        return FileState(self.kind, digest, self.mode, self.uid, self.uid)


class MemoryTree:
    """Files by absolute path; a folder exists when something is in it."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._entries: dict[str, Entry] = {}
        self._versions = itertools.count(1)

    def put(
        self,
        path: str,
        content: bytes | str,
        *,
        mode: int = 0o644,
        uid: int = 0,
        kind: FileKind = FileKind.REGULAR,
    ) -> None:
        """Write a file, as anybody could."""
        data = content.encode() if isinstance(content, str) else content
        self._entries[path] = Entry(data, mode, uid, next(self._versions), kind)
        self._hub.send(FileChanged(path))

    def remove(self, path: str) -> bool:
        """Unlink a file; False if there was none."""
        if self._entries.pop(path, None) is None:
            return False
        self._hub.send(FileChanged(path))
        return True

    def entry(self, path: str) -> Entry | None:
        """Return the entry at a path."""
        return self._entries.get(path)

    def below(self, folder: str) -> Iterator[tuple[str, Entry]]:
        """Yield the files below a folder by absolute path."""
        prefix = folder.rstrip("/") + "/"
        for path in sorted(self._entries):
            if path.startswith(prefix):
                yield path, self._entries[path]

    def read(self, path: str) -> bytes | None:
        """Return the content of a regular file, or None."""
        entry = self._entries.get(path)
        return entry.content if entry is not None and entry.kind is FileKind.REGULAR else None

    def fingerprint(self, path: str) -> object | None:
        """Return the version of a file."""
        entry = self._entries.get(path)
        return None if entry is None else entry.version

    def names(self, folder: str) -> list[str]:
        """Return the relative paths below a folder."""
        prefix = folder.rstrip("/") + "/"
        return sorted(path[len(prefix) :] for path in self._entries if path.startswith(prefix))


class DiskTree:
    """Real files, with one folder as `/`. Symlinks are not followed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def real(self, path: str) -> Path:
        """Return where a path of the simulated host is on the disk."""
        return self._root / path.lstrip("/")

    def read(self, path: str) -> bytes | None:
        """Return the content of a regular file, or None."""
        real = self.real(path)
        try:
            return None if real.is_symlink() else real.read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def fingerprint(self, path: str) -> object | None:
        """Return inode, size and mtime."""
        try:
            status = self.real(path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def names(self, folder: str) -> list[str]:
        """Return the relative paths below a folder."""
        base = self.real(folder)
        return sorted(str(path.relative_to(base)) for path in base.rglob("*") if not path.is_dir())
