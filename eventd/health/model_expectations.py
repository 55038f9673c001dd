"""Wellness: whether what a workload expects of itself still holds, after it was verified.

Pure. A condition that is not known does not count against a workload, one that is known to be false does. Judged by
facts, so the same for every kind of condition: a container's health, a unit, a mount, an answer over the network.
Next: `eventd.workloads.controller_status` says it, `eventd.workloads.controller_planner` asks what is to be done about
it.
"""

from __future__ import annotations

from dataclasses import dataclass

from eventd.desired.model import UnitRole, Workload
from eventd.gates.model_predicate_atoms import ContainerHealthy, UnitIs
from eventd.gates.model_predicates import All, Predicate, atoms
from eventd.kernel.model.facts import Facts
from eventd.kernel.model.report import WorkloadState

UNHEALTHY = "unhealthy"
"""The reason of a workload that is up, was verified, and is not what it expects of itself."""


CRASHED = "crashed"
"""The reason of a workload with a unit that ended by itself, and that is about to be started again."""


@dataclass(frozen=True, slots=True)
class Ailment:
    """Why a workload with nothing to do for it is not as it has to be."""

    state: WorkloadState
    reason: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Illness:
    """What does not hold."""

    message: str
    starting: bool = False
    """Nothing but checks that have not come to a result yet."""
    units: tuple[str, ...] = ()
    """The units of the workload to restart for it, in start order; none where it is about nothing of its own."""


def illness(workload: Workload, healthy: Predicate | None, facts: Facts) -> Illness | None:
    """Return what is known not to hold of what a workload expects; None where nothing is."""
    if healthy is None or healthy.value(facts) is not False:
        return None
    parts = [part for part in _parts(healthy) if part.value(facts) is False]
    starting = all(isinstance(part, ContainerHealthy) and part.is_starting(facts) for part in parts)
    if not starting:
        parts = [p for p in parts if not (isinstance(p, ContainerHealthy) and p.is_starting(facts))]
    message = "; ".join(dict.fromkeys(part.sentence(facts) for part in parts))
    return Illness(message, starting, _to_restart(workload, parts))


def _parts(predicate: Predicate) -> tuple[Predicate, ...]:
    """Return the conditions that all have to hold."""
    if isinstance(predicate, All):
        return tuple(part for member in predicate.members for part in _parts(member))
    return (predicate,)


def _to_restart(workload: Workload, parts: list[Predicate]) -> tuple[str, ...]:
    """Return what of a workload may mend it: the container's unit; all of it where something does not answer."""
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
