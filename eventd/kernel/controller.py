"""Controllers: each keeps one kind of subject as it is wanted, or one aspect of another controller's subjects.

A subject (a workload, a volume, the deletion of an account) gets dirty by events, is decided on, judged, journalled,
retried and reported, under the same single flight as all others. The first controller of a subject owns it: it says
which there are, and where they stand. Others may have a part in the same turn after it (health, rollback, update).

`decide` serves "is there work?" and "do it" alike: the turn acts on the same answer that the run was begun for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
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
    """Tell whether a subject is a workload: the names of others begin with their kind and a colon."""
    return ":" not in name


FINE = (Outcome.OK, Outcome.UNCHANGED)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked about a subject."""

    forced: bool = False
    """Somebody asked: what was given up gets another chance."""
    restart: bool = False
    """Its units are to be restarted, whether or not anything is to be changed."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done for a subject now; all of it empty: nothing."""

    actions: tuple[Action, ...] = ()
    """What may be carried out, in order, as far as no retry is waited for."""
    seen: Any = None
    """The subject as it was seen, for policies and the journal; None: its domain has nothing that they look at."""
    blocked: EventdError | None = None
    """Why nothing (more) may be done."""
    due: bool = False
    """A turn is due, whatever the plan says."""

    @property
    def is_nothing(self) -> bool:
        """There is nothing to do, and nothing to say."""
        return not self.actions and self.blocked is None and not self.due


NOTHING = Decision()


def is_denied(verdict: Verdict, failure: Failure) -> bool:
    """Tell whether a policy still says what made this failure."""
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
    """What one subject gets in one run; each of its controllers in turn adds to it."""

    name: str
    request: Request
    tx: BaseTransaction
    report: WorkloadReport
    """Where the subject stands, as far as the turn has got."""
    run_report: WorkloadReport | None = None
    """What the run reports, if it differs from the status: an aspect failed, and left the workload as it was."""
    before: dict[str, Any] = field(default_factory=dict)
    """What a controller noted before anything was done, under its own name."""


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
    """One controller. `decide`, `names` and `assess_idle` are memory alone: they may not wait, or touch the world.

    The defaults are those of a controller that plans (`plan`) and is done when the plan is empty.
    """

    prefix: str = ""
    """What its subjects' names begin with, with the colon; no workload's name can contain one."""

    def concerns(self, name: str) -> bool:
        """Tell whether this controller has a part in a subject."""
        return bool(self.prefix) and name.startswith(self.prefix)

    # Life

    async def load(self) -> None:
        """Load what is stored, before the first run."""

    def attach(self, facts: Facts, dirty: Callable[[str], None]) -> None:
        """Begin to watch the facts that concern it; call `dirty` with each subject that one of them concerns."""

    # Subjects

    def names(self) -> Collection[str]:
        """Return every subject of its own that may have something to do."""
        return ()

    def digest(self, name: str) -> str:
        """Identify what is wanted of a subject: a failure belongs to a content."""
        raise NotImplementedError

    def patience(self, name: str, reason: str) -> Patience:  # noqa: ARG002
        """Return for how long a subject may be held for a reason before that is a failure."""
        return FOR_EVER

    def takes(self, name: str) -> bool:
        """Tell whether a subject of its own may be looked at when one of its facts changes."""
        return name in self.names()

    # Decision

    def plan(self, name: str, *, forced: bool) -> tuple[Action, ...]:
        """Return what would be done for a subject now; empty if there is nothing that can, or may, be done.

        Made anew after every action: handlers return when the facts show what they did.
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
        """Note what has to be known before any controller does its part."""

    async def reconcile(self, turn: Turn, executor: Executor) -> None:
        """Do its part for a subject, and say in `turn.report` what came of it."""
        forced = turn.request.forced
        turn.report = await executor.keep(turn.tx, lambda: self.plan(turn.name, forced=forced))

    def note(self, turn: Turn, retries: RetryState) -> None:
        """Remember what came of a turn, so that it is tried again, or woken."""
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
        """Write down what is worth remembering of a turn whose status is set."""

    # Status

    def assess_idle(self, name: str) -> Assessment:
        """Return the status of a subject whose plan is empty."""
        raise NotImplementedError

    def assess(
        self, name: str, report: WorkloadReport | None, retries: RetryState
    ) -> tuple[WorkloadStatus, WorkloadReport]:
        """Return where a subject stands, and what a run says of it; `report` is None where nothing could be done."""
        if report is None and self.plan(name, forced=False):
            # It waits for a retry, or is held: what was said of it then is still so.
            failure, held = retries.failures.get(name), retries.holds.get(name)
            report = failure.report if failure is not None else held.report if held is not None else None
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
        """Return the owner's assessment with what this controller knows besides."""
        return status, row

    def publish(self, name: str, status: WorkloadStatus) -> None:
        """Tell of a new status beyond the status itself: as a fact that others wait for."""


class Part(Controller):
    """A controller with a part in every workload's turn, and no subjects of its own. The defaults add nothing."""

    def concerns(self, name: str) -> bool:
        """Tell whether it is a workload."""
        return is_workload(name)

    def decide(self, name: str, request: Request, retries: RetryState) -> Decision:  # noqa: ARG002
        """Return no decision: it adds to turns that others ask for."""
        return NOTHING

    async def reconcile(self, turn: Turn, executor: Executor) -> None:
        """Do nothing."""


def status_of(report: WorkloadReport) -> WorkloadStatus:
    """Return the status of a subject whose last turn did not end well."""
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


@dataclass(frozen=True, slots=True)
class Controllers:
    """All of them, in the order in which those of one subject take part in its turn."""

    rows: Sequence[Controller]

    def of(self, name: str) -> list[Controller]:
        """Return who has a part in a subject; the first owns it."""
        return [each for each in self.rows if each.concerns(name)]

    def owner(self, name: str) -> Controller:
        """Return whose subject it is. Raises LookupError: nobody's."""
        for each in self.rows:
            if each.concerns(name):
                return each
        raise LookupError(name)

    def names(self) -> set[str]:
        """Return every subject that may have something to do."""
        return {name for each in self.rows for name in each.names()}
