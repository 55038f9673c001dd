"""The kernel's ports: the host lock, the journal, documents, and the desired revision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.journal import OpenStep
from eventd.kernel.model.report import RunReport


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The process that holds a lock, according to the Linux kernel."""

    pid: int
    command: str = ""
    """Its command name, which it chooses itself. Empty: it has ended, and a child still has the lock."""

    @property
    def text(self) -> str:
        """How it is named in a sentence."""
        return f"process {self.pid} ({self.command})" if self.command else f"process {self.pid}"


class HostLock(Protocol):
    """The file lock that keeps runs serial across processes (flock(2))."""

    async def acquire(
        self, *, timeout: float, waiting: Callable[[LockHolder | None], None] | None = None
    ) -> None:
        """Take the lock. Raises DeadlineError, which names the process that holds it.

        `waiting(holder)` is called once, as soon as another process (None: an unknown one) is found to hold it.
        """
        ...

    def release(self) -> None:
        """Release the lock."""
        ...

    @property
    def contended(self) -> int:
        """How often it was held by another process."""
        ...


class DocumentStore(Protocol):
    """Documents on disk. A write returns once it is durable."""

    async def documents(self, kind: str) -> Mapping[str, str]:
        """Return every document of a kind: key -> JSON text."""
        ...

    async def put_documents(self, rows: Sequence[tuple[str, str, str | None]]) -> None:
        """Write (kind, key, text) rows in one transaction. A text of None deletes the row."""
        ...


class Due(Protocol):
    """A timer that makes subjects dirty."""

    def next_due(self) -> float | None:
        """Return the loop time at which the next subject is due."""
        ...

    def take_due(self, now: float) -> list[str]:
        """Return the subjects that are due, each once."""
        ...


class RunStore(Protocol):
    """The runs on disk. Each method returns once its row is durable."""

    async def begin_run(self, started: float, commit: str, triggers: str) -> int:
        """Open a run. Return its number, which is unique on this host."""
        ...

    async def end_run(self, report: RunReport) -> None:
        """Close a run with its report."""
        ...


class Recovery(Protocol):
    """The steps that the previous daemon process left open."""

    @property
    def pending(self) -> Sequence[OpenStep]:
        """Steps that are not settled yet."""
        ...

    @property
    def done(self) -> bool:
        """Nothing is left to settle."""
        ...

    async def finish(self) -> None:
        """Settle the remaining steps. What cannot be written is retried before the next run."""
        ...


class Problems(Protocol):
    """Problems of the host or of a whole run, not of one subject."""

    def note_lock(self, error: EventdError | None) -> None:
        """Set the error that another process holds the lock; None: it does not any more."""
        ...

    def note_run(self, error: EventdError | None) -> None:
        """Set the error that a run failed or could not be recorded; None: the next one succeeded."""
        ...

    def of_a_run(self) -> str:
        """Return why a run fails as a whole; empty if it does not."""
        ...


class Revision(Protocol):
    """The desired revision of the host."""

    @property
    def commit(self) -> str:
        """The active commit; empty before the first one."""
        ...

    @property
    def is_pending(self) -> bool:
        """Whether the first fetch is still running: no commit is known yet, and nothing is wrong."""
        ...

    @property
    def wanted(self) -> object:
        """The commit that should become active."""
        ...

    @property
    def error(self) -> EventdError | None:
        """Why the wanted commit could not be activated."""
        ...

    def on_wanted(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever another commit is wanted."""
        ...

    async def refresh(self) -> bool:
        """Activate the wanted commit. Return whether one that failed before is active now."""
        ...

    async def end_overrides(self) -> None:
        """End the overrides that no longer apply. Raises what writing raises."""
        ...


class StepStore(Protocol):
    """The journal on disk. Each method returns once its row is durable."""

    async def begin_step(self, run: int, workload: str, verb: str, target: str, detail: str = "") -> int:
        """Write the intent of a step, with the JSON that settling it would need. Return its number."""
        ...

    async def end_step(self, step: int, result: str, note: str = "") -> None:
        """Write the result of a step: `done`, the reason of its failure, or (with a note) how it was settled."""
        ...
