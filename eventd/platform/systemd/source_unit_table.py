"""The units of one manager as facts: applies the manager's messages, and emits the changes.

Owns the memory of one scope over all its connections, so that a re-read after a gap knows what vanished. It
does no I/O and decides nothing; `source_manager_feed` calls it at each message's place in the order of messages,
which is why no versions or timestamps are compared here: what comes later is newer.

Two depths: units that are *watched* are kept in full; with `everything` all other loaded units are kept as
well, with the fields of ListUnits only (load, active, sub, job), since those are what signals keep current
for them too.
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
"""Units of one scope that are kept; a large host has some hundred."""
_log = logging.getLogger(__name__)
_PARTIAL = frozenset({"ActiveState", "SubState", "Job"})


class UnitTable:
    """What is known of one manager's units."""

    def __init__(self, emit: Emit, origin: Origin, scope: str, *, everything: bool) -> None:
        self.origin = origin
        self.scope = scope
        self.everything = everything
        self._emit = emit
        self._watched: frozenset[str] = frozenset()
        self._full: set[str] = set()
        """Watched units that have been read in full since they are watched."""
        self._states: dict[str, UnitState] = {}
        self._paths: dict[str, set[str]] = {}
        """Object path -> watched names. Several, if one is another's alias."""
        self._located: dict[str, str] = {}
        """Watched name -> its path, where that is not its own."""
        self._held: dict[str, dict[str, Any]] = {}
        """Properties of the type, which systemd sends just before the unit's: folded with them, as one
        change."""
        self._full_up = False
        """That there are too many units has been said."""

    @property
    def watched(self) -> frozenset[str]:
        """The units that are kept in full."""
        return self._watched

    def get(self, name: str) -> UnitState | None:
        """Return what is known of a unit."""
        return self._states.get(name)

    def watch(self, units: frozenset[str]) -> frozenset[str]:
        """Set the watched units; return those that are to be read for it."""
        if units == self._watched:
            return frozenset()
        added, gone = units - self._watched, self._watched - units
        self._watched = units
        for name in added:
            self._paths.setdefault(unit_path(name), set()).add(name)
        left = {path: names - gone for path, names in self._paths.items()}
        self._paths = {path: names for path, names in left.items() if names}
        for name in gone:
            self._located.pop(name, None)
            self._held.pop(name, None)
        self._full -= gone
        if not self.everything:
            self._forget(gone, PlatformEvent.UNIT_CHANGED)
        return added

    def names(self, path: str, primary: str) -> Iterable[str]:
        """Names under which the unit at `path` is kept."""
        watched = self._paths.get(path)
        if self.everything:
            return {primary, *watched} if watched else (primary,)
        return tuple(watched) if watched else ()

    def located(self, name: str, path: str) -> None:
        """Note the path that a watched name was found at: another than its own if it is an alias.

        The last one only: whoever answers may find it at another path each time.
        """
        own = unit_path(name)
        if name not in self._watched or self._located.get(name, own) == path:
            return
        self._leave(name, self._located.pop(name, ""))
        if path != own:
            self._located[name] = path
            self._paths.setdefault(path, set()).add(name)

    def _leave(self, name: str, path: str) -> None:
        names = self._paths.get(path, set())
        names.discard(name)
        if not names:
            self._paths.pop(path, None)

    def change(self, name: str, interface: str, properties: Mapping[str, Any]) -> bool:
        """Fold PropertiesChanged of a unit; return False if it has to be read to know how it is."""
        full = name in self._watched
        state = self._states.get(name)
        if state is None and not full and interface == UNIT and "ActiveState" in properties:
            # What changes is loaded. A fact at once, for who awaits the job that had it loaded; and asked for
            # all the same, in case its LoadState is another.
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
                self._held.setdefault(name, {}).update(known(properties))
            return True
        self._set(fold(state, {**self._held.pop(name, {}), **properties}))
        # Not loaded and yet changing: it has been loaded since. LoadState and the paths come with no signal.
        return state.load is LoadState.LOADED

    def stale(self, name: str, invalidated: Iterable[str]) -> bool:
        """Tell whether one of the invalidated properties matters, so that the unit has to be read."""
        return name in self._watched and not FIELDS.isdisjoint(invalidated)

    def read(self, name: str, interface: str, properties: Mapping[str, Any]) -> None:
        """Fold GetAll of a watched unit: first of its type, then of the unit, which completes it."""
        if name not in self._watched:
            return
        if interface != UNIT:
            self._held[name] = dict(known(properties))
            return
        self._full.add(name)
        self._set(fold(UnitState(name), {**self._held.pop(name, {}), **properties}))

    def listed(self, rows: Iterable[ListedUnit], *, complete: bool) -> None:
        """Take in rows of ListUnits; with `complete`, what is not among them is gone."""
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
            # One event for all: a host has hundreds of units, and they did not change just now.
            self.emit(KernelEvent.READ, "units", attributes={"units": len(facts)}, facts=facts)

    def removed(self, name: str) -> None:
        """Take in UnitRemoved: systemd forgot an inactive unit that nothing refers to.

        A watched one keeps its fact: it was inactive before and is so now, and whether its file is still
        there was not said. To read it would load it again, and have systemd announce its removal again.
        """
        if name not in self._watched:
            self._forget((name,), PlatformEvent.UNIT_REMOVED)

    def clear(self) -> None:
        """Forget all facts of the scope (what is watched stays so)."""
        self._full.clear()
        self._held.clear()
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
        """Tell whether a unit can become a fact. What is watched always can."""
        if name in self._states or name in self._watched or len(self._states) < MOST:
            return True
        if not self._full_up:
            self._full_up = True
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
