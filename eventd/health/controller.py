"""The health controller: detects what is wrong with a verified workload, and restarts it if configured.

Takes part in the turn of every workload: it reports crashes, carries out `[health] on_unhealthy`, and amends the status
with what `eventd.health.controller_wellbeing` knows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import anyio

from eventd.desired.controller_active import ActiveRevision
from eventd.desired.model import OnUnhealthy, Workload
from eventd.health.controller_wellbeing import Wellbeing
from eventd.health.model_expectations import CRASHED, UNHEALTHY, UnmetExpectations, unmet_expectations
from eventd.kernel.controller import FINE, NOTHING, Decision, Part, Request, RetryState, Turn, TurnStage
from eventd.kernel.executor import Executor, Step
from eventd.kernel.failures import FORGET, Failures
from eventd.kernel.model.facts import Facts
from eventd.kernel.model.report import Outcome, WorkloadReport, WorkloadState, WorkloadStatus
from eventd.kernel.model.verdicts import Allow
from eventd.kernel.status_store import REPAIRS
from eventd.overrides.controller_rollback import RollbackController
from eventd.workloads import controller_status as workloads_controller_status
from eventd.workloads.controller_planner import Planner
from eventd.workloads.controller_units import explain, last_lines, on_host, restart_units
from eventd.workloads.model_actions import RestartUnit


@dataclass(slots=True)
class HealthController(Part):
    """See the module."""

    stage = TurnStage.JUDGE
    active: ActiveRevision
    planner: Planner
    wellbeing: Wellbeing
    failures: Failures
    facts: Facts
    rollbacks: RollbackController

    def decide(self, name: str, request: Request, retries: RetryState) -> Decision:  # noqa: ARG002
        """Ask for a turn if something can be done about an unhealthy workload."""
        workload = self.active.workload(name)
        unmet = self.repairable(name, workload) if workload is not None else None
        return Decision(due=True) if unmet is not None else NOTHING

    def repairable(self, name: str, workload: Workload) -> UnmetExpectations | None:
        """Return what `[health] on_unhealthy` should fix now, if the workload is verified, up, and not in a pause."""
        if workload.options.on_unhealthy is OnUnhealthy.REPORT:
            return None
        if not self.planner.is_verified(name, workload):
            return None
        found = unmet_expectations(workload, self.active.gates_of(name).healthy, self.facts)
        if (
            found is None
            or found.starting
            or not found.units
            or workloads_controller_status.down(workload, self.facts)
        ):
            return None
        if not self.failures.may_start(name, workload.digest, anyio.current_time()):
            return None
        action = RestartUnit(name, found.units[0], workload.digest, found.message, workload.options.deadline)
        return found if isinstance(self.planner.verdict(name, workload, action), Allow) else None

    def begin(self, turn: Turn) -> None:
        """Forget the history if the content is new, or if an operator asked for the run."""
        workload = self.active.workload(turn.name)
        if workload is not None:
            self.wellbeing.begin(turn.name, workload)
        if turn.request.restart:
            self.wellbeing.forget(turn.name)

    async def reconcile(self, turn: Turn, executor: Executor) -> None:
        """Restart the workload if it is unhealthy and configured so; restarts are limited like repairs."""
        workload = self.active.workload(turn.name)
        crash = self.wellbeing.last_crash(turn.name)
        if turn.before.get("repairs") and turn.report.outcome is Outcome.OK and crash:
            turn.report = replace(turn.report, reason=CRASHED, message=f"{crash}; it was started again")
        if workload is None or turn.report.outcome not in FINE:
            return
        unmet = self.repairable(turn.name, workload)
        if unmet is not None:
            turn.report = await self._repair(turn, workload, unmet, executor)

    async def _repair(
        self, turn: Turn, workload: Workload, unmet: UnmetExpectations, executor: Executor
    ) -> WorkloadReport:
        name, tx, report = workload.name, on_host(turn.tx), turn.report
        found = replace(
            report,
            outcome=Outcome.FAILED,
            reason=UNHEALTHY,
            message=unmet.message,
            failing_unit=unmet.units[0],
        )
        if workload.options.on_unhealthy is OnUnhealthy.ROLLBACK:
            log_lines = await last_lines(tx, unmet.units[0])
            return await self.rollbacks.take_back(turn, workload, replace(found, log=tuple(log_lines)))
        if not self.failures.repair(name, anyio.current_time()):
            message = f"{unmet.message}, although it was restarted {REPAIRS} times within {FORGET:g} s"
            hint = f"eventd restarts it again with growing pauses; eventctl restart {name} does it now"
            return replace(found, message=message, hint=hint, failing_verb=RestartUnit.verb)
        why = f"it is unhealthy: {unmet.message}"

        async def work(step: Step) -> None:
            await restart_units(step, self.planner, workload, unmet.units, why)

        done = await executor.carry_out(tx, work, explain(tx))
        message = done.message or f"{unmet.message}; it was restarted"
        return replace(
            done, reason=done.reason or UNHEALTHY, message=message, actions=report.actions + done.actions
        )

    def amend(
        self, name: str, status: WorkloadStatus, row: WorkloadReport
    ) -> tuple[WorkloadStatus, WorkloadReport]:
        """Amend the status of a workload that needs no action by what is wrong with it."""
        workload = self.active.workload(name)
        if workload is None or row.outcome not in FINE or status.state is not WorkloadState.CONVERGED:
            return status, row
        problem = self.wellbeing.assess(name, workload)
        return workloads_controller_status.degraded(problem, row) if problem is not None else (status, row)
