"""Findings of the audit, told once: an event and a line of the journal when they change, and when they are gone.

Owns what was told. What is wrong is `eventd.audit.model`'s to say, and what becomes of the workload the
reconciler's, which asks for this after each look.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from eventd.audit.model import Finding
from eventd.audit.model_events import AuditEvent
from eventd.kernel.controller import NOTHING, Controller, Decision, Desk, Request, Turn
from eventd.kernel.executor import Executor
from eventd.kernel.model.events import Attribute, Emit, KernelOrigin
from eventd.kernel.model.report import WorkloadReport, WorkloadStatus
from eventd.workloads.controller_planner import Planner

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Alarms:
    """What is wrong with the provenance of each workload's units."""

    emit: Emit
    rows: dict[str, tuple[Finding, ...]] = field(default_factory=dict)

    def look(self, name: str, findings: tuple[Finding, ...]) -> None:
        """Take in the findings of a workload; tell what is new about them."""
        before = self.rows.get(name, ())
        if before == findings:
            return
        for each in findings:
            if each not in before:
                log.error(
                    "audit of %s: %s", name, each.message, extra={"workload": name, "reason": str(each.code)}
                )
        if findings:
            self.rows[name] = findings
        else:
            del self.rows[name]
            log.info("audit of %s: nothing is wrong any more", name, extra={"workload": name})
        attributes: dict[str, Attribute] = {
            "findings": len(findings),
            "codes": " ".join(sorted({str(each.code) for each in findings})),
            "message": findings[0].message if findings else "",
        }
        self.emit(KernelOrigin.DAEMON, AuditEvent.PROVENANCE, name, scope=name, attributes=attributes)


@dataclass(slots=True)
class AuditAspect(Controller):
    """Has each look at a workload audit it, from memory."""

    planner: Planner
    alarms: Alarms

    def concerns(self, name: str) -> bool:
        """Every workload."""
        return ":" not in name

    def decide(self, name: str, request: Request, desk: Desk) -> Decision:  # noqa: ARG002
        """Nothing of its own: what is wrong blocks the plan."""
        return NOTHING

    async def reconcile(self, turn: Turn, executor: Executor) -> None:
        """Nothing of its own."""

    def amend(
        self, name: str, status: WorkloadStatus, row: WorkloadReport
    ) -> tuple[WorkloadStatus, WorkloadReport]:
        """Tell what is new about the findings; the status stays as it is."""
        self.alarms.look(name, self.planner.audit(name).findings)
        return status, row
