"""What has failed and when it is tried again: per workload, in memory.

A failure belongs to a content. Another content, an operator's request, or a change of a fact that it failed on forgets
the waiting; time alone brings a retry only by the backoff, and never for what only a change can cure. Such a failure is
ended by that change: a judgement by the next look that judges otherwise (the planner sees to that), anything else by
one of the facts that it names. One that names none is tried again by time, whatever its reason: nothing else would end
it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from eventd.kernel.model import backoff
from eventd.kernel.model.report import WorkloadReport
from eventd.kernel.status_store import REPAIRS, Failure, Records

FORGET = 600.0
"""Seconds of quiet after which the count begins anew."""
MANY = 5
WAKE_PAUSE = 1.0


@dataclass(slots=True)
class Failures:
    """The failures of all subjects."""

    records: Records
    final: Collection[str] = ()
    """Reasons that no timer cures: only a changed fact, another content, or a request."""

    def get(self, name: str) -> Failure | None:
        """Return the failure on record."""
        record = self.records.get(name)
        return record.failure if record is not None else None

    def note(self, name: str, digest: str, report: WorkloadReport, now: float, jitter: float) -> Failure:
        """Remember a failure and set its retry."""
        record = self.records.of(name)
        last, attempts = record.failure, max(1, record.loops)
        if last is not None and last.digest == digest and now - last.at < FORGET:
            attempts = last.attempts + 1
        final = report.reason in self.final and (report.judged or bool(report.wakes_on))
        retry_at = None if final else now + backoff.delay(attempts, jitter)
        failure = Failure(digest, report, attempts, now, retry_at)
        self.records.set_failure(name, failure)
        return failure

    def repair(self, name: str, now: float) -> bool:
        """Count one repair of what had been verified; return False if repairing is not the answer any more.

        A unit without `Restart=` that dies every half minute is a crash loop too, only a slow one.
        """
        record = self.records.of(name)
        often = len(record.repairs) == REPAIRS and now - record.repairs[0] < FORGET
        record.repairs.append(now)
        if not often:
            record.loops = 0
            return True
        if record.failure is not None:
            return True  # its backoff has just ended
        record.loops += 1
        return False

    def may_start(self, name: str, digest: str, now: float) -> bool:
        """Tell whether a start may be tried now."""
        failure = self.get(name)
        if failure is None or failure.digest != digest:
            return True
        return failure.retry_at is not None and failure.retry_at <= now

    def wake(self, name: str, now: float) -> None:
        """A fact that it failed on has changed: try at once.

        Not for ever, since a start that fails can be what makes the fact change: after five failures in a row there is
        a pause of a second between two such retries.
        """
        failure = self.get(name)
        if failure is None or failure.report.judged:
            return  # what was judged is judged anew at each look
        soonest = failure.at + (WAKE_PAUSE if failure.attempts >= MANY else 0.0)
        if now >= soonest:
            failure.retry_at = 0.0
        else:
            failure.retry_at = soonest if failure.retry_at is None else min(failure.retry_at, soonest)

    def is_of_another(self, name: str, digest: str) -> bool:
        """Tell whether the failure on record is of another content."""
        failure = self.get(name)
        return failure is not None and failure.digest != digest

    def clear(self, name: str) -> None:
        """Forget: it is up."""
        self.records.set_failure(name, None)

    def forget_all(self) -> None:
        """An operator asked: everything gets another chance."""
        for name in self.records.names():
            self.forget(name)

    def forget(self, name: str) -> None:
        """An operator asked for one: it gets another chance."""
        record = self.records.get(name)
        if record is None:
            return
        if record.failure is not None:
            record.failure.retry_at = 0.0
        record.repairs.clear()
        record.loops = 0
        self.records.sweep(name)

    def is_waiting(self, name: str) -> bool:
        """Tell whether time will bring a retry; what has had it waits for events alone."""
        failure = self.get(name)
        return failure is not None and bool(failure.retry_at)

    def waiting(self) -> list[str]:
        """Return whose failure is on record."""
        return [name for name, _ in self._all()]

    def next_retry(self) -> float | None:
        """Return the loop time of the earliest retry."""
        return min((failure.retry_at for _, failure in self._all() if failure.retry_at), default=None)

    def take_due(self, now: float) -> list[str]:
        """Return whose retry is due, each once."""
        due = [name for name, failure in self._all() if failure.retry_at and failure.retry_at <= now]
        for name in due:
            self.records.failing[name].retry_at = 0.0
        return due

    def _all(self) -> list[tuple[str, Failure]]:
        return list(self.records.failing.items())
