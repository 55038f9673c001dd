"""The ports: what the runtime and the handlers need of the world, as protocols.

Adapters implement them for a real host, `eventd_simulators` for a simulated one. All errors are
`EventdError`s; every method that waits takes its deadline in seconds and raises `DeadlineError` at it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from eventd.adoption.model import Signs
from eventd.adoption.model_finds import Finds, Moved
from eventd.desired.model import Tree
from eventd.kernel.model.journal import OpenStep
from eventd.kernel.model.report import RunReport
from eventd.platform.model_facts import Account, FileState, UnitState
from eventd.updates.model_images import Image, Running
from eventd.workloads.model_records import FileRecord, Records, UnitRecord, WorkloadRecord


class Verb(StrEnum):
    """A call of org.freedesktop.systemd1.Manager that creates a job, in the mode `replace`.

    The value is the method's name.
    """

    START = "StartUnit"
    STOP = "StopUnit"
    RESTART = "RestartUnit"


@dataclass(frozen=True, slots=True)
class JobResult:
    """`JobRemoved`: result is done, canceled, timeout, failed, dependency, skipped, invalid, …."""

    unit: str
    result: str

    @property
    def done(self) -> bool:
        """The job did what it was for (a skipped start is a unit that is on already, or a failed condition)."""
        return self.result in ("done", "skipped")


class Manager(Protocol):
    """A systemd manager: the system's, or one user's (org.freedesktop.systemd1.Manager)."""

    @property
    def scope(self) -> str:
        """`""` for the system's, else the user's name."""
        ...

    async def read_unit(self, name: str) -> UnitState:
        """Return the unit as it is now (LoadUnit and GetAll); LoadState not-found is a value, not an error."""
        ...

    async def job(self, verb: Verb, unit: str, *, timeout: float) -> JobResult:
        """Create the job and await its JobRemoved, subscribed to before the call.

        Raises PermanentError(reason="no-such-unit" | "unit-masked" | …) when the manager refuses to make the job.
        """
        ...

    async def reload(self, *, timeout: float) -> None:
        """Reload unit files, and return when the manager has finished (Reloading(false))."""
        ...

    async def reset_failed(self, unit: str) -> None:
        """Forget the unit's failure and its start-limit counter; a unit that is not loaded is no error."""
        ...


class UserManagers(Protocol):
    """The managers of the workloads' users. Facts about their units are kept current by signals while connected."""

    async def connect(self, account: Account, *, timeout: float) -> Manager:
        """Return the connected manager: subscribed, its watched units read, the MANAGER fact `up`. Idempotent.

        Raises TemporaryError(reason="user-manager-unavailable").
        """
        ...

    def watch(self, user: str, units: frozenset[str]) -> None:
        """Set whose full `UnitState` is kept as a fact (others may be partial). Takes effect at once if connected."""
        ...

    async def refresh(self, user: str) -> None:
        """Read all watched units of a connected user afresh; does nothing where there is no connection."""
        ...

    async def disconnect(self, user: str) -> None:
        """Close the connection and forget the user's unit facts."""
        ...


class Logins(Protocol):
    """logind (org.freedesktop.login1.Manager)."""

    async def set_linger(self, user: Account, enable: bool, *, timeout: float) -> None:  # noqa: FBT001
        """SetUserLinger; returns when logind has answered and the LINGER fact is set."""
        ...


class AccountSigns(Protocol):
    """What tells that a person uses an account."""

    async def read(self, account: Account, *, timeout: float) -> Signs:
        """Look now; a home that cannot be looked into within `timeout` seconds is a sign too."""
        ...


class AccountInspector(Protocol):
    """What an account has of its own that runs containers; asked as that account."""

    async def inspect(self, account: Account, *, timeout: float) -> Finds:
        """Return what there is. Raises PermanentError(reason="home-unknown")."""
        ...

    async def move_aside(self, account: Account, folder: str, *, timeout: float) -> Moved:
        """Stop the units of its own files, and move these into `folder` of its home. Raises as `inspect`."""
        ...


