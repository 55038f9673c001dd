"""What a policy may look at: one action, the workload that it is for, as it is seen, and what is remembered."""

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
    """Everything a policy may look at."""

    action: Action
    workload: Workload | None
    """None: it left the repository."""
    seen: Observed
    records: Records
    facts: Facts
    gates: WorkloadGates = OPEN
    run: int = 0
    """The run that is on: what it has made itself it may undo. 0: it is only asked what would be said."""


Policy: TypeAlias = Callable[[Case], Verdict]
"""A pure function; the first verdict that is not Allow counts."""
