"""The gates of a workload for the graph: each predicate with the place where it is written.

Pure. An invalid predicate is left out: `eventd.gates.model` refuses its workload. Next: `model_build`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eventd.desired.model import Desired, Workload
from eventd.gates.model_predicate_parse import parse
from eventd.gates.model_predicate_scope import Scope, known_units, scope_of
from eventd.gates.model_predicates import Predicate
from eventd.kernel.model.diagnostics import Diagnostic
from eventd.kernel.model.located import Located


@dataclass(frozen=True, slots=True)
class Part:
    """One predicate of `requires` or of `[health] expect`."""

    predicate: Predicate
    place: Located


@dataclass(frozen=True, slots=True)
class PlacedGates:
    """What a workload requires and expects."""

    workload: str
    requires: tuple[Part, ...]
    expect: tuple[Part, ...]
    scope: Scope


def placed_gates(desired: Desired) -> Mapping[str, PlacedGates]:
    """Return the gates of the workloads that have any, by name."""
    known = known_units(desired)
    return {
        name: _placed(workload, scope_of(workload, desired, known))
        for name, workload in desired.workloads.items()
        if workload.options.requires or workload.options.expect
    }


def _placed(workload: Workload, scope: Scope) -> PlacedGates:
    options = workload.options
    return PlacedGates(workload.name, _parts(options.requires, scope), _parts(options.expect, scope), scope)


def _parts(places: tuple[Located, ...], scope: Scope) -> tuple[Part, ...]:
    read = [(parse(place, scope), place) for place in places]
    return tuple(Part(result, place) for result, place in read if not isinstance(result, Diagnostic))
