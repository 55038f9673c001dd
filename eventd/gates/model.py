"""The gates of each workload: what has to hold before it starts, and what has to hold for it to count as healthy.

Pure. Reads the texts of `requires` and `[health] expect` into predicates once per load; a mistake in one refuses the
workload, with its place. Next: the policy `eventd_policies.gates`, and `eventd_handlers.health_verify`.
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
    """The two predicates of a workload; None where nothing was written."""

    requires: Predicate | None = None
    """Nothing of it starts before this holds."""
    expect: Predicate | None = None
    """It is healthy when this holds, with all its units up: what was written."""
    implied: tuple[ContainerHealthy, ...] = ()
    """What is expected of its containers though nobody wrote it: none is unhealthy (docs/adr/0015)."""
    healthy: Predicate | None = field(init=False, default=None)
    """What counts as healthy: both of these."""

    def __post_init__(self) -> None:
        """Put together what is expected."""
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
        """Whether anything of it stands in the repository."""
        return self.requires is not None or self.expect is not None

    def keys(self) -> frozenset[FactKey]:
        """Return every fact that any of it mentions: what sources have to keep current."""
        return frozenset().union(*(p.keys() for p in (self.requires, self.healthy) if p is not None))


OPEN = WorkloadGates()


def implied(workload: Workload) -> tuple[ContainerHealthy, ...]:
    """Return what is expected of a workload's containers by itself.

    All are in it, also those without a check in their file: an image may bring one, and podman tells of it.
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
    """Return the gates of the accepted workloads (or of one), and the mistakes in those that could not be read."""
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
    """Return the facts that conditions are about which all have to hold: what is written need not be implied."""
    return frozenset().union(*(each.keys() for each in expect if isinstance(each, ContainerHealthy)))
