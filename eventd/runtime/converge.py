"""Bring one workload to its desired state: plan, judge, carry out, look again, until the plan is empty.

The plan is made anew after every action that changes what can be seen (a new account, a manager that came up, a
reload), so that no decision about a unit is taken before that unit has been looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio

from eventd.core.actions import (
    AdoptAccount,
    CreateAccount,
    InspectStore,
    Reload,
    RestartUnit,
    StartManager,
    StartUnit,
    StopUnit,
    Verify,
)
from eventd.core.causes import explained, own_port, quoted, taken_by
from eventd.core.desired import UnitRole, Workload
from eventd.core.errors import EventdError, PermanentError
from eventd.core.manager_trouble import ManagerUnavailableError
from eventd.core.observed import Observed
from eventd.core.plan import Context, plan
from eventd.core.predicate_atoms import ContainerHealthy
from eventd.core.predicates import atoms
from eventd.core.provenance import audit
from eventd.core.records import UnitRecord
from eventd.core.report import Outcome, WorkloadReport
from eventd.core.storage_actions import StopForVolume
from eventd.core.verdicts import Allow, Case, Deny, Hold, Policy
from eventd.kernel.action import Action
from eventd.platform.model_facts import Account, ActiveState, PlatformFact
from eventd.runtime.approvals import Approvals
from eventd.runtime.judging import UNSEEN, BlockedError, View, blocked, draft, judge, left
from eventd.runtime.run_watch import RunWatch
from eventd.runtime.steps import Steps
from eventd.runtime.transaction import EndingError, Handler, SupersededError, Transaction, UnitFailedError

HORIZONS = (CreateAccount, AdoptAccount, InspectStore, StartManager, Reload, StopForVolume)
ROUNDS = 7
"""Plans per transaction: account, its store, manager, reload, units, and two for what happens meanwhile."""
RELOADS = 2
"""Reloads per transaction: one that did not help will not help a third time."""
KEEPER_STEPS = 24
"""Actions for one subject of a keeper in one run."""
LOG_LINES = 20
UNCHECKED = frozenset({"not-up-in-time", "not-healthy-in-time"})
"""Reasons of failures that a health check may tell more about."""
_log = logging.getLogger(__name__)
IN_MANAGER = (StartManager, Reload, StartUnit, RestartUnit, StopUnit, Verify)
"""What takes a user's manager."""
_Step = Callable[[Action, Observed], Awaitable[None]]


class HeldError(EventdError):
    """A policy holds the next action; nothing is wrong, something is missing."""

    reason = "held"

    def __init__(self, hold: Hold) -> None:
        super().__init__(hold.message, reason=hold.reason, hint=hold.hint)
        self.hold = hold


class DeniedError(PermanentError):
    """A policy forbids the next action, for as long as what it judges by is as it is."""

    judged = True


