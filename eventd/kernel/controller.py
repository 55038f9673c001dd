"""Controllers: each reconciles one kind of subject, or one aspect of another controller's subjects.

A subject is a workload, a volume, the deletion of an account and so on. Events make it dirty; a run then gives it a
turn. All kinds of subjects share the runs, policies, journal, retries and reports.

The first controller of a subject owns it: it names the subjects and assesses their status. Other controllers (health,
rollback, update) may take part in the same turn after it.

`decide` answers both "is there work?" and "what is to be done?", so a turn acts on the answer that started the run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import anyio

from eventd.kernel.executor import Executor, Judge
from eventd.kernel.failures import Failures
from eventd.kernel.holds import FOR_EVER, Holds, Patience
from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.report import Outcome, WorkloadReport, WorkloadState, WorkloadStatus
from eventd.kernel.model.verdicts import Deny, Hold, Verdict
from eventd.kernel.status_store import Failure
from eventd.kernel.transaction import BaseTransaction


def is_workload(name: str) -> bool:
    """Return whether a subject is a workload. The names of all others begin with their kind and a colon."""
    return ":" not in name


FINE = (Outcome.OK, Outcome.UNCHANGED)


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked to do for a subject."""

    forced: bool = False
    """An operator asked: retry also what was given up."""
    restart: bool = False
    """Restart its units even if nothing has changed."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done for a subject now. All fields empty: nothing."""

    actions: tuple[Action, ...] = ()
    """The actions to carry out, in order, except those that wait for a retry."""
    seen: Any = None
    """The observed state of the subject, for policies and the journal. None: they need none of it."""
    blocked: EventdError | None = None
    """Why nothing, or nothing more, may be done."""
    due: bool = False
    """A turn is due even if the plan is empty."""

    @property
    def is_nothing(self) -> bool:
        """There is nothing to do and nothing to report."""
        return not self.actions and self.blocked is None and not self.due


NOTHING = Decision()


def is_denied(verdict: Verdict, failure: Failure) -> bool:
    """Return whether a policy still denies for the reason that caused this failure."""
    return isinstance(verdict, Deny) and verdict.reason == failure.report.reason


@dataclass(frozen=True, slots=True)
class Assessment:
    """The status of a subject for which nothing can be done now."""

    outcome: Outcome = Outcome.UNCHANGED
    """UNCHANGED: as it should be; else HELD (waits for something), FAILED or REFUSED."""
    reason: str = ""
    message: str = ""
    hint: str = ""


@dataclass(slots=True, kw_only=True)
class Turn:
    """One subject's part of one run. Each of its controllers adds to it in turn."""

    name: str
    request: Request
    tx: BaseTransaction
    report: WorkloadReport
    """The result so far."""
    run_report: WorkloadReport | None = None
    """What the run reports, if it differs from the status: an aspect failed, and left the workload as it was."""
    before: dict[str, Any] = field(default_factory=dict)
    """State that controllers noted before anything was done, each under a key of its own."""


@dataclass(slots=True)
class RetryState:
    """The failures and holds of all subjects, and what decides when each is tried again.

    Kept in memory: a restart of the daemon tries everything again.
    """

    failures: Failures
    holds: Holds
    wake_on: Callable[[str, Iterable[FactKey]], None]
    """Make a subject dirty when one of these facts changes. Replaces the facts that were set before."""
    jitter: Callable[[], float]
    judge: Judge
    """Asks the policies."""

    def end_judgement(self, name: str, verdict: Verdict) -> None:
        """Forget a policy's denial if the policy decides otherwise now. Nothing was tried, so no pause is due."""
        failure = self.failures.get(name)
        if failure is not None and failure.report.judged and not is_denied(verdict, failure):
            self.failures.clear(name)

    def is_known(self, name: str, owner: Controller, hold: Hold) -> bool:
        """Return whether this hold has been reported already, with the same content and the same facts waited for."""
        return self.holds.same(
            name,
            owner.digest(name),
            hold.waits_for,
            anyio.current_time(),
            lambda reason: owner.patience(name, reason).seconds,
        )

    def wake(self, name: str) -> None:
        """Retry a subject now: a fact changed that it waits for, or failed on."""
        self.failures.wake(name, anyio.current_time())

    def reset(self, name: str) -> None:
        """Retry a subject at once and start its count anew, even if retries were given up."""
        self.failures.forget(name)

    def reset_all(self) -> None:
        """Retry all subjects at once, as `reset` does."""
        self.failures.forget_all()

    def forget(self, name: str) -> None:
        """Forget everything about a subject: its content changed, so old failures and holds do not apply."""
        self.failures.clear(name)
        self.holds.clear(name)
        self.wake_on(name, ())


