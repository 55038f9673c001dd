"""The executor: carries out what a controller decided for its subject, one action at a time, and reports.

For each action it asks the policies, spends an approval if one is needed, writes the intent to the journal, and calls
the handler. Errors become reports and are not raised. It decides nothing and keeps no state.

    Action -> verdict -> (approval) -> intent -> handler -> result -> WorkloadReport
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import anyio
from typing_extensions import TypeVar

from eventd.kernel.model.action import Action
from eventd.kernel.model.draft import Draft
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.kernel.model.report import Outcome, WorkloadReport
from eventd.kernel.model.verdicts import Allow, Deny, Hold, Verdict
from eventd.kernel.run_watch import RunWatch
from eventd.kernel.steps import Steps
from eventd.kernel.transaction import BaseTransaction, EndingError, SupersededError

MOST_STEPS = 24
"""Most actions for one subject in one run. The plan is made again after each."""
Tx = TypeVar("Tx", bound=BaseTransaction, default=Any)
Handler: TypeAlias = Callable[[Action, Tx], Awaitable[None]]
"""Carries out one kind of action in a transaction and returns when it is done. Raises EventdError."""
Judge: TypeAlias = Callable[[Action, Any, int], Verdict]
"""Returns the verdict on an action, given the observed subject and the run (0: no run, only a question)."""
Step: TypeAlias = Callable[[Action, Any], Awaitable[None]]
"""Carries out one action, given the observed subject."""
Explain: TypeAlias = Callable[[EventdError, WorkloadReport], Awaitable[WorkloadReport]]
"""Adds what the subject's domain knows to the report of a failure."""


class Approves(Protocol):
    """Asks for signatures, and spends approvals."""

    def register(self, draft: Draft) -> Awaitable[object]:
        """Ask for a signature."""
        ...

    def spend(self, key: str, run: int, step: int) -> Awaitable[object]:
        """Spend an approval before its action begins. It is bound to the step, so that recovery finds it."""
        ...

    def done(self, key: str, rows: Sequence[Any] = ()) -> Awaitable[None]:
        """Record that the approved action is done, in one transaction with the action's last rows."""
        ...


class HeldError(EventdError):
    """A policy holds the next action: something is missing, and nothing is wrong."""

    reason = "held"

    def __init__(self, hold: Hold) -> None:
        super().__init__(hold.message, reason=hold.reason, hint=hold.hint)
        self.hold = hold


class DeniedError(PermanentError):
    """A policy denies the next action, until the facts it judges by change."""

    judged = True


async def _as_it_is(_error: EventdError, report: WorkloadReport) -> WorkloadReport:
    return report


@dataclass(slots=True)
class Executor:
    """See the module."""

    handlers: Mapping[type[Any], Handler]
    judge: Judge
    steps: Steps
    approvals: Approves
    watch: RunWatch
    """Notified of each step."""

    async def keep(self, tx: BaseTransaction, plan: Callable[[], tuple[Action, ...]]) -> WorkloadReport:
        """Carry out the first action of `plan()` until the plan is empty."""

        async def work(step: Step) -> None:
            for _ in range(MOST_STEPS):
                actions = plan()
                if not actions:
                    return
                await step(actions[0], None)
            raise does_not_converge(tx.workload, f"{MOST_STEPS} actions")

        return await self.carry_out(tx, work)

    async def carry_out(
        self, tx: BaseTransaction, work: Callable[[Step], Awaitable[None]], explain: Explain = _as_it_is
    ) -> WorkloadReport:
        """Await `work`, which passes its actions to the step function it gets. Return the report."""
        began, done, verb = anyio.current_time(), 0, ""

        async def step(action: Action, seen: Any) -> None:
            nonlocal done, verb
            verb = action.verb
            await self._apply(action, tx, seen)
            done += 1

        def report(outcome: Outcome, error: EventdError, *, failing_verb: str = "") -> WorkloadReport:
            return WorkloadReport(
                tx.workload,
                outcome,
                error.reason,
                error.message,
                error.hint,
                actions=done,
                seconds=anyio.current_time() - began,
                failing_verb=failing_verb,
                wakes_on=error.wakes_on,
                judged=error.judged,
            )

        try:
            try:
                await work(step)
            except (SupersededError, HeldError):
                raise
            except EventdError as error:
                tx.excuse(error)
                raise
        except SupersededError as error:
            return report(Outcome.SUPERSEDED, error)
        except HeldError as error:
            held = report(Outcome.HELD, error)
            return replace(held, waits_for=error.hold.waits_for, wakes_on=error.hold.wakes_on)
        except EventdError as error:
            return await explain(error, report(Outcome.FAILED, error, failing_verb=verb))
        return WorkloadReport(
            tx.workload,
            Outcome.OK if done else Outcome.UNCHANGED,
            actions=done,
            seconds=anyio.current_time() - began,
        )

    async def _apply(self, action: Action, tx: BaseTransaction, seen: Any) -> None:
        verdict = self.judge(action, seen, tx.run)
        if isinstance(verdict, Hold) and verdict.draft is not None:
            await self.approvals.register(verdict.draft)
            verdict = self.judge(action, seen, tx.run)  # now it can name the request it waits for
        approval = ""
        match verdict:
            case Hold():
                raise HeldError(verdict)
            case Deny(reason, message, hint):
                raise DeniedError(message, reason=reason, hint=hint)
            case Allow():
                approval = verdict.approval
        if tx.draining.stopping:
            raise EndingError
        step = await self.steps.begin(action, tx, seen)
        title = f"{action.verb} {action.target}".strip()
        tx.progress(title, "begin", action.why)
        try:
            if approval:
                await self.approvals.spend(approval, tx.run, step)
                tx.conclude = lambda rows: self.approvals.done(approval, rows)
            with self.watch.step(action):
                await self.handlers[type(action)](action, tx)
            if approval:
                await tx.conclude(())
        except EventdError as error:
            tx.progress(title, "failed", error.message)
            await self.steps.failed(step, error.reason)
            raise
        except Exception:
            tx.progress(title, "failed", "a bug in eventd")
            await self.steps.failed(step, "bug")
            raise
        await self.steps.end(step, "done")
        tx.progress(title, "end", "")


def does_not_converge(subject: str, after: str) -> PermanentError:
    """Return the error for a plan that does not become empty."""
    return PermanentError(
        f"{subject} still differs after {after}",
        reason="does-not-converge",
        hint="something else on this host changes what eventd sets; see eventctl events",
    )