@dataclass(slots=True)
class Converger:
    """Carries out plans with the handlers, under the policies."""

    handlers: Mapping[type[Action], Handler]
    policies: Sequence[Policy]
    view: View
    context: Context
    steps: Steps
    watch: RunWatch = field(default_factory=RunWatch)
    """Told of each step that is carried out."""
    approvals: Approvals | None = None
    """Where what a policy wants to have signed is asked for, and used up."""
    diagnose: Callable[[Account, EventdError | None], Awaitable[ManagerUnavailableError | None]] | None = None
    """Says why a user's manager cannot be used, given what an attempt ended with."""
    look: Callable[[str], Awaitable[None]] | None = None
    """Has the FOREIGN fact of a workload read afresh."""

    async def converge(
        self,
        tx: Transaction,
        workload: Workload | None,
        *,
        asked: bool,
        wait: frozenset[str],
        restart: bool = False,
    ) -> WorkloadReport:
        """Converge one workload and report; never raises for what goes wrong with it.

        `wait`: verbs that must not be carried out now (see `until`). `restart`: what runs is restarted.
        """
        if restart:
            # A unit that the restart of another one has restarted is not restarted again.
            units = self.view.of(tx.workload, workload).units
            tx.invocations.update({unit: state.invocation for unit, state in units.items()})

        async def work(step: _Step) -> None:
            for _ in range(ROUNDS):
                context = replace(
                    self.context, asked=asked, rewritten=tx.rewritten, restore=tx.restore, restart=restart
                )
                seen = self.view.of(tx.workload, workload)
                tx.account = seen.account or tx.account
                stop = blocked(workload, seen, self.view.records, context) if workload else None
                actions = draft(tx.workload, workload, seen, self.view.records, context)
                actions = left(actions, wait, stop)
                if tx.reloads >= RELOADS:
                    actions = tuple(a for a in actions if not isinstance(a, Reload))
                if not actions:
                    if stop is not None:
                        raise stop
                    break
                for action in actions:
                    if isinstance(action, Reload) and await self._turned_foreign(tx.workload, workload):
                        break  # the next plan leaves it out
                    await step(action, seen)
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
            if workload is not None:
                await self._true_up(tx, workload)

        return await self._told(tx, workload, work)

    async def _turned_foreign(self, name: str, workload: Workload | None) -> bool:
        """Look once more before a reload, which would load whatever stands there by now."""
        if workload is None or self.look is None:
            return False
        await self.look(name)
        seen = self.view.of(name, workload)
        return bool(audit(workload, seen, self.context.layout, self.context.allow).findings)

    async def _true_up(self, tx: Transaction, workload: Workload) -> None:
        """Make the units' records what is so, where no action does and nothing is left to do.

        A crash between a start and its record, or a lost state file, leaves a unit that runs the wanted content without
        a record; one that was stopped by hand before the repository dropped it leaves a record without a unit.
        """
        context = self.context
        seen, records = self.view.of(tx.workload, workload), self.view.records
        if plan(workload, seen, records, context):
            return
        for unit in workload.units:
            state = seen.units.get(unit.name)
            runs = state is not None and state.up and unit.role is UnitRole.RUNNING
            if runs and records.unit(tx.workload, unit.name) is None:
                await tx.ledger.unit(tx.workload, unit.name, UnitRecord(unit.digest, tx.run))
        wanted = {unit.name for unit in workload.units}
        for name in [name for name in records.units.get(tx.workload, {}) if name not in wanted]:
            state = seen.units.get(name)
            if state is None or state.active is ActiveState.INACTIVE:
                await tx.ledger.unit(tx.workload, name, None)

    async def keep(self, tx: Transaction, draft: Callable[[], tuple[Action, ...]]) -> WorkloadReport:
        """Carry out what a keeper drafts for its subject, one action at a time, until there is nothing left."""

        async def work(step: _Step) -> None:
            for _ in range(KEEPER_STEPS):
                actions = draft()
                if not actions:
                    return
                await step(actions[0], UNSEEN)
            raise PermanentError(
                f"{tx.workload} still differs after {KEEPER_STEPS} actions",
                reason="does-not-converge",
                hint="something else on this host changes what eventd sets; see eventctl events",
            )

        return await self._told(tx, None, work)

    async def carry_out(
        self, tx: Transaction, workload: Workload, work: Callable[[_Step], Awaitable[None]]
    ) -> WorkloadReport:
        """Carry out what `work` decides, step by step, under the policies and in the journal; and report."""
        return await self._told(tx, workload, work)

    async def _told(
        self, tx: Transaction, workload: Workload | None, work: Callable[[_Step], Awaitable[None]]
    ) -> WorkloadReport:
        """Await `work` and report; what goes wrong becomes the report."""
        began, done, verb = anyio.current_time(), 0, ""

        async def step(action: Action, seen: Observed) -> None:
            nonlocal done, verb
            verb = action.verb
            await self._apply(action, tx, workload, seen)
            done += 1

        try:
            try:
                await work(step)
            except (SupersededError, HeldError):
                raise
            except EventdError as error:
                tx.excuse(error)
                raise
        except SupersededError as error:
            return self._report(tx, Outcome.SUPERSEDED, error, done, began)
        except HeldError as error:
            report = self._report(tx, Outcome.HELD, error, done, began)
            return replace(report, waits_for=error.hold.waits_for, wakes_on=error.hold.wakes_on)
        except BlockedError as error:
            return self._report(tx, Outcome.FAILED, error, done, began, unit=error.unit)
        except ManagerUnavailableError as error:
            log = await _manager_lines(tx, error.unit)
            return self._report(tx, Outcome.FAILED, error, done, began, verb=verb, log=tuple(log))
        except UnitFailedError as error:
            log = error.log or await last_lines(tx, error.unit)
            report = self._report(
                tx, Outcome.FAILED, error, done, began, verb=verb, unit=error.unit, log=tuple(map(str, log))
            )
            owner = await _owner_of_port(tx, log)
            message, hint = explained(report.message, report.hint, log, tx.workload, owner)
            if error.reason in UNCHECKED and (said := await _last_check(tx)):
                message = f"{message}; {said}"
            return replace(report, message=message, hint=hint)
        except EventdError as error:
            return self._report(tx, Outcome.FAILED, error, done, began, verb=verb)
        return WorkloadReport(
            tx.workload,
            Outcome.OK if done else Outcome.UNCHANGED,
            actions=done,
            seconds=anyio.current_time() - began,
        )

    async def _apply(
        self, action: Action, tx: Transaction, workload: Workload | None, seen: Observed
    ) -> None:
        case = Case(action, workload, seen, self.view.records, self.view.facts, tx.gates, tx.run)
        verdict = judge(case, self.policies)
        if isinstance(verdict, Hold) and verdict.draft is not None and self.approvals is not None:
            await self.approvals.register(verdict.draft)
            verdict = judge(case, self.policies)  # now it can say which request it waits for
        approval = ""
        match verdict:
            case Hold():
                raise HeldError(verdict)
            case Deny(reason, message, hint):
                raise DeniedError(message, reason=reason, hint=hint)
            case Allow():
                approval = verdict.approval
        if tx.stopping():
            raise EndingError
        step = await self.steps.begin(action, tx, seen, self.view.records, self.context.layout)
        title = f"{action.verb} {action.target}".strip()
        tx.progress(title, "begin", action.why)
        try:
            if approval:
                await self._spend(approval, tx, step)
            with self.watch.step(action):
                await self._carry_out(action, tx)
            if approval:
                await tx.conclude(())
        except EventdError as error:
            tx.progress(title, "failed", error.message)
            await self.steps.failed(step, error.reason, tx)
            raise
        except Exception:
            tx.progress(title, "failed", "a bug in eventd")
            await self.steps.failed(step, "bug", tx)
            raise
        await self.steps.end(step, "done", tx)
        tx.progress(title, "end", "")

    async def _carry_out(self, action: Action, tx: Transaction) -> None:
        """Hand the action to its handler; one that takes a user manager that cannot be used fails for that reason."""
        diagnose, account = self.diagnose, tx.account
        if diagnose is None or account is None or not isinstance(action, IN_MANAGER):
            await self.handlers[type(action)](action, tx)
            return
        if (trouble := await diagnose(account, None)) is not None:
            raise trouble
        try:
            await self.handlers[type(action)](action, tx)
        except SupersededError:
            raise
        except EventdError as error:
            if (trouble := await diagnose(account, error)) is not None:
                raise trouble from error
            raise

    async def _spend(self, approval: str, tx: Transaction, step: int) -> None:
        """Use an approval up before its action begins: bound to the step, so that a crash finds it."""
        approvals = self.approvals
        if approvals is None:
            raise PermanentError("there is nobody to approve it", reason="not-approved")
        await approvals.spend(approval, tx.run, step)
        tx.conclude = lambda rows: approvals.done(approval, rows)

    @staticmethod
    def _report(
        tx: Transaction,
        outcome: Outcome,
        error: EventdError,
        done: int,
        began: float,
        *,
        verb: str = "",
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
            failing_verb=verb,
            wakes_on=error.wakes_on,
            judged=error.judged,
        )


