"""The controller of workloads: brings each to its desired state. Plan, act, observe, until the plan is empty.

Owns the set of workloads, and the order within one turn. It plans again after every action that changes what can be
observed (a new account, a started manager, a reload), so that no unit is decided on before it has been observed.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace

import anyio

from eventd.accounts.model_actions import CreateAccount
from eventd.adoption.model_actions import AdoptAccount, InspectStore
from eventd.audit.model import audit
from eventd.desired.controller_active import ActiveRevision
from eventd.desired.controller_interests import Interests
from eventd.desired.model import DesiredUnit, Workload
from eventd.desired.model_options_place import ANYWHERE
from eventd.files.model_named import REASONS as FILE_REASONS
from eventd.health.controller_wellbeing import Wellbeing
from eventd.kernel.controller import (
    FINE,
    NOTHING,
    Controller,
    Decision,
    Part,
    Request,
    RetryState,
    Turn,
    is_workload,
)
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.executor import Executor, Step, does_not_converge
from eventd.kernel.failures import FORGET
from eventd.kernel.holds import FOR_EVER, Patience
from eventd.kernel.model.events import KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import VOLUME_AWAY, Outcome, WorkloadReport, WorkloadState, WorkloadStatus
from eventd.kernel.status_store import REPAIRS
from eventd.managers.model_actions import Reload, StartManager
from eventd.overrides.model import NETWORK
from eventd.state.controller_inventory import Inventory
from eventd.storage.model_actions import StopForVolume
from eventd.workloads import controller_status as workloads_controller_status
from eventd.workloads.controller_judging import Sight
from eventd.workloads.controller_planner import Planner
from eventd.workloads.controller_transaction import Transaction
from eventd.workloads.controller_units import explain, on_host
from eventd.workloads.model_events import WorkloadEvent
from eventd.workloads.model_facts import WorkloadFact
from eventd.workloads.model_records import UnitRecord
from eventd.workloads.plan import plan
from eventd.workloads.plan_units import corrections

HORIZONS = (CreateAccount, AdoptAccount, InspectStore, StartManager, Reload, StopForVolume)
"""Actions that change what can be observed: the plan is made again after them."""
ROUNDS = 7
"""Plans per turn: account, its store, manager, reload, units, and two spare ones for what happens meanwhile."""
RELOADS = 2
"""Reloads per turn: a third one would not help either."""
LATE = "it starts as soon as that changes; if that may take longer, raise {}"
UP = (WorkloadState.CONVERGED, WorkloadState.AT_RISK, WorkloadState.ROLLED_BACK)


@dataclass(slots=True)
class WorkloadController(Controller):
    """See the module."""

    active: ActiveRevision
    interests: Interests
    planner: Planner
    inventory: Inventory
    dispatcher: Dispatcher
    wellbeing: Wellbeing
    observe: Callable[[str], Awaitable[None]] | None
    """Reads the FOREIGN fact of a workload again."""

    def concerns(self, name: str) -> bool:
        """Return whether it is a workload: names of other subjects have a colon."""
        return is_workload(name)

    # Subjects

    def names(self) -> Collection[str]:
        """Return the workloads that are desired, refused, or removed and not cleared yet."""
        desired = self.active.desired
        if desired is None:
            return ()
        left = [name for name, record in self.inventory.records.workloads.items() if not record.retained]
        if desired.partial:
            left = []  # it may still be in the part that could not be read
        return {*desired.workloads, *desired.refused, *left}

    def takes(self, name: str) -> bool:
        """Return whether it is a workload that is desired or recorded on this host."""
        desired, recorded = self.active.desired, name in self.inventory.records.workloads
        if desired is None:
            return recorded
        return name in desired.workloads or name in desired.refused or (recorded and not desired.partial)

    def digest(self, name: str) -> str:
        """Identify its content."""
        workload = self.active.workload(name)
        return workload.digest if workload is not None else ""

    def patience(self, name: str, reason: str) -> Patience:
        """Return how long a hold may last before it counts as a failure.

        Only a gate has a deadline: a hold made by a person is ended by that person. A detached disk counts as a
        person's doing, unless the workload says otherwise.
        """
        workload = self.active.workload(name)
        if workload is None:
            return FOR_EVER
        seconds, option = math.inf, ""
        if reason == "gate":
            seconds, option = workload.options.deadline, "health.deadline"
        elif reason == VOLUME_AWAY and workload.options.volume_deadline is not None:
            seconds, option = workload.options.volume_deadline, "storage.deadline"
        return Patience(seconds, LATE.format(workload.options.place.key(option))) if option else FOR_EVER

    # Decision

    def decide(self, name: str, request: Request, retries: RetryState) -> Decision:  # noqa: ARG002
        """Return the actions for a workload now, or what blocks it."""
        desired = self.active.desired
        if desired is None or name in desired.refused:
            return NOTHING
        workload = self.active.workload(name)
        if workload is not None and request.restart:
            return Decision(due=True)
        context = replace(self.planner.context, forced=request.forced)
        found = self.planner.decide(name, workload, context, self.planner.wait_verbs(name, workload))
        if found.is_nothing and workload is not None and self._corrections(workload):
            return Decision(due=True)
        return found

    # Turn

    def begin(self, turn: Turn) -> None:
        """Read the facts of its units, and clear the failures of what is to be restarted."""
        workload = self.active.workload(turn.name)
        tx = on_host(turn.tx)
        tx.gates = self.active.gates_of(turn.name)
        tx.place = workload.options.place if workload is not None else ANYWHERE
        self.interests.watch(turn.name)
        if turn.request.restart:
            self.planner.failures.clear(turn.name)

    async def reconcile(self, turn: Turn, executor: Executor) -> None:
        """Converge the workload, unless it is down again and again."""
        name, workload = turn.name, self.active.workload(turn.name)
        repairs = self.planner.repairs(name, workload)
        turn.before["repairs"] = repairs
        if repairs and not self.planner.failures.repair(name, anyio.current_time()):
            turn.report = WorkloadReport(
                name,
                Outcome.FAILED,
                "crash-looping",
                f"its units keep failing after they have come up ({REPAIRS} repairs in {FORGET:g} s)",
                "see the journal of the unit; it is retried with growing pauses, or at once by eventctl sync",
            )
            return
        turn.report = await self.converge(
            executor,
            on_host(turn.tx),
            workload,
            forced=turn.request.forced or turn.request.restart,
            wait=self.planner.wait_verbs(name, workload),
            restart=turn.request.restart,
        )

    async def converge(
        self,
        executor: Executor,
        tx: Transaction,
        workload: Workload | None,
        *,
        forced: bool,
        wait: frozenset[str],
        restart: bool = False,
    ) -> WorkloadReport:
        """Converge one workload and report; never raises for what goes wrong with it.

        `wait`: verbs that must not be carried out now. `restart`: running units are restarted.
        """
        name, planner = tx.workload, self.planner
        if restart:
            # A unit that was already restarted along with another one is not restarted again.
            units = planner.view.of(name, workload).units
            tx.invocations.update({unit: state.invocation for unit, state in units.items()})

        async def work(step: Step) -> None:
            for _ in range(ROUNDS):
                context = replace(
                    planner.context,
                    forced=forced,
                    rewritten=tx.rewritten,
                    restore=tx.restore,
                    restart=restart,
                )
                found = planner.decide(name, workload, context, wait)
                sight: Sight = replace(found.seen, gates=tx.gates)
                tx.account = sight.observed.account or tx.account
                actions = found.actions
                if tx.reloads >= RELOADS:
                    actions = tuple(each for each in actions if not isinstance(each, Reload))
                for action in actions:
                    if isinstance(action, Reload) and await self._turned_foreign(name, workload):
                        break  # the next plan leaves it out
                    await step(action, sight)
                    if isinstance(action, HORIZONS):
                        break
                else:
                    if found.blocked is not None:
                        raise found.blocked
                    break
            else:
                raise does_not_converge(name, f"{ROUNDS} plans")
            if workload is not None:
                await self._true_up(tx, workload)

        return await executor.carry_out(tx, work, explain(tx))

    async def _turned_foreign(self, name: str, workload: Workload | None) -> bool:
        """Check the folders once more before a reload, which would load whatever is there by now."""
        if workload is None or self.observe is None:
            return False
        await self.observe(name)
        seen, context = self.planner.view.of(name, workload), self.planner.context
        return bool(audit(workload, seen, context.layout, context.allow).findings)

    async def _true_up(self, tx: Transaction, workload: Workload) -> None:
        """Correct the units' records, where no action does and nothing is left to do."""
        for name, unit in self._corrections(workload):
            record = UnitRecord(unit.digest, tx.run) if unit is not None else None
            await self.inventory.unit(tx.workload, name, record)

    def _corrections(self, workload: Workload) -> list[tuple[str, DesiredUnit | None]]:
        """Return the units whose records are to be corrected: none while there is anything else to do."""
        seen, records = self.planner.view.of(workload.name, workload), self.inventory.records
        found = list(corrections(workload, seen, records))
        return [] if found and plan(workload, seen, records, self.planner.context) else found

    def note(self, turn: Turn, retries: RetryState) -> None:
        """Record the result of the turn. A failure stays until a plan finds nothing left to do."""
        name, report, now = turn.name, turn.report, anyio.current_time()
        digest = self.digest(name)
        if report.outcome is Outcome.HELD:
            retries.wake_on(name, report.wakes_on)
            turn.report = retries.holds.note(name, digest, report, now, self.patience(name, report.reason))
            return
        retries.holds.clear(name)
        if report.outcome is Outcome.FAILED:
            retries.failures.note(name, digest, report, now, retries.jitter())
            self._wake_on_cures(name, report, retries)
        elif retries.failures.is_of_another(name, digest):
            # Another content failed than the one that came up now, so that one may be retried.
            retries.failures.clear(name)

    def _wake_on_cures(self, name: str, report: WorkloadReport, retries: RetryState) -> None:
        """Retry a failed workload as soon as a fact changes that it failed on, or may have failed on."""
        workload = self.active.workload(name)
        files = {
            FactKey(WorkloadFact.NAMED, each.path, name)
            for unit in (workload.units if workload is not None else ())
            for each in unit.named
        }
        retries.wake_on(name, (NETWORK, FactKey(WorkloadFact.MANAGER, name), *files, *report.wakes_on))

    # Status

    def assess(
        self, name: str, report: WorkloadReport | None, retries: RetryState
    ) -> tuple[WorkloadStatus, WorkloadReport]:
        """Return the status of a workload, and its row in the run report."""
        refused = workloads_controller_status.refused(name, self.active.desired)
        row = report or self._unchanged(name, retries)
        return refused or (workloads_controller_status.of_report(row, self.active.workload(name)), row)

    def _unchanged(self, name: str, retries: RetryState) -> WorkloadReport:
        """Return the recorded failure while something is left to do for it; otherwise clear it."""
        workload, digest = self.active.workload(name), self.digest(name)
        held = retries.holds.get(name)
        if held is not None and held.digest == digest:
            if self.planner.held(name, workload) is not None:
                return held.report.again()
            retries.holds.clear(name)
        failure = retries.failures.get(name)
        if failure is not None and failure.digest == digest:
            more = self.planner.actions(name, forced=False) or self.planner.blocked(name, workload)
            low = workloads_controller_status.down(
                workload, self.dispatcher.facts
            ) or self.wellbeing.is_unhealthy(name, workload)
            if more or low:
                return failure.report.again()
            retries.failures.clear(name)
            retries.wake_on(name, ())
        return WorkloadReport(name, Outcome.UNCHANGED)

    def publish(self, name: str, status: WorkloadStatus) -> None:
        """Set the WORKLOAD fact, for the gates of other workloads."""
        value = status.state.value
        if status.reason in FILE_REASONS or status.state in UP:
            value = "healthy"
        elif (workload := self.active.workload(name)) is not None and workloads_controller_status.down(
            workload, self.dispatcher.facts
        ) is None:
            value = "active"
        key = FactKey(WorkloadFact.WORKLOAD, name)
        if self.dispatcher.facts.get(key) != value:
            self.dispatcher.emit(
                KernelOrigin.DAEMON,
                WorkloadEvent.WORKLOAD_CHANGED,
                name,
                scope=name,
                attributes={"state": value},
                facts=[(key, value)],
            )


@dataclass(slots=True)
class NamedFilesAspect(Part):
    """Problems with the host's files that a workload names, as part of its status."""

    active: ActiveRevision
    planner: Planner

    def amend(
        self, name: str, status: WorkloadStatus, row: WorkloadReport
    ) -> tuple[WorkloadStatus, WorkloadReport]:
        """Add the problem to the status of a workload that is up."""
        if status.state is not WorkloadState.CONVERGED or row.outcome not in FINE:
            return status, row
        return workloads_controller_status.with_files(
            self.planner.file_problem(name, self.active.workload(name)), status, row
        )