class Controller:
    """The base of all controllers. `decide`, `names` and `assess_idle` only read memory: they do no I/O and never wait.

    The defaults suit a controller that makes a plan (`plan`) and is done when the plan is empty.
    """

    prefix: str = ""
    """The prefix of its subjects' names, with the colon. No workload's name contains a colon."""

    def concerns(self, name: str) -> bool:
        """Return whether this controller takes part in a subject's turns."""
        return bool(self.prefix) and name.startswith(self.prefix)

    # Start

    async def load(self) -> None:
        """Load its stored state, before the first run."""

    def attach(self, facts: Facts, dirty: Callable[[str], None]) -> None:
        """Start watching facts. Call `dirty` with each subject that a changed fact concerns."""

    # Subjects

    def names(self) -> Collection[str]:
        """Return its subjects that may have work."""
        return ()

    def digest(self, name: str) -> str:
        """Return the digest of a subject's desired content. A failure counts only for the same content."""
        raise NotImplementedError

    def patience(self, name: str, reason: str) -> Patience:  # noqa: ARG002
        """Return how long a subject may be held for a reason before it counts as failed."""
        return FOR_EVER

    def takes(self, name: str) -> bool:
        """Return whether a changed fact makes one of its subjects dirty."""
        return name in self.names()

    # Decision

    def plan(self, name: str, *, forced: bool) -> tuple[Action, ...]:
        """Return the actions for a subject now. Empty if nothing can or may be done.

        It is called again after every action: handlers return when the facts show their effect.
        """
        raise NotImplementedError

    def decide(self, name: str, request: Request, retries: RetryState) -> Decision:
        """Return what is to be done for a subject now."""
        actions = self.plan(name, forced=request.forced)
        if not actions:
            return NOTHING
        retries.end_judgement(name, retries.judge(actions[0], None, 0))
        if not retries.failures.may_start(name, self.digest(name), anyio.current_time()):
            return NOTHING
        return Decision(actions)

    # Turn

    def begin(self, turn: Turn) -> None:
        """Note the state before any controller acts."""

    async def reconcile(self, turn: Turn, executor: Executor) -> None:
        """Do its part for a subject, and set the result in `turn.report`."""
        forced = turn.request.forced
        turn.report = await executor.keep(turn.tx, lambda: self.plan(turn.name, forced=forced))

    def note(self, turn: Turn, retries: RetryState) -> None:
        """Record the result of a turn: its failure or hold, and the facts that wake it."""
        report, now = turn.report, anyio.current_time()
        name, digest = turn.name, self.digest(turn.name)
        if report.outcome is Outcome.FAILED:
            retries.failures.note(name, digest, report, now, retries.jitter())
        else:
            retries.failures.clear(name)
        if report.outcome is Outcome.HELD:
            retries.holds.note(name, digest, report, now)
        else:
            retries.holds.clear(name)
        retries.wake_on(name, report.wakes_on)

    async def settled(self, turn: Turn) -> None:
        """Store what has to be remembered of a turn, after its status is set."""

    # Status

    def assess_idle(self, name: str) -> Assessment:
        """Return the status of a subject whose plan is empty."""
        raise NotImplementedError

    def assess(
        self, name: str, report: WorkloadReport | None, retries: RetryState
    ) -> tuple[WorkloadStatus, WorkloadReport]:
        """Return a subject's status and its row in the run's report. `report` is None if there was no turn."""
        if report is None and self.plan(name, forced=False):
            # It waits for a retry, or is held: the last report still applies.
            failure, held = retries.failures.get(name), retries.holds.get(name)
            last = failure.report if failure is not None else held.report if held is not None else None
            report = last.again() if last is not None else None
        if report is None or report.outcome in FINE:
            found = self.assess_idle(name)
            fine = found.outcome in FINE
            outcome = report.outcome if report is not None and fine else found.outcome
            report = replace(
                report or WorkloadReport(name, outcome),
                outcome=outcome,
                reason=found.reason,
                message=found.message,
                hint=found.hint,
            )
            if fine:
                retries.failures.clear(name)
        if report.outcome in FINE:
            return WorkloadStatus(WorkloadState.CONVERGED, message=report.message), report
        return status_of(report), report

    def amend(
        self,
        name: str,  # noqa: ARG002
        status: WorkloadStatus,
        row: WorkloadReport,
    ) -> tuple[WorkloadStatus, WorkloadReport]:
        """Return the owner's assessment, amended by what this controller knows."""
        return status, row

    def publish(self, name: str, status: WorkloadStatus) -> None:
        """Publish a new status as a fact, if others wait for it."""


