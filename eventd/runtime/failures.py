"""What has failed and when it is tried again: per workload, in memory.

A failure belongs to a content. Another content, an operator's request, or a change of a fact that it failed on forgets
the waiting; time alone brings a retry only by the backoff, and never for what only a change can cure. Such a failure is
ended by that change: a judgement by the next look that judges otherwise (the outlook sees to that), anything else by
one of the facts that it names. One that names none is tried again by time, whatever its reason: nothing else would end
it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from eventd.core import backoff
from eventd.core.provenance import Code
from eventd.core.report import WorkloadReport

FORGET = 600.0
"""Seconds of quiet after which the count begins anew."""
HEALS = 5
"""Repairs of one workload within FORGET that are made at once; from then on they wait as failures do."""
MANY = 5
WAKE_PAUSE = 1.0
FINAL = frozenset({"start-limit-hit", "account-exists", "protected", *Code})
"""Reasons that time does not cure: only a changed fact, a changed content, or a request."""


@dataclass(slots=True)
class Failure:
    """The last failure of one workload."""

    digest: str
    report: WorkloadReport
    attempts: int
    at: float
    """Loop time, as `retry_at`."""
    retry_at: float | None
    """None: not by time. 0: now, a run for it is on its way."""


@dataclass(slots=True)
class Failures:
    """All of them."""

    rows: dict[str, Failure] = field(default_factory=dict)
    heals: dict[str, deque[float]] = field(default_factory=dict)
    loops: dict[str, int] = field(default_factory=dict)
    """How often a workload was found to need repair over and over."""

    def note(self, name: str, digest: str, report: WorkloadReport, now: float, jitter: float) -> Failure:
        """Remember a failure and set its retry."""
        last = self.rows.get(name)
        attempts = max(1, self.loops.get(name, 0))
        if last is not None and last.digest == digest and now - last.at < FORGET:
            attempts = last.attempts + 1
        final = report.reason in FINAL and (report.judged or bool(report.wakes_on))
        retry_at = None if final else now + backoff.delay(attempts, jitter)
        self.rows[name] = failure = Failure(digest, report, attempts, now, retry_at)
        return failure

    def repair(self, name: str, now: float) -> bool:
        """Count one repair of what had been verified; return False if repairing is not the answer any more.

        A unit without `Restart=` that dies every half minute is a crash loop too, only a slow one.
        """
        times = self.heals.setdefault(name, deque(maxlen=HEALS))
        often = len(times) == HEALS and now - times[0] < FORGET
        times.append(now)
        if not often:
            self.loops.pop(name, None)
            return True
        if name in self.rows:
            return True  # its backoff has just ended
        self.loops[name] = self.loops.get(name, 0) + 1
        return False

    def may_start(self, name: str, digest: str, now: float) -> bool:
        """Tell whether a start may be tried now."""
        failure = self.rows.get(name)
        if failure is None or failure.digest != digest:
            return True
        return failure.retry_at is not None and failure.retry_at <= now

    def wake(self, name: str, now: float) -> None:
        """A fact that it failed on has changed: try at once.

        Not for ever, since a start that fails can be what makes the fact change: after five failures in a row there is
        a pause of a second between two such retries.
        """
        failure = self.rows.get(name)
        if failure is None or failure.report.judged:
            return  # what was judged is judged anew at each look
        soonest = failure.at + (WAKE_PAUSE if failure.attempts >= MANY else 0.0)
        if now >= soonest:
            failure.retry_at = 0.0
        else:
            failure.retry_at = soonest if failure.retry_at is None else min(failure.retry_at, soonest)

    def is_of_another(self, name: str, digest: str) -> bool:
        """Tell whether the failure on record is of another content."""
        failure = self.rows.get(name)
        return failure is not None and failure.digest != digest

    def clear(self, name: str) -> None:
        """Forget: it is up."""
        self.rows.pop(name, None)

    def forget_all(self) -> None:
        """An operator asked: everything gets another chance."""
        for failure in self.rows.values():
            failure.retry_at = 0.0
        self.heals.clear()
        self.loops.clear()

    def forget(self, name: str) -> None:
        """An operator asked for one: it gets another chance."""
        if name in self.rows:
            self.rows[name].retry_at = 0.0
        self.heals.pop(name, None)
        self.loops.pop(name, None)

    def is_waiting(self, name: str) -> bool:
        """Tell whether time will bring a retry; what has had it waits for events alone."""
        failure = self.rows.get(name)
        return failure is not None and bool(failure.retry_at)

    def next_retry(self) -> float | None:
        """Return the loop time of the earliest retry."""
        return min((f.retry_at for f in self.rows.values() if f.retry_at), default=None)

    def take_due(self, now: float) -> list[str]:
        """Return whose retry is due, each once."""
        due = [name for name, f in self.rows.items() if f.retry_at and f.retry_at <= now]
        for name in due:
            self.rows[name].retry_at = 0.0
        return due
