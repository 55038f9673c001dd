"""What a policy sees: one action, its workload as observed, and the records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from eventd.desired.model import Workload
from eventd.gates.model import OPEN, WorkloadGates
from eventd.kernel.model.action import Action
from eventd.kernel.model.facts import Facts
from eventd.kernel.model.verdicts import Verdict
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Records


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a policy sees."""

    action: Action
    workload: Workload | None
    """None: it left the repository."""
    seen: Observed
    records: Records
    facts: Facts
    gates: WorkloadGates = OPEN
    run: int = 0
    """The current run, which may undo what it made itself. 0: a query that changes nothing."""


Policy: TypeAlias = Callable[[Case], Verdict]
"""A pure function; the first verdict that is not Allow counts."""
