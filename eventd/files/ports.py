"""What the runtime needs of the host's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from eventd.platform.model_facts import FileState


class Files(Protocol):
    """Root-owned files below the folders that eventd owns; nothing in a home."""

    async def put(self, path: str, content: bytes, *, mode: int) -> Sequence[str]:
        """Write atomically: temporary file, fsync, rename, fsync of the folder; make missing folders (0755).

        Return the folders that it made.
        """
        ...

    async def remove(self, path: str) -> Sequence[str]:
        """Unlink a file, then its empty parents below an owned root. The file may be missing.

        Return the parents that it removed.
        """
        ...

    async def read(self, path: str) -> FileState | None:
        """Return the state of the path, without following a symlink."""
        ...

    async def scan(self, folder: str) -> Mapping[str, FileState]:
        """Return all files and symlinks below `folder` by absolute path; a missing folder is empty."""
        ...


class FileWatch(Protocol):
    """Keeps the FILE facts of every file below the watched folders current."""

    async def watch(self, folder: str) -> None:
        """Watch `folder` recursively, even if it does not exist yet, then read it. Idempotent."""
        ...

    async def refresh(self, path: str) -> None:
        """Read one path of a watched folder now and set its fact, in order with inotify's changes."""
        ...

    async def unwatch(self, folder: str) -> None:
        """Stop watching the folder, and remove its FILE facts."""
        ...
