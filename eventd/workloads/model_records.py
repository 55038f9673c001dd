"""What eventd remembers: which resources it made, in which transaction, and what it last verified.

Ownership is a record, not a group: what has no record here is never changed or removed. The runtime keeps
`Records` in memory and writes every change through to the database first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Ownership(StrEnum):
    """How an account came into eventd's hands."""

    CREATED = "created"
    ADOPTED = "adopted"


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """The content that a unit was last started with."""

    digest: str
    run: int


@dataclass(frozen=True, slots=True)
class StartedWith:
    """The contents of the host's files that a unit was last started with."""

    files: dict[str, str]
    """Path as the workload writes it -> keyed digest, `-` where there was no file."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file that eventd wrote."""

    digest: str
    run: int


@dataclass(frozen=True, slots=True)
class FolderRecord:
    """A folder that eventd made: of its files, or a home."""

    uid: int
    """Whose account it was made for."""
    run: int


@dataclass(frozen=True, slots=True)
class WorkloadRecord:
    """One account and what stands on it."""

    name: str
    uid: int
    ownership: Ownership
    run: int
    """The run that made or adopted the account."""
    retained: bool = False
    """Left the repository: stopped, its account and data kept."""
    verified_digest: str = ""
    """`Workload.digest` that was last seen up and stable, empty: never, or not since it changed."""
    verified_commit: str = ""
    verified_at: float = 0.0
    """Seconds since the epoch."""
    lingering: bool = False
    """eventd enabled lingering, so it may disable it."""


LOSSES = "state-loss"
"""Kind of document: a `StateLoss` by its time."""


@dataclass(frozen=True, slots=True)
class StateLoss:
    """The state file was damaged or gone, and another was begun."""

    at: float
    """Seconds since the epoch."""
    why: str
    kept: str
    """Where the damaged file is, empty if there was none."""
    restored: tuple[str, ...] = ()
    """Workloads that are eventd's by a mark outside of the file."""
    unproven: tuple[str, ...] = ()
    """Workloads with a mark that does not fit the account as it is now: left alone."""
    acknowledged: bool = False


@dataclass(slots=True)
class Records:
    """The memory image."""

    workloads: dict[str, WorkloadRecord] = field(default_factory=dict)
    units: dict[str, dict[str, UnitRecord]] = field(default_factory=dict)
    """Workload -> unit -> record."""
    files: dict[str, dict[str, FileRecord]] = field(default_factory=dict)
    """Workload -> absolute path -> record."""
    started: dict[str, dict[str, StartedWith]] = field(default_factory=dict)
    """Workload -> unit -> the files that it was started with."""
    granted: dict[str, int] = field(default_factory=dict)
    """Account -> uid: handed over by root, and not taken yet."""
    unloaded: set[str] = field(default_factory=set)
    """Workloads with files written or removed since their manager last read its files. The journal knows it: a file
    step that no finished reload, start or stop of the manager has followed."""

    def ours(self, name: str, uid: int) -> bool:
        """Tell whether an account is eventd's, or was handed over: what is anybody else's is not even looked into."""
        record = self.workloads.get(name)
        return (record is not None and record.uid == uid) or self.granted.get(name) == uid

    def unit(self, workload: str, unit: str) -> UnitRecord | None:
        """Return what is remembered of a unit."""
        return self.units.get(workload, {}).get(unit)

    def started_with(self, workload: str, unit: str) -> StartedWith | None:
        """Return the host's files that a unit was last started with."""
        return self.started.get(workload, {}).get(unit)

    def file(self, workload: str, path: str) -> FileRecord | None:
        """Return what is remembered of a file."""
        return self.files.get(workload, {}).get(path)
