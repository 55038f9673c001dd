"""Verdicts: what a policy says of an action before it is carried out. Policies are pure and one per file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from eventd.desired.model import Workload
from eventd.gates.model import OPEN, WorkloadGates
from eventd.kernel.model.action import Action
from eventd.kernel.model.draft import Draft
from eventd.kernel.model.facts import FactKey, Facts
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Records


@dataclass(frozen=True, slots=True)
class Allow:
    """Go ahead."""

    approval: str = ""
    """`Draft.key` of the approval that has to be spent for it; empty if none is needed."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Not now: what is missing, and the facts whose change has it looked at again."""

    reason: str
    message: str
    wakes_on: frozenset[FactKey] = frozenset()
    waits_for: tuple[str, ...] = ()
    """What is missing, each as an operator wrote it."""
    draft: Draft | None = None
    """An operator has to sign this, and has not been asked yet."""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Deny:
    """Not like this: somebody has to change something."""

    reason: str
    message: str
    hint: str = ""


Verdict: TypeAlias = Allow | Hold | Deny
ALLOW = Allow()


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
