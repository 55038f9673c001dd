"""Units of a workload in a turn: restart some, and explain why one failed.

Shared by the controllers of workloads; owns nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from eventd.containers.model_causes import explained, own_port, quoted, taken_by
from eventd.desired.model import UnitRole, Workload
from eventd.gates.model_predicate_atoms import ContainerHealthy
from eventd.gates.model_predicates import atoms
from eventd.health.model_actions import Verify
from eventd.kernel.executor import Explain, Step
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.report import WorkloadReport
from eventd.kernel.transaction import BaseTransaction
from eventd.managers.model_trouble import ManagerUnavailableError
from eventd.platform.model_facts import Account, PlatformFact
from eventd.workloads.controller_judging import BlockedError
from eventd.workloads.controller_planner import Planner
from eventd.workloads.controller_transaction import Transaction, UnitFailedError
from eventd.workloads.model_actions import RestartUnit

LOG_LINES = 20
UNCHECKED = frozenset({"not-up-in-time", "not-healthy-in-time"})
"""Failure reasons that a health check may explain."""
log = logging.getLogger(__name__)


def on_host(tx: BaseTransaction) -> Transaction:
    """Return a turn's transaction as one on the host."""
    assert isinstance(tx, Transaction)
    return tx


async def restart_units(
    step: Step, planner: Planner, workload: Workload, units: tuple[str, ...], why: str
) -> None:
    """Restart units in start order, then verify the whole workload."""
    options = workload.options
    for unit in workload.units:
        if unit.name in units:
            named = tuple(each.path for each in unit.named if each.content)
            action = RestartUnit(workload.name, unit.name, unit.digest, why, options.deadline, named)
            await step(action, planner.sight(workload.name, workload))
    names = tuple(unit.name for unit in workload.units if unit.role is UnitRole.RUNNING)
    verify = Verify(workload.name, names, workload.digest, options.deadline, options.grace, why)
    await step(verify, planner.sight(workload.name, workload))


def explain(tx: Transaction) -> Explain:
    """Return a function that adds journal lines, causes and hints to the report of a failure."""

    async def explained_by(error: EventdError, report: WorkloadReport) -> WorkloadReport:
        match error:
            case BlockedError():
                return replace(report, failing_unit=error.unit, failing_verb="")
            case ManagerUnavailableError():
                return replace(report, log=tuple(await _manager_lines(tx, error.unit)))
            case UnitFailedError():
                return await _explain_unit(tx, error, report)
            case _:
                return report

    return explained_by


async def _explain_unit(tx: Transaction, error: UnitFailedError, report: WorkloadReport) -> WorkloadReport:
    lines = error.log or await last_lines(tx, error.unit)
    owner = await _owner_of_port(tx, lines)
    message, hint = explained(report.message, report.hint, lines, tx.workload, owner)
    if error.reason in UNCHECKED and (said := await _last_check(tx)):
        message = f"{message}; {said}"
    return replace(report, message=message, hint=hint, failing_unit=error.unit, log=tuple(map(str, lines)))


async def _manager_lines(tx: Transaction, unit: str) -> Sequence[str]:
    """Return the lines of a user's manager in the system's journal."""
    try:
        return await tx.host.unit_log.tail(None, unit, lines=LOG_LINES // 2)
    except EventdError as error:
        return (f"(the journal cannot be read: {error.message})",)


async def _owner_of_port(tx: Transaction, log: Sequence[str]) -> tuple[str, str] | None:
    """Return unit and account that own the port a start failed on, according to the repository or the kernel."""
    uses = tx.ports()
    port = own_port(log, tx.workload, uses)
    if not port or (wanted := taken_by(port, tx.workload, uses)) is not None:
        return wanted if port else None
    names = {
        value.uid: key.name
        for key, value in tx.facts.items(PlatformFact.ACCOUNT)
        if isinstance(value, Account)
    }
    for unit, uid in await tx.host.port_owners.owners_of(port):
        if uid is None or uid in names:
            return unit, names[uid] if uid is not None else ""
    return None


async def _last_check(tx: Transaction) -> str:
    """Return the output of an unhealthy container's health check, as a clause."""
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
                log.warning("%s: the output of its health check is not available: %s", tx.workload, error)
                return ""
            if words:
                return f"the health check of {atom.name} says: {quoted(words)}"
    return ""


async def last_lines(tx: Transaction, unit: str) -> Sequence[str]:
    """Return the last journal lines of a unit; a failure to read them is reported as a line."""
    try:
        return await tx.host.unit_log.tail(tx.account, unit, lines=LOG_LINES)
    except EventdError as error:
        return (f"(the journal cannot be read: {error.message})",)