class Accounts(Protocol):
    """passwd, group, shadow, subuid: useradd(8) and NSS."""

    async def lookup(self, name: str) -> Account | None:
        """Return the account from NSS with its subordinate ranges, or None."""
        ...

    async def create(self, name: str, *, timeout: float) -> Account:
        """Create a regular account with a home, no password, no login shell, and subordinate id ranges.

        Raises PermanentError(reason="account-exists") if there is one: it is never adopted here.
        """
        ...

    async def rename(self, old: Account, new: str, *, timeout: float) -> Account:
        """Give an account another name, and its group with it; uid, home and subordinate ids stay. Idempotent.

        `old`: as it was before the first attempt. Raises PermanentError(reason="account-exists" | "no-account").
        """
        ...

    async def complete(self, account: Account, *, timeout: float) -> Account:
        """Add subordinate id ranges where they are missing; return the account as it is then. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """What is in a home."""

    files: int
    bytes: int
    """Of disk space (st_blocks), counted once for each name."""
    complete: bool
    """All of it was counted."""
    top: tuple[str, ...] = ()
    """The names directly in it, sorted; at most 50."""


class AccountRemoval(Protocol):
    """The end of an account that eventd made: everything here destroys, and nothing of it can be undone."""

    async def refusal(self, account: Account) -> str:
        """Return why the account must not be deleted (a person uses it, its uid is a system's), or an empty text."""
        ...

    async def measure(self, account: Account, *, timeout: float) -> Measured:
        """Count what is in the home, as far as that can be done in the time."""
        ...

    async def end_processes(self, account: Account, *, timeout: float) -> None:
        """Kill what runs under the account's uid and subordinate ids, and return when none of it is left."""
        ...

    async def discard_home(self, account: Account, *, timeout: float) -> None:
        """Delete the home with everything in it, following nothing. Idempotent; goes on where it was cut off."""
        ...

    async def sweep(self, account: Account, *, timeout: float) -> tuple[str, ...]:
        """Remove what it owns outside of its home; return what stays, each as a path and why. Idempotent.

        After `end_processes`: temporary folders, spools, shared memory and other System V objects.
        """
        ...

    async def delete(self, account: Account, *, timeout: float) -> None:
        """Delete the account with its group and subordinate ids (userdel(8)). Idempotent."""
        ...


class Files(Protocol):
    """Root-owned files below the folders that eventd owns; nothing in a home."""

    async def put(self, path: str, content: bytes, *, mode: int) -> Sequence[str]:
        """Write atomically: temporary file, fsync, rename, fsync of the folder; make missing folders (0755).

        Return the folders that it made.
        """
        ...

    async def remove(self, path: str) -> Sequence[str]:
        """Unlink a file, then its parents as far as they are empty and below an owned root; absent is no error.

        Return the parents that it removed.
        """
        ...

    async def read(self, path: str) -> FileState | None:
        """Return what stands at the path, without following a symlink."""
        ...

    async def scan(self, folder: str) -> Mapping[str, FileState]:
        """Return all regular files, symlinks and others below `folder` by absolute path; an absent folder is empty."""
        ...


class FileWatch(Protocol):
    """inotify on the owned folders: FILE facts of every file below a watched folder are kept current."""

    async def watch(self, folder: str) -> None:
        """Watch `folder` recursively, also if it does not exist yet, then read it. Idempotent."""
        ...

    async def refresh(self, path: str) -> None:
        """Read one path of a watched folder now and set its fact, in order with what inotify tells of it."""
        ...

    async def unwatch(self, folder: str) -> None:
        """Stop that and forget its FILE facts."""
        ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch found."""

    commit: str
    """Full object id of the branch's head."""
    previous: str
    """What the branch pointed to before, or empty."""


class Repository(Protocol):
    """The git repository."""

    async def fetch(self) -> Fetched:
        """Bring the branch up to date; verify its signature and ancestry if the configuration says so.

        Raises TemporaryError (network, remote) or PermanentError(reason="unsigned" | "rewritten" | …).
        """
        ...

    async def current(self) -> str | None:
        """Return the last accepted commit that is on the disk, without the network; None before the first fetch."""
        ...

    async def tree(self, commit: str) -> Tree:
        """Read all files of a commit."""
        ...

    async def resolve(self, text: str) -> str:
        """Return the full id of a commit that `text` begins, if the current one descends from it (or is it).

        Without the network. Raises PermanentError(reason="no-such-commit").
        """
        ...


class Images(Protocol):
    """Container images, in the store of a workload's user and at registries."""

    async def inspect(self, account: Account, references: Sequence[str]) -> Mapping[str, Image]:
        """Return those of the references (or ids) that the user's store has."""
        ...

    async def running(self, account: Account) -> Sequence[Running]:
        """Return the user's containers that run under a unit."""
        ...

    async def last_check(self, account: Account, container: str) -> str:
        """Return what the last health check of a container printed; empty if there was none, or it is gone."""
        ...

    async def complaint(self, account: Account) -> str:
        """Return what podman says of its own store that is wrong; empty where it can read it."""
        ...

    async def set_aside(self, account: Account, path: str, aside: str) -> None:
        """Rename a file of the user's, as the user. Raises PermanentError(reason="not-set-aside")."""
        ...

    async def pull(self, account: Account, reference: str, *, timeout: float) -> None:
        """Pull; the tag in the store moves. Raises TemporaryError(reason="pull-failed")."""
        ...

    async def tag(self, account: Account, image: str, reference: str) -> None:
        """Let a reference name an image. Raises PermanentError(reason="image-gone")."""
        ...

    async def newer(
        self, account: Account, reference: str, local: Image | None, *, timeout: float
    ) -> bool | None:
        """Tell whether the registry has another image than the store, without pulling it; None: cannot be told.

        Raises TemporaryError(reason="registry-unreachable").
        """
        ...


class UnitLog(Protocol):
    """The journal, for reports."""

    async def tail(
        self, account: Account | None, unit: str, *, lines: int, invocation: str = ""
    ) -> Sequence[str]:
        """Return the last lines of a unit (user unit if `account` is given); an empty list when none can be read."""
        ...


class Listeners(Protocol):
    """Who has a TCP port of this host open."""

    async def on(self, port: int) -> Sequence[tuple[str, int | None]]:
        """Return unit and uid (None: the system's manager runs it) of each; empty where the kernel cannot tell."""
        ...


class QuadletGenerator(Protocol):
    """The host's own Quadlet generator, as a check."""

    async def dry_run(self, files: Mapping[str, bytes]) -> Sequence[str]:
        """Return its complaints as lines, empty if it accepts the files."""
        ...


class Store(Protocol):
    """The durable memory. Every method returns when its change is on the disk."""

    async def load(self) -> Records:
        """Return everything that is remembered."""
        ...

    async def markers(self) -> Mapping[str, WorkloadRecord]:
        """Return the copies of workloads' records that are kept outside of the database: never behind its rows."""
        ...

    async def put_workload(self, record: WorkloadRecord) -> None:
        """Insert or replace."""
        ...

    async def forget_workload(self, name: str) -> None:
        """Delete the record of a workload, and those of its units and files, in one transaction."""
        ...

    async def put_unit(self, workload: str, unit: str, record: UnitRecord | None) -> None:
        """Insert or replace; None deletes."""
        ...

    async def put_file(self, workload: str, path: str, record: FileRecord | None) -> None:
        """Insert or replace; None deletes."""
        ...

    async def documents(self, kind: str) -> Mapping[str, str]:
        """Return every document of a kind: key -> JSON text. `kernel.document_table` gives them types."""
        ...

    async def put_documents(self, rows: Sequence[tuple[str, str, str | None]]) -> None:
        """Write (kind, key, text) rows in one transaction, all or none; a text of None deletes."""
        ...

    async def begin_run(self, started: float, commit: str, triggers: str) -> int:
        """Open a run and return its number, which no other run of this host has."""
        ...

    async def begin_step(self, run: int, workload: str, verb: str, target: str, detail: str = "") -> int:
        """Write the intent of a step, with what settling it would need (JSON); return its number."""
        ...

    async def end_step(self, step: int, result: str, note: str = "") -> None:
        """Write the result of a step: `done`, the reason of its failure, or (with a note) how it was settled."""
        ...

    async def end_run(self, report: RunReport) -> None:
        """Close a run with its report."""
        ...

    async def open_steps(self) -> Sequence[OpenStep]:
        """Return what a crash left open, oldest first."""
        ...

    async def close_runs(self) -> Sequence[int]:
        """Mark open runs as interrupted; return their numbers."""
        ...

    async def runs(self, limit: int) -> Sequence[str]:
        """Return the last reports as JSON texts, newest first."""
        ...


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
