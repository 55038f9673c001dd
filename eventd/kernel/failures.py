"""Failures: what has failed, and when it is retried. Per subject, in memory.

A failure counts for one content only. It is retried at once when the content changes, an operator asks, or a fact that
it names changes. Otherwise the backoff retries it.

Failures with a final reason are not retried by timer: a denial ends when the policies decide otherwise (the planner
asks them), any other when one of the facts that it names changes. If it names no fact, the timer retries it after all,
since nothing else would.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from eventd.kernel.model import backoff
from eventd.kernel.model.report import WorkloadReport
from eventd.kernel.status_store import REPAIRS, Failure, Records

FORGET = 600.0
"""Seconds without a failure after which the count restarts."""
MANY = 5
WAKE_PAUSE = 1.0


@dataclass(slots=True)
class Failures:
    """The failures of all subjects."""

    records: Records
    final: Collection[str] = ()
    """Reasons that are not retried by timer."""

    def get(self, name: str) -> Failure | None:
        """Return the recorded failure of a subject."""
        record = self.records.get(name)
        return record.failure if record is not None else None

    def note(self, name: str, digest: str, report: WorkloadReport, now: float, jitter: float) -> Failure:
        """Record a failure and schedule its retry."""
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
        """Count one repair of a verified subject. Return False if it was repaired too often and has to wait.

        This also catches slow crash loops: a unit without `Restart=` that dies every half minute.
        """
        record = self.records.of(name)
        often = len(record.repairs) == REPAIRS and now - record.repairs[0] < FORGET
        record.repairs.append(now)
        if not often:
            record.loops = 0
            return True
        if record.failure is not None:
            return True  # its backoff has just expired
        record.loops += 1
        return False

    def may_start(self, name: str, digest: str, now: float) -> bool:
        """Return whether a subject may be tried now."""
        failure = self.get(name)
        if failure is None or failure.digest != digest:
            return True
        return failure.retry_at is not None and failure.retry_at <= now

    def wake(self, name: str, now: float) -> None:
        """Retry a subject now: a fact that it failed on has changed.

        A failing start may itself change that fact. So after five failures in a row there is a pause of a second
        between such retries.
        """
        failure = self.get(name)
        if failure is None or failure.report.judged:
            return  # the policies are asked again at each pass
        soonest = failure.at + (WAKE_PAUSE if failure.attempts >= MANY else 0.0)
        if now >= soonest:
            failure.retry_at = 0.0
        else:
            failure.retry_at = soonest if failure.retry_at is None else min(failure.retry_at, soonest)

    def is_of_another(self, name: str, digest: str) -> bool:
        """Return whether the recorded failure is of another content."""
        failure = self.get(name)
        return failure is not None and failure.digest != digest

    def clear(self, name: str) -> None:
        """Drop the failure of a subject."""
        self.records.set_failure(name, None)

    def forget_all(self) -> None:
        """Retry all subjects at once, as `forget` does."""
        for name in self.records.names():
            self.forget(name)

    def forget(self, name: str) -> None:
        """Retry a subject at once and restart its count: an operator asked."""
        record = self.records.get(name)
        if record is None:
            return
        if record.failure is not None:
            record.failure.retry_at = 0.0
        record.repairs.clear()
        record.loops = 0
        self.records.sweep(name)

    def is_waiting(self, name: str) -> bool:
        """Return whether a timer will retry the subject. False once the timer has expired."""
        failure = self.get(name)
        return failure is not None and bool(failure.retry_at)

    def waiting(self) -> list[str]:
        """Return the subjects with a recorded failure."""
        return [name for name, _ in self._all()]

    def next_retry(self) -> float | None:
        """Return the loop time of the earliest retry."""
        return min((failure.retry_at for _, failure in self._all() if failure.retry_at), default=None)

    def take_due(self, now: float) -> list[str]:
        """Return the subjects whose retry is due, each once."""
        due = [name for name, failure in self._all() if failure.retry_at and failure.retry_at <= now]
        for name in due:
            self.records.failing[name].retry_at = 0.0
        return due

    def _all(self) -> list[tuple[str, Failure]]:
        return list(self.records.failing.items())
