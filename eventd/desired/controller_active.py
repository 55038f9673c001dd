"""The active revision: the repository's at the active commit, except where an override replaces it.

Owns which revision that is, its gates, and the facts that each workload needs. It only answers questions;
`eventd.desired.controller_activation` makes a commit active.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from eventd.desired.controller_load import Loaded
from eventd.desired.model import Desired, HostPort, Workload
from eventd.gates.model import OPEN, WorkloadGates
from eventd.gates.model_predicates import Predicate, atoms
from eventd.health.model_readiness import needs_of
from eventd.kernel.model.facts import FactKey
from eventd.overrides.controller import Overrides


@dataclass(slots=True)
class ActiveRevision:
    """See the module."""

    overrides: Overrides
    desired: Desired | None = None
    """The repository's."""
    gates: Mapping[str, WorkloadGates] = field(default_factory=dict)
    """The repository's."""
    circular: Mapping[str, Workload] = field(default_factory=dict)
    """Refused workloads that wait for themselves."""
    units_in_gates: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Workload -> those of its units that the gates of any workload mention."""
    probed: dict[str, Predicate] = field(default_factory=dict)
    """Expectations of workloads that have to be probed in part."""
    _needs: dict[str, tuple[Workload, frozenset[FactKey]]] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        """The repository's commit; empty before the first one."""
        return self.desired.commit if self.desired is not None else ""

    def replace(self, loaded: Loaded) -> None:
        """Replace the repository's revision."""
        self.desired, self.gates = loaded.desired, loaded.gates
        self.circular = loaded.circular
        self.units_in_gates = loaded.units_in_gates()

    def workload(self, name: str) -> Workload | None:
        """Return the content that a workload should have: an override's, else the repository's."""
        order = self.overrides.rollback_of(name)
        if order is not None:
            return order.good.workload
        return self.desired.workloads.get(name) if self.desired else None

    def ports(self) -> Mapping[str, Sequence[HostPort]]:
        """Return the host's ports that each workload publishes."""
        workloads = self.desired.workloads if self.desired is not None else {}
        return {name: workload.ports for name, workload in workloads.items()}

    def commit_of(self, name: str) -> str:
        """Return the commit that a workload should be at; empty before the first one."""
        order = self.overrides.rollback_of(name)
        return order.good.commit if order else self.commit

    def gates_of(self, name: str) -> WorkloadGates:
        """Return the gates of a workload."""
        return self.overrides.gates_of(name) or self.gates.get(name, OPEN)

    def needs_of(self, name: str) -> frozenset[FactKey]:
        """Return the facts that the start of a workload needs; computed once for each content."""
        workload = self.workload(name)
        if workload is None:
            return frozenset()
        known = self._needs.get(name)
        if known is None or known[0] is not workload:
            known = self._needs[name] = workload, needs_of(workload)
        return known[1]

    def concerns(self) -> Mapping[FactKey, Iterable[str]]:
        """Return which workloads have expectations about which fact, and note those that are probed."""
        concerns: dict[FactKey, set[str]] = {}
        self.probed = {}
        for name in self.desired.workloads if self.desired is not None else ():
            gates = self.gates_of(name)
            for key in gates.keys() | self.needs_of(name):
                concerns.setdefault(key, set()).add(name)
            healthy = gates.healthy
            if healthy is not None and any(atom.probe is not None for atom in atoms(healthy)):
                self.probed[name] = healthy
        return concerns
