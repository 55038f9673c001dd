"""Workloads that a gate holds: since when, by what, and until when that is still in order.

A hold is no failure until its deadline. After it the workload is failed, with the missing predicate as the reason; the
fact's later arrival wakes it all the same. A new content begins a new hold, and nothing ever waits inside a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from eventd.kernel.model.report import Outcome, WorkloadReport
from eventd.kernel.status_store import Held, Records


@dataclass(frozen=True, slots=True)
class Patience:
    """For how many seconds a hold is in order."""

    seconds: float = math.inf
    hint: str = ""
    """What to do where that is too short."""


FOR_EVER = Patience()


@dataclass(slots=True)
class Holds:
    """The holds of all subjects."""

    records: Records

    def __iter__(self) -> Iterator[str]:
        """Yield who is held."""
        return iter(tuple(self.records.holding))

    def get(self, name: str) -> Held | None:
        """Return the hold on record."""
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
        """Take in a report of `held`; return it, or a failure once the hold is older than its subject's patience."""
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
        """Forget: it waits no longer."""
        self.records.set_held(name, None)

    def same(
        self, name: str, digest: str, waits_for: tuple[str, ...], now: float, patience: Callable[[str], float]
    ) -> bool:
        """Tell whether this hold of this content has been reported, and nothing about it is news.

        `patience`: for how many seconds a hold for a reason is in order, as the revision in force says.
        """
        held = self.get(name)
        if held is None or held.digest != digest or held.report.waits_for != waits_for:
            return False
        if held.deadline != held.since + patience(held.reason):
            return False  # a new revision gives it more time, or less
        return held.overdue or now < held.deadline

    def next_deadline(self) -> float | None:
        """Return the loop time of the earliest deadline that has not been reported."""
        return min((held.deadline for _, held in self._all() if not held.overdue), default=None)

    def due(self, now: float) -> list[str]:
        """Return whose deadline has passed unreported."""
        return [name for name, held in self._all() if not held.overdue and held.deadline <= now]

    def _all(self) -> list[tuple[str, Held]]:
        return list(self.records.holding.items())
