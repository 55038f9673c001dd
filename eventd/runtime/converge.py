"""Bring one workload to its desired state: plan, judge, carry out, look again, until the plan is empty.

The plan is made anew after every action that changes what can be seen (a new account, a manager that came up, a
reload), so that no decision about a unit is taken before that unit has been looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio

from eventd.core.actions import STARTS, Action, CreateAccount, Reload, StartManager, Verify
from eventd.core.desired import UnitRole, Workload
from eventd.core.errors import EventdError, PermanentError
from eventd.core.facts import FactKey, FactKind, Facts
from eventd.core.observed import Observed, observe
from eventd.core.plan import Context, gave_up, plan, plan_removal, shadowed
from eventd.core.records import Records
from eventd.core.report import Outcome, WorkloadReport
from eventd.core.verdicts import Allow, Case, Deny, Hold, Policy
from eventd.runtime.transaction import Handler, SupersededError, Transaction, UnitFailedError

HORIZONS = (CreateAccount, StartManager, Reload)
ROUNDS = 6
"""Plans per transaction: account, manager, reload, units, and two for what happens meanwhile."""
LOG_LINES = 20


class HeldError(EventdError):
    """A policy holds the next action; nothing is wrong, something is missing."""

    reason = "held"

    def __init__(self, hold: Hold) -> None:
        super().__init__(hold.message, reason=hold.reason)
        self.hold = hold


@dataclass(frozen=True, slots=True)
class View:
    """How to see a workload: the facts, and which of them concern it."""

    facts: Facts
    memory: Callable[[], Records]
    paths_of: Callable[[int], Sequence[str]]

    @property
    def records(self) -> Records:
        """What is remembered now (loading replaces it)."""
        return self.memory()

    def of(self, name: str, workload: Workload | None) -> Observed:
        """Observe one workload: its wanted units and those it was last known to have."""
        account = self.facts.get(FactKey(FactKind.ACCOUNT, name))
        uid = getattr(account, "uid", None)
        units = dict.fromkeys(u.name for u in workload.units) if workload else {}
        units |= dict.fromkeys(self.records.units.get(name, {}))
        return observe(self.facts, name, units, self.paths_of(uid) if uid is not None else ())


def draft(
    name: str, workload: Workload | None, seen: Observed, records: Records, context: Context
) -> tuple[Action, ...]:
    """Plan a workload, or its removal if the repository does not have it."""
    if workload is not None:
        return plan(workload, seen, records, context)
    record = records.workloads.get(name)
    return plan_removal(record, seen, records) if record is not None else ()


def judge(case: Case, policies: Sequence[Policy]) -> Allow | Hold | Deny:
    """Return the first verdict that is not Allow."""
    for policy in policies:
        verdict = policy(case)
        if not isinstance(verdict, Allow):
            return verdict
    return Allow()


def blocked(workload: Workload, seen: Observed, context: Context) -> UnitFailedError | None:
    """Return why a workload cannot be converged by any action: another file shadows its unit, or systemd gave up."""
    for unit in workload.units:
        state = seen.units.get(unit.name)
        if state is None or seen.account is None:
            continue
        other = shadowed(unit, state, context.layout, seen.account.uid)
        if other and not state.needs_reload:
            return UnitFailedError(
                f"{unit.name} is loaded from {other} instead of eventd's file",
                unit=unit.name,
                reason="shadowed",
                hint=f"remove {other}; eventd never touches what it did not make",
            )
        if unit.role is not UnitRole.ON_DEMAND and gave_up(state) and not context.asked:
            return UnitFailedError(
                f"{unit.name} crashed until systemd's start limit and is not started again",
                unit=unit.name,
                reason="start-limit-hit",
                hint="fix it and push, or `eventctl sync` to try once more",
            )
    return None


@dataclass(slots=True)
class Converger:
    """Carries out plans with the handlers, under the policies."""

    handlers: Mapping[type[Action], Handler]
    policies: Sequence[Policy]
    view: View
    context: Context

    async def converge(
        self, tx: Transaction, workload: Workload | None, *, asked: bool, starts_allowed: bool
    ) -> WorkloadReport:
        """Converge one workload and report; never raises for what goes wrong with it."""
        began, done = anyio.current_time(), 0
        try:
            for _ in range(ROUNDS):
                context = Context(self.context.layout, self.context.owner_uid, asked, tx.rewritten)
                seen = self.view.of(tx.workload, workload)
                tx.account = seen.account or tx.account
                stop = blocked(workload, seen, context) if workload else None
                actions = draft(tx.workload, workload, seen, self.view.records, context)
                actions = _without(actions, tx, blocked=stop is not None, starts_allowed=starts_allowed)
                if not actions:
                    if stop is not None:
                        raise stop
                    break
                for action in actions:
                    await self._apply(action, tx, workload, seen)
                    done += 1
                    if isinstance(action, HORIZONS):
                        break
                else:
                    if stop is not None:
                        raise stop
                    break
            else:
                raise PermanentError(
                    f"{tx.workload} still differs after {ROUNDS} plans",
                    reason="does-not-converge",
                    hint="something else on this host changes what eventd sets; see eventctl events",
                )
        except SupersededError as error:
            return self._report(tx, Outcome.SUPERSEDED, error, done, began)
        except HeldError as error:
            report = self._report(tx, Outcome.HELD, error, done, began)
            return replace_waits(report, error.hold.waits_for)
        except UnitFailedError as error:
            log = await tx.host.unit_log.tail(tx.account, error.unit, lines=LOG_LINES)
            return self._report(tx, Outcome.FAILED, error, done, began, unit=error.unit, log=tuple(log))
        except EventdError as error:
            return self._report(tx, Outcome.FAILED, error, done, began)
        return WorkloadReport(
            tx.workload,
            Outcome.OK if done else Outcome.UNCHANGED,
            actions=done,
            seconds=anyio.current_time() - began,
        )

    async def _apply(self, action: Action, tx: Transaction, workload: Workload | None, seen: Observed) -> None:
        verdict = judge(Case(action, workload, seen, self.view.records, self.view.facts), self.policies)
        match verdict:
            case Hold():
                raise HeldError(verdict)
            case Deny(reason, message, hint):
                raise PermanentError(message, reason=reason, hint=hint)
            case Allow():
                pass
        step = await tx.host.store.begin_step(tx.run, tx.workload, action.verb, action.target)
        title = f"{action.verb} {action.target}".strip()
        tx.progress(title, "begin", action.why)
        try:
            await self.handlers[type(action)](action, tx)
        except EventdError as error:
            await tx.host.store.end_step(step, error.reason)
            tx.progress(title, "failed", error.message)
            raise
        await tx.host.store.end_step(step, "done")
        tx.progress(title, "end", "")

    @staticmethod
    def _report(
        tx: Transaction,
        outcome: Outcome,
        error: EventdError,
        done: int,
        began: float,
        *,
        unit: str = "",
        log: tuple[str, ...] = (),
    ) -> WorkloadReport:
        return WorkloadReport(
            tx.workload,
            outcome,
            error.reason,
            error.message,
            error.hint,
            actions=done,
            seconds=anyio.current_time() - began,
            log=log,
            failing_unit=unit,
        )


def replace_waits(report: WorkloadReport, waits_for: tuple[str, ...]) -> WorkloadReport:
    """Return the report with what it waits for."""
    return WorkloadReport(
        report.name,
        report.outcome,
        report.reason,
        report.message,
        report.hint,
        report.actions,
        report.seconds,
        report.log,
        waits_for,
    )


def _without(
    actions: tuple[Action, ...], tx: Transaction, *, blocked: bool, starts_allowed: bool
) -> tuple[Action, ...]:
    """Drop what must not be done (again) now: starts in their backoff or under a shadow, a reload that did not help."""
    kept = [
        a
        for a in actions
        if not (isinstance(a, (*STARTS, Verify)) and (blocked or not starts_allowed))
        and not (isinstance(a, Reload) and tx.reloads >= 2)
    ]
    if tx.reloads >= 2 and not kept:
        return ()
    return tuple(kept)
