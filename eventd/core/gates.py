"""The gates of each workload: what has to hold before it starts, and what has to hold for it to count as healthy.

Pure. Reads the texts of `requires` and `[health] expect` into predicates once per load; a mistake in one refuses the
workload, with its place. Next: the policy `eventd_policies.gates`, and `eventd_handlers.verify`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from eventd.core.desired import Desired
from eventd.core.diagnostics import Diagnostic
from eventd.core.facts import FactKey
from eventd.core.predicate_parse import parse_all
from eventd.core.predicate_scope import known_units, scope_of
from eventd.core.predicates import Predicate, all_of


@dataclass(frozen=True, slots=True)
class WorkloadGates:
    """The two predicates of a workload; None where nothing was written."""

    requires: Predicate | None = None
    """Nothing of it starts before this holds."""
    expect: Predicate | None = None
    """It is healthy when this holds, with all its units up."""

    def keys(self) -> frozenset[FactKey]:
        """Return every fact that either mentions: what sources have to keep current."""
        return frozenset().union(*(p.keys() for p in (self.requires, self.expect) if p is not None))


OPEN = WorkloadGates()


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
        if (only and name != only) or (not options.requires and not options.expect):
            continue
        scope = scope_of(workload, desired, known)
        requires, wrong = parse_all(options.requires, scope, "requires")
        expect, more = parse_all(options.expect, scope, "health.expect")
        if wrong or more:
            mistakes[name] = (*wrong, *more)
            continue
        gates[name] = WorkloadGates(
            all_of(*requires) if requires else None, all_of(*expect) if expect else None
        )
    return gates, mistakes
