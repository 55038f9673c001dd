"""The status store: one record for each subject, with its status, failure, hold and repairs.

Only `eventd.kernel.failures`, `eventd.kernel.holds` and `eventd.kernel.status_board` change the records.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from eventd.kernel.model.report import WorkloadReport, WorkloadStatus

REPAIRS = 5
"""Repairs of one subject within a while that are made at once. Further ones wait like failures."""


@dataclass(slots=True)
class Failure:
    """The last failure of one subject."""

    digest: str
    report: WorkloadReport
    attempts: int
    at: float
    """Loop time, as `retry_at`."""
    retry_at: float | None
    """Loop time. None: not retried by timer. 0: now, the subject is dirty."""


@dataclass(slots=True)
class Held:
    """The hold of one subject."""

    digest: str
    reason: str
    """Why it is held. The report has another reason once the deadline has passed."""
    report: WorkloadReport
    since: float
    """Loop time, as `deadline`."""
    deadline: float
    overdue: bool = False
    """The deadline has passed, and that was reported."""


@dataclass(slots=True)
class Record:
    """Everything known about one subject since the daemon started."""

    status: WorkloadStatus | None = None
    failure: Failure | None = None
    held: Held | None = None
    repairs: deque[float] = field(default_factory=lambda: deque(maxlen=REPAIRS))
    """Loop times at which it was repaired after it had been verified."""
    loops: int = 0
    """How often in a row it needed repair too often."""

    @property
    def is_empty(self) -> bool:
        """Whether the record says nothing."""
        return (
            self.status is None
            and self.failure is None
            and self.held is None
            and not (self.repairs or self.loops)
        )


class Records:
    """The records, by subject. A record exists while it says something."""

    __slots__ = ("_rows", "failing", "holding")

    def __init__(self) -> None:
        self._rows: dict[str, Record] = {}
        self.failing: dict[str, Failure] = {}
        """The failures of the records, by subject, to find the next retry without a scan of the records."""
        self.holding: dict[str, Held] = {}
        """The holds of the records, for the same reason."""

    def set_failure(self, name: str, failure: Failure | None) -> None:
        """Set or drop the failure of a subject."""
        if failure is not None:
            self.of(name).failure = self.failing[name] = failure
        elif (record := self._rows.get(name)) is not None:
            record.failure = None
            self.failing.pop(name, None)
            self.sweep(name)

    def set_held(self, name: str, held: Held | None) -> None:
        """Set or drop the hold of a subject."""
        if held is not None:
            self.of(name).held = self.holding[name] = held
        elif (record := self._rows.get(name)) is not None:
            record.held = None
            self.holding.pop(name, None)
            self.sweep(name)

    def get(self, name: str) -> Record | None:
        """Return the record of a subject, if there is one."""
        return self._rows.get(name)

    def of(self, name: str) -> Record:
        """Return the record of a subject; make one if there is none."""
        return self._rows.setdefault(name, Record())

    def sweep(self, name: str) -> None:
        """Drop the record of a subject if it says nothing."""
        record = self._rows.get(name)
        if record is not None and record.is_empty:
            del self._rows[name]

    def names(self) -> list[str]:
        """Return the subjects that have a record."""
        return list(self._rows)

    def items(self) -> Iterator[tuple[str, Record]]:
        """Yield a snapshot of the records, so that the caller may change them meanwhile."""
        yield from tuple(self._rows.items())


class Statuses(Mapping[str, WorkloadStatus]):
    """The statuses: a live view of the records."""

    __slots__ = ("_records",)

    def __init__(self, records: Records) -> None:
        self._records = records

    def __getitem__(self, name: str) -> WorkloadStatus:
        record = self._records.get(name)
        if record is None or record.status is None:
            raise KeyError(name)
        return record.status

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, record in self._records.items() if record.status is not None])

    def __len__(self) -> int:
        return sum(record.status is not None for _, record in self._records.items())

    def set(self, name: str, status: WorkloadStatus | None) -> None:
        """Set or drop the status of a subject."""
        if status is not None:
            self._records.of(name).status = status
        elif (record := self._records.get(name)) is not None:
            record.status = None
            self._records.sweep(name)
