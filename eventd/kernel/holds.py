"""Holds: which subjects a policy holds, since when, why, and until when that is acceptable.

A hold is no failure until its deadline. After it the subject is failed, with the missing predicate as the reason; the
missing fact still wakes it when it comes. Another content begins a new hold. A run never waits for a hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from eventd.kernel.model.report import Outcome, WorkloadReport
from eventd.kernel.status_store import Held, Records


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a hold may last before it is a failure."""

    seconds: float = math.inf
    hint: str = ""
    """How to allow more time."""


FOR_EVER = Patience()


@dataclass(slots=True)
class Holds:
    """The holds of all subjects."""

    records: Records

    def __iter__(self) -> Iterator[str]:
        """Yield the subjects that are held."""
        return iter(tuple(self.records.holding))

    def get(self, name: str) -> Held | None:
        """Return the recorded hold of a subject."""
        record = self.records.get(name)
        return record.held if record is not None else None

    def note(
        self,
        name: str,
        digest: str,
        report: WorkloadReport,
        now: float,
        patience: Patience = FOR_EVER,
    ) -> WorkloadReport:
        """Record a report of `held`. Return it, or a failure once the hold has lasted longer than its patience."""
        last = self.get(name)
        same = last is not None and last.digest == digest and last.reason == report.reason
        since = last.since if last is not None and same else now
        held = Held(digest, report.reason, report, since, since + patience.seconds)
        if now >= held.deadline:
            held.overdue = True
            held.report = replace(
                report,
                outcome=Outcome.FAILED,
                reason="gate-timeout",
                message=f"{report.message}, after {patience.seconds:g} s",
                hint=f"{report.hint}; {patience.hint}" if report.hint else patience.hint,
            )
        self.records.set_held(name, held)
        return held.report

    def clear(self, name: str) -> None:
        """Drop the hold of a subject."""
        self.records.set_held(name, None)

    def same(
        self, name: str, digest: str, waits_for: tuple[str, ...], now: float, patience: Callable[[str], float]
    ) -> bool:
        """Return whether this hold of this content has been reported and is unchanged.

        `patience`: reason -> seconds that a hold may last, according to the active revision.
        """
        held = self.get(name)
        if held is None or held.digest != digest or held.report.waits_for != waits_for:
            return False
        if held.deadline != held.since + patience(held.reason):
            return False  # a new revision changed its deadline
        return held.overdue or now < held.deadline

    def next_deadline(self) -> float | None:
        """Return the loop time of the earliest deadline that has not been reported."""
        return min((held.deadline for _, held in self._all() if not held.overdue), default=None)

    def due(self, now: float) -> list[str]:
        """Return the subjects whose deadline has passed and was not reported yet."""
        return [name for name, held in self._all() if not held.overdue and held.deadline <= now]

    def _all(self) -> list[tuple[str, Held]]:
        return list(self.records.holding.items())