class TurnStage(IntEnum):
    """The order of the parts in a workload's turn, after the workload's own controller has converged it."""

    JUDGE = 1
    """Check the result: is the workload healthy?"""
    EXPLAIN = 2
    """Find the cause of a failure."""
    GO_BACK = 3
    """Roll back a failed change."""
    RENEW = 4
    """Update a healthy workload."""


class Part(Controller):
    """A controller that takes part in every workload's turn and has no subjects. The defaults do nothing."""

    stage: TurnStage = TurnStage.EXPLAIN

    def concerns(self, name: str) -> bool:
        """Return whether the subject is a workload."""
        return is_workload(name)

    def decide(self, name: str, request: Request, retries: RetryState) -> Decision:  # noqa: ARG002
        """Return no decision: it takes part in turns that others ask for."""
        return NOTHING

    async def reconcile(self, turn: Turn, executor: Executor) -> None:
        """Do nothing."""


def status_of(report: WorkloadReport) -> WorkloadStatus:
    """Return the status of a subject whose last turn was not successful."""
    states = {Outcome.HELD: WorkloadState.HELD, Outcome.SUPERSEDED: WorkloadState.PENDING}
    return WorkloadStatus(
        states.get(report.outcome, WorkloadState.FAILED),
        0.0,
        report.reason,
        report.message,
        report.hint,
        report.log,
        report.waits_for,
        failing_unit=report.failing_unit,
    )


class Controllers:
    """All controllers, in the order in which they take part in a turn."""

    def __init__(self, owner: Controller, others: Iterable[Controller]) -> None:
        """`owner`: the controller of workloads. The parts in their turns come next, by stage."""
        found = list(others)
        parts = sorted((each for each in found if isinstance(each, Part)), key=lambda each: each.stage)
        self.rows: Sequence[Controller] = (
            owner, *parts, *(each for each in found if not isinstance(each, Part)),
        )  # fmt: skip

    def of(self, name: str) -> list[Controller]:
        """Return the controllers of a subject. The first one owns it."""
        return [each for each in self.rows if each.concerns(name)]

    def owner(self, name: str) -> Controller:
        """Return the owner of a subject. Raises LookupError if there is none."""
        for each in self.rows:
            if each.concerns(name):
                return each
        raise LookupError(name)

    def names(self) -> set[str]:
        """Return all subjects that may have work."""
        return {name for each in self.rows for name in each.names()}
