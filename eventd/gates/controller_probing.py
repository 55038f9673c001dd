"""Probing: decides which probes run now, for conditions that no event reports.

Owns the set of wanted probes: what held workloads and verifications wait for, and what running workloads expect, each
only while its answer decides. The probes' source is told when that set changes, and answers with facts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from eventd.desired.controller_active import ActiveRevision
from eventd.gates.model_predicates import Predicate, Probe, probes
from eventd.kernel.holds import Holds
from eventd.kernel.model.facts import FactKey, Facts
from eventd.workloads.model_facts import WorkloadFact


@dataclass(slots=True)
class Probing:
    """See the module."""

    probe: Callable[[frozenset[Probe]], None] | None
    active: ActiveRevision
    holds: Holds
    facts: Facts
    _expecting: dict[str, Predicate] = field(default_factory=dict)
    """What verifications wait for."""
    _probed: frozenset[Probe] = frozenset()

    def expect(self, name: str, predicate: Predicate | None) -> None:
        """Set what a verification waits for; None: it has ended."""
        if predicate is None:
            self._expecting.pop(name, None)
        else:
            self._expecting[name] = predicate
        self.refresh()

    def refresh(self) -> None:
        """Compute the wanted probes, and tell the source if they have changed."""
        if self.probe is None:
            return
        waits = [self.active.gates_of(name).requires for name in self.holds]
        waits += [healthy for name, healthy in self.active.probed.items() if self._is_up(name)]
        wanted = frozenset(
            each
            for predicate in (*waits, *self._expecting.values())
            if predicate is not None
            for each in probes(predicate, self.facts)
        )
        if wanted != self._probed:
            self._probed = wanted
            self.probe(wanted)

    def _is_up(self, name: str) -> bool:
        return self.facts.get(FactKey(WorkloadFact.WORKLOAD, name)) in ("active", "healthy")
