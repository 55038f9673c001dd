"""The active revision: the repository's at the wanted commit, but for what an override has in its place.

Owns which revision that is, its gates, and what every part of it needs. It decides nothing, and does nothing: how a
commit becomes active is `eventd.desired.controller_activation`'s.
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
    """Those of the refused that wait for themselves."""
    asked_of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Units of a workload that gates of any workload mention."""
    probed: dict[str, Predicate] = field(default_factory=dict)
    """What is expected by workloads of which a part has to be probed."""
    _needs: dict[str, tuple[Workload, frozenset[FactKey]]] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        """The repository's commit; empty before the first one."""
        return self.desired.commit if self.desired is not None else ""

    def replace(self, loaded: Loaded) -> None:
        """Make another revision of the repository the active one."""
        self.desired, self.gates = loaded.desired, loaded.gates
        self.circular = loaded.circular
        self.asked_of = loaded.asked_of()

    def workload(self, name: str) -> Workload | None:
        """Return what is to be made of a workload now: the repository's content, unless an override says otherwise."""
        order = self.overrides.rollback_of(name)
        if order is not None:
            return order.good.workload
        return self.desired.workloads.get(name) if self.desired else None

    def ports(self) -> Mapping[str, Sequence[HostPort]]:
        """Return which ports of the host each workload publishes."""
        workloads = self.desired.workloads if self.desired is not None else {}
        return {name: workload.ports for name, workload in workloads.items()}

    def commit_of(self, name: str) -> str:
        """Return the commit that a workload is to be at; empty before the first one."""
        order = self.overrides.rollback_of(name)
        return order.good.commit if order else self.commit

    def gates_of(self, name: str) -> WorkloadGates:
        """Return the gates of a workload."""
        return self.overrides.gates_of(name) or self.gates.get(name, OPEN)

    def needs_of(self, name: str) -> frozenset[FactKey]:
        """Return the facts of what the start of a workload takes; made once for each content."""
        workload = self.workload(name)
        if workload is None:
            return frozenset()
        known = self._needs.get(name)
        if known is None or known[0] is not workload:
            known = self._needs[name] = workload, needs_of(workload)
        return known[1]

    def concerns(self) -> Mapping[FactKey, Iterable[str]]:
        """Return which workloads expect something of which fact, and note which of that is probed."""
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
