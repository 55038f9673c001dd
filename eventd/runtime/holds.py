"""Workloads that a gate holds: since when, by what, and until when that is still in order.

A hold is no failure until its deadline. After it the workload is failed, with the missing predicate as the reason; the
fact's later arrival wakes it all the same. A new content begins a new hold, and nothing ever waits inside a run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from eventd.core.desired import Workload
from eventd.core.options_place import ANYWHERE, OptionsPlace
from eventd.core.report import VOLUME_AWAY, Outcome, WorkloadReport

LATE = "it starts as soon as that changes; if that may take longer, raise {}"


def patience_of(workload: Workload | None, reason: str) -> tuple[float, str]:
    """Return for how many seconds a hold is in order, and which option says so.

    Only a gate's ends: what a person holds, that person ends. A disk that is away is a person's doing, for as long as
    the workload does not say otherwise.
    """
    if workload is None:
        return math.inf, ""
    if reason == "gate":
        return workload.options.deadline, "health.deadline"
    if reason == VOLUME_AWAY and workload.options.volume_deadline is not None:
        return workload.options.volume_deadline, "storage.deadline"
    return math.inf, ""


@dataclass(slots=True)
class Held:
    """One workload that waits."""

    digest: str
    reason: str
    """Why it is held; the report has another once its deadline has passed."""
    report: WorkloadReport
    since: float
    """Loop time, as `deadline`."""
    deadline: float
    overdue: bool = False
    """Its deadline has passed, and that has been reported."""


@dataclass(slots=True)
class Holds:
    """All of them."""

    rows: dict[str, Held] = field(default_factory=dict)

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(tuple(self.rows))

    def note(
        self,
        name: str,
        digest: str,
        report: WorkloadReport,
        now: float,
        patience: float,
        option: str = "health.deadline",
        place: OptionsPlace = ANYWHERE,
    ) -> WorkloadReport:
        """Take in a report of `held`; return it, or a failure once the hold is older than `patience` seconds.

        `option`: what says how long that is, at `place`.
        """
        late = LATE.format(place.key(option))
        last = self.rows.get(name)
        same = last is not None and last.digest == digest and last.reason == report.reason
        since = last.since if last is not None and same else now
        held = Held(digest, report.reason, report, since, since + patience)
        if now >= held.deadline:
            held.overdue = True
            held.report = replace(
                report,
                outcome=Outcome.FAILED,
                reason="gate-timeout",
                message=f"{report.message}, after {patience:g} s",
                hint=f"{report.hint}; {late}" if report.hint else late,
            )
        self.rows[name] = held
        return held.report

    def clear(self, name: str) -> None:
        """Forget: it waits no longer."""
        self.rows.pop(name, None)

    def same(
        self, name: str, digest: str, waits_for: tuple[str, ...], now: float, workload: Workload | None
    ) -> bool:
        """Tell whether this hold of this content has been reported, and nothing about it is news."""
        held = self.rows.get(name)
        if held is None or held.digest != digest or held.report.waits_for != waits_for:
            return False
        if workload is not None and held.deadline != held.since + patience_of(workload, held.reason)[0]:
            return False  # a new revision gives it more time, or less
        return held.overdue or now < held.deadline

    def next_deadline(self) -> float | None:
        """Return the loop time of the earliest deadline that has not been reported."""
        return min((h.deadline for h in self.rows.values() if not h.overdue), default=None)

    def due(self, now: float) -> list[str]:
        """Return whose deadline has passed unreported."""
        return [name for name, h in self.rows.items() if not h.overdue and h.deadline <= now]
