"""Verdicts: what a policy says of an action before it is carried out. Policies are pure and one per file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from eventd.core.actions import Action
from eventd.core.desired import Workload
from eventd.core.facts import FactKey, Facts
from eventd.core.gates import OPEN, WorkloadGates
from eventd.core.observed import Observed
from eventd.core.records import Records


@dataclass(frozen=True, slots=True)
class Allow:
    """Go ahead."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Not now: what is missing, and the facts whose change has it looked at again."""

    reason: str
    message: str
    wakes_on: frozenset[FactKey] = frozenset()
    waits_for: tuple[str, ...] = ()
    """What is missing, each as an operator wrote it."""


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


Policy: TypeAlias = Callable[[Case], Verdict]
"""A pure function; the first verdict that is not Allow counts."""
