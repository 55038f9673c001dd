"""The status of a workload: from its last report, the recorded failure, and the current state of its units.

An empty plan does not mean that a workload is converged: a unit between two automatic restarts leaves nothing to plan,
but is not up.
"""

from __future__ import annotations

from dataclasses import replace

from eventd.desired.model import Desired, UnitRole, Workload
from eventd.files.model_named import RESTART_PENDING
from eventd.health.model_expectations import CRASHED, HealthProblem
from eventd.kernel.controller import FINE, status_of
from eventd.kernel.model.diagnostics import errors
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.report import Outcome, WorkloadReport, WorkloadState, WorkloadStatus
from eventd.overrides.model import Rollback
from eventd.platform.model_facts import ActiveState, PlatformFact, UnitState
from eventd.platform.model_facts import unit as as_unit
from eventd.workloads.plan_file_problem import FileProblem

REMOVED = "it left the repository; its account and data are kept"


def refused(name: str, desired: Desired | None) -> tuple[WorkloadStatus, WorkloadReport] | None:
    """Return the status of a workload with errors in the repository, or None."""
    found = desired.refused.get(name) if desired else None
    if found is None:
        return None
    wrong = errors(found) or found
    # A misspelt key is the cause; the key that is missing because of it is the consequence.
    first = min(wrong, key=lambda d: d.code.startswith("missing"))
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    row = WorkloadReport(name, Outcome.REFUSED, first.code or "refused", f"{first}{more}", first.hint)
    return WorkloadStatus(WorkloadState.REFUSED, 0.0, row.reason, row.message, row.hint), row


def of_report(row: WorkloadReport, workload: Workload | None) -> WorkloadStatus:
    """Return the status of a workload, given the report of its last turn."""
    if row.outcome not in FINE:
        return status_of(row)
    if workload is None:
        return WorkloadStatus(WorkloadState.REMOVED, message=REMOVED)
    return WorkloadStatus(WorkloadState.CONVERGED)


def degraded(problem: HealthProblem, row: WorkloadReport) -> tuple[WorkloadStatus, WorkloadReport]:
    """Return the status of a workload with nothing left to do, given what is wrong with it."""
    reason, message, hint = problem.reason, problem.message, problem.hint
    if problem.state is not WorkloadState.FAILED:
        return WorkloadStatus(problem.state, 0.0, reason, message, hint), row
    failed = replace(row, outcome=Outcome.FAILED, reason=reason, message=message, hint=hint)
    return WorkloadStatus(WorkloadState.FAILED, 0.0, reason, message, hint), failed


def with_files(
    trouble: FileProblem | None, now: WorkloadStatus, row: WorkloadReport
) -> tuple[WorkloadStatus, WorkloadReport]:
    """Return the status of a workload that is up, given the problem with the host's files that it names."""
    if trouble is None:
        return now, row
    if trouble.reason != RESTART_PENDING:
        return WorkloadStatus(WorkloadState.AT_RISK, 0.0, trouble.reason, trouble.message, trouble.hint), row
    outcome = row.outcome if row.outcome is Outcome.OK else Outcome.HELD
    row = replace(row, outcome=outcome, reason=trouble.reason, message=trouble.message, hint=trouble.hint)
    return WorkloadStatus(WorkloadState.HELD, 0.0, row.reason, row.message, row.hint), row


def rolled_back(
    order: Rollback, now: WorkloadStatus, row: WorkloadReport
) -> tuple[WorkloadStatus, WorkloadReport]:
    """Return the status of a workload that is rolled back, and its row in the run report.

    An automatic rollback fails every run that includes it: the host is not what the repository says. One that an
    operator requested is only held.
    """
    hint = f"push a fix, or `eventctl resume {order.workload}` to return to the repository's revision"
    if row.outcome is Outcome.FAILED:
        message = f"{order.sentence}, which failed as well: {row.message}"
        row = replace(row, reason="rollback-failed", message=message)
        return replace(now, reason=row.reason, message=message), row
    if now.state not in (WorkloadState.CONVERGED, WorkloadState.AT_RISK):
        return now, row
    outcome = row.outcome if row.outcome is Outcome.OK else Outcome.HELD
    row = replace(
        row,
        outcome=Outcome.FAILED if order.automatic else outcome,
        reason="rolled-back",
        # What else was done, such as an update, stays in the run report.
        message=f"{order.sentence}; {row.message}" if row.message else order.sentence,
        hint=hint,
        log=order.log,
        failing_unit=order.unit,
    )
    return WorkloadStatus(
        WorkloadState.ROLLED_BACK,
        0.0,
        row.reason,
        order.sentence,
        row.hint,
        row.log,
        order.failed_on,
        failing_unit=row.failing_unit,
    ), row


def ended(state: UnitState) -> str:
    """Return a sentence about how a unit ended by itself."""
    often = f" after {state.restarts} automatic restarts" if state.restarts else ""
    return f"{state.name} ended ({state.result}, status {state.exec_status}){often}{state.status_suffix}"


def down(workload: Workload | None, facts: Facts) -> tuple[str, str] | None:
    """Return why a workload is not up (reason, sentence), or None if every unit that should run does."""
    for wanted in workload.units if workload else ():
        if wanted.role is not UnitRole.RUNNING or workload is None:
            continue
        state = as_unit(facts.get(FactKey(PlatformFact.UNIT, wanted.name, workload.name)))
        if state is None:
            return "starting", f"{wanted.name} has not been read yet"
        if state.up:
            continue
        if state.auto_restarting or state.active is ActiveState.FAILED:
            return CRASHED, ended(state)
        return "starting", f"{wanted.name} is {state.active} ({state.sub})"
    return None
