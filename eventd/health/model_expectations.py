"""Expectations: whether a verified workload still meets its `[health] expect`.

Pure. Only conditions that are known to be false count. They are evaluated on facts, the same for every kind: a
container's health, a unit, a mount, an answer on the network. Next: `eventd.workloads.controller_status` reports it,
`eventd.workloads.controller_planner` decides what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass

from eventd.desired.model import UnitRole, Workload
from eventd.gates.model_predicate_atoms import ContainerHealthy, UnitIs
from eventd.gates.model_predicates import All, Predicate, atoms
from eventd.kernel.model.facts import Facts
from eventd.kernel.model.report import WorkloadState

UNHEALTHY = "unhealthy"
"""The reason of a workload that is up and was verified, but does not meet its expectations."""


CRASHED = "crashed"
"""The reason of a workload with a crashed unit that is about to be started again."""


@dataclass(frozen=True, slots=True)
class HealthProblem:
    """What is wrong with a workload that needs no action."""

    state: WorkloadState
    reason: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class UnmetExpectations:
    """The expectations that do not hold."""

    message: str
    starting: bool = False
    """All that is missing are results of checks that are still running."""
    units: tuple[str, ...] = ()
    """The units to restart for it, in start order; none if it is not about the workload itself."""


def unmet_expectations(
    workload: Workload, healthy: Predicate | None, facts: Facts
) -> UnmetExpectations | None:
    """Return the expectations of a workload that are known not to hold; None if there are none."""
    if healthy is None or healthy.value(facts) is not False:
        return None
    parts = [part for part in _parts(healthy) if part.value(facts) is False]
    starting = all(isinstance(part, ContainerHealthy) and part.is_starting(facts) for part in parts)
    if not starting:
        parts = [p for p in parts if not (isinstance(p, ContainerHealthy) and p.is_starting(facts))]
    message = "; ".join(dict.fromkeys(part.sentence(facts) for part in parts))
    return UnmetExpectations(message, starting, _to_restart(workload, parts))


def _parts(predicate: Predicate) -> tuple[Predicate, ...]:
    """Return the members of a conjunction."""
    if isinstance(predicate, All):
        return tuple(part for member in predicate.members for part in _parts(member))
    return (predicate,)


def _to_restart(workload: Workload, parts: list[Predicate]) -> tuple[str, ...]:
    """Return the units whose restart may help: the container's; all units if something does not answer."""
    running = [unit for unit in workload.units if unit.role is UnitRole.RUNNING]
    found: set[str] = set()
    for part in parts:
        for atom in atoms(part):
            match atom:
                case ContainerHealthy():
                    found |= {unit.name for unit in running if unit.container == atom.name}
                case UnitIs() if atom.workload == workload.name:
                    found |= {unit.name for unit in running if unit.name == atom.name}
                case _ if atom.probe is not None:
                    found |= {unit.name for unit in running}
                case _:
                    pass
    return tuple(unit.name for unit in running if unit.name in found)
