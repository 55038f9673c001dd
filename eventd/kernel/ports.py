"""What the kernel needs of the world: the lock of this host's runs, and a place for documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LockHolder:
    """A process that holds a lock, as the kernel says."""

    pid: int
    command: str = ""
    """What it calls itself, which is its own word; empty: it has ended, and a child of it has the lock."""

    @property
    def text(self) -> str:
        """Name it in a sentence."""
        return f"process {self.pid} ({self.command})" if self.command else f"process {self.pid}"


class HostLock(Protocol):
    """The file lock that keeps runs serial across processes (flock(2))."""

    async def acquire(
        self, *, timeout: float, waiting: Callable[[LockHolder | None], None] | None = None
    ) -> None:
        """Take the lock; raises DeadlineError naming the process that holds it.

        `waiting(holder)` is called once, as soon as another process (None: an unknown one) is found to hold it.
        """
        ...

    def release(self) -> None:
        """Give it back."""
        ...

    @property
    def contended(self) -> int:
        """How often it was held by another process."""
        ...


class DocumentStore(Protocol):
    """Documents on the disk; a write returns when it is there."""

    async def documents(self, kind: str) -> Mapping[str, str]:
        """Return every document of a kind: key -> JSON text."""
        ...

    async def put_documents(self, rows: Sequence[tuple[str, str, str | None]]) -> None:
        """Write (kind, key, text) rows in one transaction, all or none; a text of None deletes."""
        ...
