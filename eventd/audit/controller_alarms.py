"""Reports the findings of the audit once: an event and a journal line when they change, and when they are gone.

Owns what was reported. `eventd.audit.model` finds what is wrong; the findings block the workload's plan.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from eventd.audit.model import Finding
from eventd.audit.model_events import AuditEvent
from eventd.kernel.controller import Part
from eventd.kernel.model.events import Attribute, Emit, KernelOrigin
from eventd.kernel.model.report import WorkloadReport, WorkloadStatus
from eventd.workloads.controller_planner import Planner

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Alarms:
    """The reported findings of each workload."""

    emit: Emit
    rows: dict[str, tuple[Finding, ...]] = field(default_factory=dict)

    def report(self, name: str, findings: tuple[Finding, ...]) -> None:
        """Compare the findings of a workload with those reported last; report the difference."""
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
            log.info("audit of %s: no findings left", name, extra={"workload": name})
        attributes: dict[str, Attribute] = {
            "findings": len(findings),
            "codes": " ".join(sorted({str(each.code) for each in findings})),
            "message": findings[0].message if findings else "",
        }
        self.emit(KernelOrigin.DAEMON, AuditEvent.PROVENANCE, name, scope=name, attributes=attributes)


@dataclass(slots=True)
class AuditAspect(Part):
    """Audits a workload whenever its status is assessed, from memory."""

    planner: Planner
    alarms: Alarms

    def amend(
        self, name: str, status: WorkloadStatus, row: WorkloadReport
    ) -> tuple[WorkloadStatus, WorkloadReport]:
        """Report new findings; the status is not changed."""
        self.alarms.report(name, self.planner.audit(name).findings)
        return status, row