async def _manager_lines(tx: Transaction, unit: str) -> Sequence[str]:
    """Return what the system's journal has of a user's manager."""
    try:
        return await tx.host.unit_log.tail(None, unit, lines=LOG_LINES // 2)
    except EventdError as error:
        return (f"(the journal cannot be read: {error.message})",)


async def _owner_of_port(tx: Transaction, log: Sequence[str]) -> tuple[str, str] | None:
    """Return unit and account that have the port which a start failed for: as the repository says, or the kernel."""
    uses = tx.ports()
    port = own_port(log, tx.workload, uses)
    if not port or (wanted := taken_by(port, tx.workload, uses)) is not None:
        return wanted if port else None
    names = {
        value.uid: key.name
        for key, value in tx.facts.items(PlatformFact.ACCOUNT)
        if isinstance(value, Account)
    }
    for unit, uid in await tx.host.listeners.on(port):
        if uid is None or uid in names:
            return unit, names[uid] if uid is not None else ""
    return None


async def _last_check(tx: Transaction) -> str:
    """Return what the health check of a container that is not healthy printed, as a clause."""
    if tx.account is None or tx.gates.healthy is None:
        return ""
    for atom in atoms(tx.gates.healthy):
        if (
            isinstance(atom, ContainerHealthy)
            and atom.workload == tx.workload
            and atom.value(tx.facts) is not True
        ):
            try:
                words = await tx.host.images.last_check(tx.account, atom.name)
            except EventdError as error:
                _log.warning("%s: its health check's output is not known: %s", tx.workload, error)
                return ""
            if words:
                return f"the health check of {atom.name} says: {quoted(words)}"
    return ""


async def last_lines(tx: Transaction, unit: str) -> Sequence[str]:
    """Return the journal's last lines of a unit; without them a failure is reported all the same."""
    try:
        return await tx.host.unit_log.tail(tx.account, unit, lines=LOG_LINES)
    except EventdError as error:
        return (f"(the journal cannot be read: {error.message})",)
