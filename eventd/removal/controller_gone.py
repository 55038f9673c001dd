"""Subjects that are gone: forgets what this process remembered of them."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.audit.controller_alarms import Alarms
from eventd.desired.controller_active import ActiveRevision
from eventd.kernel.holds import Holds
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.status_board import StatusBoard
from eventd.workloads.controller import WorkloadController
from eventd.workloads.model_facts import WorkloadFact


@dataclass(slots=True)
class Gone:
    """See the module."""

    active: ActiveRevision
    workloads: WorkloadController
    board: StatusBoard
    holds: Holds
    alarms: Alarms
    facts: Facts

    def sweep(self) -> None:
        """Forget the workloads that the desired state does not have.

        A refused workload is not planned, so nothing else would end its hold.
        """
        desired = self.active.desired
        if desired is None:
            return
        for name in self.holds:
            if name not in desired.workloads and self.workloads.concerns(name):
                self.holds.clear(name)
        if desired.partial:
            return
        for name in [name for name in self.alarms.rows if name not in desired.workloads]:
            self.alarms.report(name, ())
        for name in self.board.statuses:
            owner = self.board.controllers.owner(name)
            if not owner.takes(name):
                self.forget(name)

    def forget(self, name: str) -> None:
        """Drop what this process knows of a subject."""
        self.board.forget(name)
        if self.workloads.concerns(name):
            self.facts.set(FactKey(WorkloadFact.WORKLOAD, name), None)
