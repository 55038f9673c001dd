"""The gates of each workload: the conditions for its start, and those for it to count as healthy.

Pure. Parses `requires` and `[health] expect` into predicates, once per load. A mistake refuses the workload, with its
place. Next: the policy `eventd_policies.gates`, and `eventd_handlers.health_verify`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from eventd.desired.model import Desired, UnitRole, Workload
from eventd.gates.model_predicate_atoms import ContainerHealthy
from eventd.gates.model_predicate_parse import parse_all
from eventd.gates.model_predicate_scope import known_units, scope_of
from eventd.gates.model_predicates import All, Predicate, all_of
from eventd.kernel.model.diagnostics import Diagnostic
from eventd.kernel.model.facts import FactKey


@dataclass(frozen=True, slots=True)
class WorkloadGates:
    """The two predicates of a workload; None where none is written."""

    requires: Predicate | None = None
    """No unit of the workload is started before this holds."""
    expect: Predicate | None = None
    """As written: the workload is healthy if this holds and all its units are up."""
    implied: tuple[ContainerHealthy, ...] = ()
    """Expected without being written: none of its containers is unhealthy (docs/adr/0015)."""
    healthy: Predicate | None = field(init=False, default=None)
    """The condition for healthy: both of these."""

    def __post_init__(self) -> None:
        """Combine both expectations."""
        written = (
            ()
            if self.expect is None
            else self.expect.members
            if isinstance(self.expect, All)
            else (self.expect,)
        )
        parts = (*written, *self.implied)
        object.__setattr__(self, "healthy", all_of(*parts) if parts else None)

    @property
    def written(self) -> bool:
        """Whether the repository defines any of it."""
        return self.requires is not None or self.expect is not None

    def keys(self) -> frozenset[FactKey]:
        """Return every fact that it mentions: sources have to keep them current."""
        return frozenset().union(*(p.keys() for p in (self.requires, self.healthy) if p is not None))


OPEN = WorkloadGates()


def implied(workload: Workload) -> tuple[ContainerHealthy, ...]:
    """Return the expectations of a workload's containers that are not written.

    Containers without a check in their file are included: an image may have one, and podman reports its result.
    """
    return tuple(
        ContainerHealthy(
            f"container:{unit.container}=healthy",
            unit.container,
            workload.name,
            unit.name if unit.notify_healthy else "",
            implied=True,
            checked=unit.checked,
        )
        for unit in workload.units
        if unit.container and unit.role is UnitRole.RUNNING
    )


def refuse(desired: Desired, found: Mapping[str, tuple[Diagnostic, ...]]) -> Desired:
    """Return the desired state with the workloads in `found` refused for these reasons."""
    kept = {name: workload for name, workload in desired.workloads.items() if name not in found}
    return replace(desired, workloads=kept, refused={**desired.refused, **found})


def read_gates(
    desired: Desired, *, only: str = ""
) -> tuple[Mapping[str, WorkloadGates], Mapping[str, tuple[Diagnostic, ...]]]:
    """Return the gates of the accepted workloads (or of one), and the errors in those that could not be parsed."""
    gates: dict[str, WorkloadGates] = {}
    known = known_units(desired)
    mistakes: dict[str, tuple[Diagnostic, ...]] = {}
    for name, workload in desired.workloads.items():
        options = workload.options
        if only and name != only:
            continue
        by_itself = implied(workload)
        if not options.requires and not options.expect:
            if by_itself:
                gates[name] = WorkloadGates(implied=by_itself)
            continue
        scope = scope_of(workload, desired, known)
        requires, wrong = parse_all(options.requires, scope, "requires")
        expect, more = parse_all(options.expect, scope, "health.expect")
        if wrong or more:
            mistakes[name] = (*wrong, *more)
            continue
        gates[name] = WorkloadGates(
            all_of(*requires) if requires else None,
            all_of(*expect) if expect else None,
            tuple(each for each in by_itself if each.key not in _keys(expect)),
        )
    return gates, mistakes


def _keys(expect: tuple[Predicate, ...]) -> frozenset[FactKey]:
    """Return the facts of conditions that all have to hold: an expectation about the same fact need not be added."""
    return frozenset().union(*(each.keys() for each in expect if isinstance(each, ContainerHealthy)))
