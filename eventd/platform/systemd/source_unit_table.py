"""The units of one manager: applies the manager's messages, and emits the changes as facts.

Owns the units of one scope over all its connections, so that a re-read after a gap finds which units are gone. It does
no I/O. `source_manager_feed` calls it in the order of messages, so it compares no versions or timestamps: the later
message is the newer one.

*Watched* units are kept in full. With `everything`, all other loaded units are kept too, but only with the fields of
ListUnits (load, active, sub, job): signals keep no other fields current for them.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eventd.kernel.model.events import Attribute, Emit, EventKind, KernelEvent, Origin
from eventd.kernel.model.facts import FactKey, FactValue
from eventd.platform.model_events import PlatformEvent
from eventd.platform.model_facts import LoadState, PlatformFact, UnitState
from eventd.platform.systemd.adapter_unit_values import FIELDS, UNIT, fold, known, type_interface, unit_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from eventd.platform.systemd.adapter_unit_values import ListedUnit

MOST = 20_000
"""How many units of one scope are kept. A large host has some hundred."""
_log = logging.getLogger(__name__)
_PARTIAL = frozenset({"ActiveState", "SubState", "Job"})


class UnitTable:
    """The known units of one manager."""

    def __init__(self, emit: Emit, origin: Origin, scope: str, *, everything: bool) -> None:
        self.origin = origin
        self.scope = scope
        self.everything = everything
        self._emit = emit
        self._watched: frozenset[str] = frozenset()
        self._full: set[str] = set()
        """The watched units that have been read in full."""
        self._states: dict[str, UnitState] = {}
        self._paths: dict[str, set[str]] = {}
        """Object path -> watched names; several if one is an alias of another."""
        self._alias_paths: dict[str, str] = {}
        """Watched name -> its object path, if the name is an alias."""
        self._type_properties: dict[str, dict[str, Any]] = {}
        """Properties of a unit's type. systemd sends them just before those of Unit; both are applied as one change."""
        self._limit_logged = False
        """Whether the limit of units has been logged."""

    @property
    def watched(self) -> frozenset[str]:
        """The units that are kept in full."""
        return self._watched

    def get(self, name: str) -> UnitState | None:
        """Return the known state of a unit."""
        return self._states.get(name)

    def watch(self, units: frozenset[str]) -> frozenset[str]:
        """Set the watched units; return those that have to be read."""
        if units == self._watched:
            return frozenset()
        added, gone = units - self._watched, self._watched - units
        self._watched = units
        for name in added:
            self._paths.setdefault(unit_path(name), set()).add(name)
        left = {path: names - gone for path, names in self._paths.items()}
        self._paths = {path: names for path, names in left.items() if names}
        for name in gone:
            self._alias_paths.pop(name, None)
            self._type_properties.pop(name, None)
        self._full -= gone
        if not self.everything:
            self._forget(gone, PlatformEvent.UNIT_CHANGED)
        return added

    def names(self, path: str, primary: str) -> Iterable[str]:
        """Return the names under which the unit at `path` is kept."""
        watched = self._paths.get(path)
        if self.everything:
            return {primary, *watched} if watched else (primary,)
        return tuple(watched) if watched else ()

    def set_path(self, name: str, path: str) -> None:
        """Set the object path of a watched name, which is not its own if the name is an alias.

        Only the last path is kept, since a user's program may answer with another one each time.
        """
        own = unit_path(name)
        if name not in self._watched or self._alias_paths.get(name, own) == path:
            return
        self._forget_path(name, self._alias_paths.pop(name, ""))
        if path != own:
            self._alias_paths[name] = path
            self._paths.setdefault(path, set()).add(name)

    def _forget_path(self, name: str, path: str) -> None:
        names = self._paths.get(path, set())
        names.discard(name)
        if not names:
            self._paths.pop(path, None)

    def apply_change(self, name: str, interface: str, properties: Mapping[str, Any]) -> bool:
        """Apply PropertiesChanged of a unit; return False if the unit has to be read to know its state."""
        full = name in self._watched
        state = self._states.get(name)
        if state is None and not full and interface == UNIT and "ActiveState" in properties:
            # A unit that changes is loaded. It becomes a fact at once, for those who await the job that loaded it. It
            # is read as well, in case its LoadState is another one.
            loaded = UnitState(name, load=LoadState.LOADED)
            self._set(fold(loaded, {k: v for k, v in properties.items() if k in _PARTIAL}))
            return False
        if state is None or (full and name not in self._full):
            return False
        if not full:
            if interface == UNIT:
                self._set(fold(state, {k: v for k, v in properties.items() if k in _PARTIAL}))
            return True
        if interface != UNIT:
            if interface == type_interface(name):
                self._type_properties.setdefault(name, {}).update(known(properties))
            return True
        self._set(fold(state, {**self._type_properties.pop(name, {}), **properties}))
        # If it was not loaded, it has been loaded since. No signal has LoadState and the paths, so read it.
        return state.load is LoadState.LOADED

    def stale(self, name: str, invalidated: Iterable[str]) -> bool:
        """Return whether an invalidated property is one of `UnitState`, so that the unit has to be read."""
        return name in self._watched and not FIELDS.isdisjoint(invalidated)

    def apply_read(self, name: str, interface: str, properties: Mapping[str, Any]) -> None:
        """Apply GetAll of a watched unit: first that of its type, then that of Unit, which completes it."""
        if name not in self._watched:
            return
        if interface != UNIT:
            self._type_properties[name] = dict(known(properties))
            return
        self._full.add(name)
        self._set(fold(UnitState(name), {**self._type_properties.pop(name, {}), **properties}))

    def apply_listed(self, rows: Iterable[ListedUnit], *, complete: bool) -> None:
        """Apply rows of ListUnits. `complete`: units that are not among them are gone."""
        present = set()
        facts: list[tuple[FactKey, FactValue]] = []
        for row in rows:
            present.add(row.name)
            if not self._has_room(row.name):
                continue
            before = self._states.get(row.name, UnitState(row.name))
            state = replace(before, load=row.load, active=row.active, sub=row.sub, job=row.job)
            if self._states.get(row.name) != state:
                self._states[row.name] = state
                facts.append((FactKey(PlatformFact.UNIT, row.name, self.scope), state))
        if complete:
            for name in sorted(self._states.keys() - present - self._watched):
                del self._states[name]
                facts.append((FactKey(PlatformFact.UNIT, name, self.scope), None))
        if facts:
            # One event for all: a host has hundreds of units, and most have not just changed.
            self.emit(KernelEvent.READ, "units", attributes={"units": len(facts)}, facts=facts)

    def apply_removed(self, name: str) -> None:
        """Apply UnitRemoved: systemd has unloaded an inactive unit that nothing refers to.

        A watched unit keeps its fact: it is still inactive, and the signal does not say whether its file still exists.
        Reading the unit would load it again, and systemd would announce its removal again.
        """
        if name not in self._watched:
            self._forget((name,), PlatformEvent.UNIT_REMOVED)

    def clear(self) -> None:
        """Remove all facts of the scope. The same units stay watched."""
        self._full.clear()
        self._type_properties.clear()
        self._forget(tuple(self._states), PlatformEvent.UNIT_REMOVED)

    def emit(
        self,
        kind: EventKind,
        subject: str,
        *,
        attributes: Mapping[str, Attribute] | None = None,
        facts: Iterable[tuple[FactKey, FactValue]] = (),
    ) -> None:
        """Emit an event of this scope."""
        self._emit(self.origin, kind, subject, scope=self.scope, attributes=attributes or {}, facts=facts)

    def _set(self, state: UnitState) -> None:
        if self._states.get(state.name) == state or not self._has_room(state.name):
            return
        self._states[state.name] = state
        self.emit(
            PlatformEvent.UNIT_CHANGED,
            state.name,
            attributes={"active": str(state.active), "sub": state.sub},
            facts=((FactKey(PlatformFact.UNIT, state.name, self.scope), state),),
        )

    def _has_room(self, name: str) -> bool:
        """Return whether a unit can become a fact. A watched one always can."""
        if name in self._states or name in self._watched or len(self._states) < MOST:
            return True
        if not self._limit_logged:
            self._limit_logged = True
            _log.warning(
                "there are more than %d units%s: not all are tracked",
                MOST,
                self.scope and f" of {self.scope}",
            )
        return False

    def _forget(self, names: Iterable[str], kind: EventKind) -> None:
        for name in sorted(names):
            if self._states.pop(name, None) is not None:
                self.emit(kind, name, facts=((FactKey(PlatformFact.UNIT, name, self.scope), None),))
