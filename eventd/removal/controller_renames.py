"""Renames: the account of a removed workload goes to one that says it is the same under a new name.

A controller: `rename:NEW` is a subject beside the workloads. The old one is stopped and cleared of its units by its own
plan first. Then the account is renamed, along with eventd's records. The policy `renames` holds the new workload until
the fact of its rename is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from eventd.desired.controller_activation import Participant
from eventd.desired.controller_load import Loaded
from eventd.kernel.controller import Assessment, Controller
from eventd.kernel.model.action import Action
from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.model_facts import PlatformFact
from eventd.removal.controller import Removals
from eventd.removal.model_actions import RenameAccount
from eventd.removal.model_facts import RemovalFact, RenameState
from eventd.state.controller_inventory import Inventory
from eventd.workloads.model_facts import WorkloadFact

PREFIX = "rename:"


@dataclass(slots=True)
class Renames(Controller, Participant):
    """See the module."""

    inventory: Inventory
    removals: Removals
    prefix: str = PREFIX
    _facts: Facts = field(default_factory=Facts)
    _dirty: Callable[[str], None] = lambda _name: None
    _unwatch: Callable[[], None] = lambda: None

    def attach(self, facts: Facts, dirty: Callable[[str], None]) -> None:
        """Set the facts of the renames that have begun, since their workloads wait for them."""
        self._facts, self._dirty = facts, dirty
        for new, row in self.inventory.renames.rows.items():
            facts.set(FactKey(RemovalFact.RENAME, new), RenameState((row.old,), declared=True))

    def activated(self, loaded: Loaded) -> None:
        """Set which workloads are renamed, or may be, and watch for the old ones to be stopped."""
        del loaded
        wanted = dict(self.removals.renamed)
        wanted |= {
            new: RenameState((row.old,), declared=True) for new, row in self.inventory.renames.rows.items()
        }
        known = {key.name for key, _ in self._facts.items(RemovalFact.RENAME)}
        for new in known | wanted.keys():
            self._facts.set(FactKey(RemovalFact.RENAME, new), wanted.get(new))
        self._unwatch()
        by_old = {state.old[0]: new for new, state in wanted.items() if state.declared}
        keys = [
            FactKey(kind, old) for old in by_old for kind in (WorkloadFact.WORKLOAD, PlatformFact.SESSIONS)
        ]
        self._unwatch = self._facts.watch(keys, lambda key: self._dirty(PREFIX + by_old[key.name]))

    def names(self) -> Collection[str]:
        """Return the renames that are possible now, or have begun."""
        declared = [
            new for new, state in self.removals.renamed.items() if state.declared and not state.problem
        ]
        ready = [new for new in declared if self._ready(new, self.removals.renamed[new].old[0])]
        return [PREFIX + new for new in dict.fromkeys((*self.inventory.renames, *ready))]

    def digest(self, name: str) -> str:
        """Identify it."""
        return name

    def plan(self, name: str, *, forced: bool) -> tuple[Action, ...]:  # noqa: ARG002
        """Return the rename, if it is possible now."""
        new = name.removeprefix(PREFIX)
        row = self.inventory.renames.get(new)
        if row is not None:
            return (_rename(row.old, new, row.uid),)
        state = self.removals.renamed.get(new)
        if name not in self.names() or state is None:
            return ()
        return (_rename(state.old[0], new, self.inventory.records.workloads[state.old[0]].uid),)

    def assess_idle(self, name: str) -> Assessment:
        """Return the status of a rename with nothing left to do."""
        return Assessment(message=f"{name.removeprefix(PREFIX)} has its account")

    def _ready(self, new: str, old: str) -> bool:
        record = self.inventory.records.workloads.get(old)
        return record is not None and record.retained and new not in self.inventory.records.workloads


def _rename(old: str, new: str, uid: int) -> RenameAccount:
    return RenameAccount(PREFIX + new, old, new, uid, f"{new} says that it is {old} under a new name")
