"""What the kernel needs of the world and of the domains: a lock, a journal, documents, and what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.journal import OpenStep
from eventd.kernel.model.report import RunReport


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


class Due(Protocol):
    """What a time alone makes dirty."""

    def next_due(self) -> float | None:
        """Return the loop time at which the next subject is due."""
        ...

    def take_due(self, now: float) -> list[str]:
        """Return which are due, each once."""
        ...


class RunStore(Protocol):
    """The runs on the disk; each method returns when its row is there."""

    async def begin_run(self, started: float, commit: str, triggers: str) -> int:
        """Open a run and return its number, which no other run of this host has."""
        ...

    async def end_run(self, report: RunReport) -> None:
        """Close a run with its report."""
        ...


class Recovery(Protocol):
    """What the last life left open."""

    @property
    def pending(self) -> Sequence[OpenStep]:
        """Steps that are not settled yet."""
        ...

    @property
    def done(self) -> bool:
        """Nothing is left to settle."""
        ...

    async def finish(self) -> None:
        """Settle what is left; what cannot be written is tried before the next run."""
        ...


class Problems(Protocol):
    """What is wrong with everything, not with one subject."""

    def note_lock(self, error: EventdError | None) -> None:
        """Somebody keeps a run from beginning, or nobody does any more."""
        ...

    def note_run(self, error: EventdError | None) -> None:
        """A run could not be made or written down, or the next one was."""
        ...

    def of_a_run(self) -> str:
        """Return what fails a run as a whole; empty if nothing does."""
        ...


class Revision(Protocol):
    """What is wanted of the host."""

    @property
    def commit(self) -> str:
        """The commit that is active; empty before the first one."""
        ...

    @property
    def is_pending(self) -> bool:
        """The first fetch is still on: no commit is known, and nothing is wrong."""
        ...

    @property
    def wanted(self) -> object:
        """The commit that is wanted."""
        ...

    @property
    def error(self) -> EventdError | None:
        """Why the wanted commit is not active."""
        ...

    def on_wanted(self, listener: Callable[[], None]) -> None:
        """Call `listener` each time that another commit is wanted."""
        ...

    async def refresh(self) -> bool:
        """Make the wanted commit the active one; return whether one that could not be made so is now."""
        ...

    async def end_overrides(self) -> None:
        """End the overrides whose cause is gone. Raises what writing raises."""
        ...


class StepStore(Protocol):
    """The journal on the disk; each method returns when its row is there."""

    async def begin_step(self, run: int, workload: str, verb: str, target: str, detail: str = "") -> int:
        """Write the intent of a step, with what settling it would need (JSON); return its number."""
        ...

    async def end_step(self, step: int, result: str, note: str = "") -> None:
        """Write the result of a step: `done`, the reason of its failure, or (with a note) how it was settled."""
        ...
