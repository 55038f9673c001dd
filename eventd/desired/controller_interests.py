"""Interests: tells the sources which facts the active revision needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from eventd.audit.model_places import Names, names_of
from eventd.desired.controller_active import ActiveRevision
from eventd.desired.model import Desired
from eventd.kernel.index import Index
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_facts import PlatformFact
from eventd.port_set import Host
from eventd.state.controller_inventory import Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """How sources are told; each call returns once the facts are known. None: this host has no such source."""

    need: Callable[[frozenset[FactKey]], Awaitable[None]] | None = None
    """The facts that gates mention."""
    named: Callable[[Mapping[str, frozenset[str]]], Awaitable[None]] | None = None
    """The files of the host that workloads name."""
    audit: Callable[[Mapping[str, Names]], Awaitable[None]] | None = None
    """The names under which foreign files would affect a workload."""


@dataclass(slots=True)
class Interests:
    """See the module."""

    active: ActiveRevision
    inventory: Inventory
    index: Index
    host: Host
    wants: Wants

    async def renew(self) -> None:
        """Update the sources after the revision changed, as a whole or of one workload. Raises what a source raises."""
        desired, overrides = self.active.desired, self.active.overrides
        if desired is None:
            return
        if self.wants.need is not None:
            mentioned = overrides.keys().union(*(each.keys() for each in self.active.gates.values()))
            starts = (self.active.needs_of(name) for name in desired.workloads)
            await self.wants.need(mentioned.union(_folders(desired), *starts))
        current = {name: self.active.workload(name) or each for name, each in desired.workloads.items()}
        if self.wants.named is not None:
            await self.wants.named(
                {
                    name: frozenset(named.path for unit in each.units for named in unit.named)
                    for name, each in current.items()
                }
            )
        if self.wants.audit is not None:
            await self.wants.audit({name: names_of(each) for name, each in current.items()})

    def attend(self) -> None:
        """Mark workloads dirty whenever a fact changes that they have expectations about."""
        self.index.attend(self.active.concerns())

    def watch(self, name: str) -> None:
        """Watch every unit that the plan, the records, or any workload's gate refers to."""
        workload = self.active.workload(name)
        units = {u.name for u in workload.units} if workload else set()
        units |= self.inventory.records.units.get(name, {}).keys()
        units |= self.active.units_in_gates.get(name, frozenset()) | self.active.overrides.mentioned(name)
        self.host.user_managers.watch(name, frozenset(units))


def _folders(desired: Desired) -> frozenset[FactKey]:
    """Return the facts of the folders of workloads on volumes."""
    return frozenset(
        FactKey(PlatformFact.FILE, use.folder(name))
        for name, workload in desired.workloads.items()
        for use in workload.volumes
    )
