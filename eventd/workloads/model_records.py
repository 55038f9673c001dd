"""The records of eventd: which resources it made, in which run, and what it last verified.

Ownership is a record, not a group: what has no record here is never changed or removed. The runtime keeps
`Records` in memory and writes every change through to the database first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Ownership(StrEnum):
    """How eventd came to manage an account."""

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
    """The account it was made for."""
    run: int


@dataclass(frozen=True, slots=True)
class WorkloadRecord:
    """One account and its state."""

    name: str
    uid: int
    ownership: Ownership
    run: int
    """The run that made or adopted the account."""
    retained: bool = False
    """It left the repository: stopped, with account and data kept."""
    verified_digest: str = ""
    """The `Workload.digest` that was last verified; empty: never, or not since it changed."""
    verified_commit: str = ""
    verified_at: float = 0.0
    """Seconds since the epoch."""
    lingering: bool = False
    """eventd enabled lingering, so it may disable it."""


LOSSES = "state-loss"
"""Kind of document: a `StateLoss` by its time."""


@dataclass(frozen=True, slots=True)
class StateLoss:
    """The state file was damaged or missing, and a new one was made."""

    at: float
    """Seconds since the epoch."""
    why: str
    kept: str
    """Path of the damaged file, empty if there was none."""
    restored: tuple[str, ...] = ()
    """Workloads that are eventd's by an ownership marker outside the file."""
    unproven: tuple[str, ...] = ()
    """Workloads with an ownership marker that does not match the current account: left alone."""
    acknowledged: bool = False


@dataclass(slots=True)
class Records:
    """All records, in memory."""

    workloads: dict[str, WorkloadRecord] = field(default_factory=dict)
    units: dict[str, dict[str, UnitRecord]] = field(default_factory=dict)
    """Workload -> unit -> record."""
    files: dict[str, dict[str, FileRecord]] = field(default_factory=dict)
    """Workload -> absolute path -> record."""
    started: dict[str, dict[str, StartedWith]] = field(default_factory=dict)
    """Workload -> unit -> the files that it was started with."""
    granted: dict[str, int] = field(default_factory=dict)
    """Account -> uid: handed over by root, and not adopted yet."""
    unloaded: set[str] = field(default_factory=set)
    """Workloads with files written or removed since their manager last read its files. The journal knows it: a file
    step that no finished reload, start or stop of the manager has followed."""

    def ours(self, name: str, uid: int) -> bool:
        """Return whether eventd manages an account, or it was handed over; other accounts are not even read."""
        record = self.workloads.get(name)
        return (record is not None and record.uid == uid) or self.granted.get(name) == uid

    def unit(self, workload: str, unit: str) -> UnitRecord | None:
        """Return the record of a unit."""
        return self.units.get(workload, {}).get(unit)

    def started_with(self, workload: str, unit: str) -> StartedWith | None:
        """Return the host's files that a unit was last started with."""
        return self.started.get(workload, {}).get(unit)

    def file(self, workload: str, path: str) -> FileRecord | None:
        """Return the record of a file."""
        return self.files.get(workload, {}).get(path)
