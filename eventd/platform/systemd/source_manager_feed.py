"""Follows one systemd manager over one connection: subscribes, reads, and handles signals until the connection is lost.

Used for the system manager and for every user's. Updates a `UnitTable`; starts no job, decides nothing.

Everything is read again when something may have been missed: at the start, after `Reloading(false)` (unit files may
have changed), and when the manager's name has a new owner (after daemon-reexec, or a restart of the bus). While it
reloads, systemd announces all units as removed and as new; these signals are ignored.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from eventd.kernel.model.errors import DisconnectedError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.platform.dbus.connection import PROPERTIES
from eventd.platform.model_events import PlatformEvent
from eventd.platform.model_facts import PlatformFact
from eventd.platform.systemd.adapter_systemd1 import SystemdManager
from eventd.platform.systemd.adapter_unit_values import MANAGER, SIGNALS, SYSTEMD, unit_name, unit_of, word_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from eventd.platform.dbus.connection import Bus, Signal
    from eventd.platform.systemd.source_unit_table import UnitTable

_AT_ONCE = 32
"""How many units are read at once: enough to hide the round trips, and no flood for the manager."""
_MANY = 64
"""With more new units than this, the whole list costs less than a list by names."""


class ManagerFeed:
    """Keeps `table` current while `run` runs."""

    def __init__(self, bus: Bus, table: UnitTable) -> None:
        self.manager = SystemdManager(bus, table.scope)
        self._bus = bus
        self._table = table
        self._wake = asyncio.Event()
        self._subscribed = False
        self._read = False
        self._reloading = False
        self._gone: Callable[[], None] = lambda: None
        # Dictionaries as ordered sets. A unit that changes while it is read is added again, and read once more
        # afterwards: never twice at a time.
        self._dirty: dict[str, None] = {}
        self._new: dict[str, None] = {}

    async def run(self, ready: Callable[[], None], gone: Callable[[], None]) -> None:
        """Follow the manager until the connection is lost. Call `ready()` after each complete read.

        `gone()` is called when the manager leaves the bus: until the next `ready()` its facts may be outdated. Raises
        DisconnectedError when the connection is lost, or the error of a failed read.
        """
        on = self._bus.on
        self._gone = gone
        self._bus.on_closed(self._wake.set)
        on(SYSTEMD, PROPERTIES, "PropertiesChanged", "sa{sv}as", self._properties_changed)
        for member, handler in {
            "UnitNew": self._unit_new,
            "UnitRemoved": self._unit_removed,
            "JobNew": self._job_new,
            "JobRemoved": self._job_removed,
            "Reloading": self._reloading_changed,
        }.items():
            on(SYSTEMD, MANAGER, member, SIGNALS[member], handler)
        await self.manager.attach(self._owner_changed)
        while True:
            self._wake.clear()
            self._bus.raise_if_closed()
            owner = self._bus.owner(SYSTEMD)
            if owner:
                try:
                    await self._catch_up(ready)
                except DisconnectedError:
                    # The connection is lost, or the manager left meanwhile and will be back under another name.
                    if self._bus.closed is not None or self._bus.owner(SYSTEMD) == owner:
                        raise
            await self._wake.wait()  # without an owner: for NameOwnerChanged, or the end

    def watch(self, units: frozenset[str]) -> None:
        """Set the units that are kept in full; the new ones are read soon."""
        self._mark(self._table.watch(units))

    async def refresh(self) -> None:
        """Read all watched units again."""
        await self._read_units(sorted(self._table.watched))

    async def reread(self) -> None:
        """Read all units that are kept again, not only the watched ones."""
        if self._table.everything:
            await self.manager.list_units(apply=lambda rows: self._table.apply_listed(rows, complete=True))
        await self.refresh()

    async def read(self, name: str) -> None:
        """Read one watched unit again."""
        await self._read_unit(name)

    async def _catch_up(self, ready: Callable[[], None]) -> None:
        if not self._subscribed:
            self._subscribed = True  # before the call, since a new owner meanwhile resets it
            await self.manager.subscribe()
        if not self._read:
            self._read = True
            self._dirty.clear()
            self._new.clear()
            await self.reread()
            self._table.emit(KernelEvent.READ, SYSTEMD)
            ready()
        if self._new:
            new, self._new = self._new, {}
            await self._list_new(new)
        if self._dirty:
            dirty, self._dirty = self._dirty, {}
            await self._read_units(list(dirty))

    async def _list_new(self, names: Mapping[str, None]) -> None:
        if len(names) > _MANY:
            await self.manager.list_units(apply=lambda rows: self._table.apply_listed(rows, complete=True))
        else:
            await self.manager.list_named(
                names, apply=lambda rows: self._table.apply_listed(rows, complete=False)
            )

    async def _read_units(self, names: list[str]) -> None:
        for start in range(0, len(names), _AT_ONCE):
            results = await asyncio.gather(
                *(self._read_unit(name) for name in names[start : start + _AT_ONCE]), return_exceptions=True
            )
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    async def _read_unit(self, name: str) -> None:
        def apply(path: str, interface: str, properties: Mapping[str, Any]) -> None:
            self._table.set_path(name, path)
            self._table.apply_read(name, interface, properties)

        await self.manager.read_into(name, apply)

    def _mark(self, names: Iterable[str]) -> None:
        for name in names:
            self._dirty[name] = None
            self._wake.set()

    def _owner_changed(self, owner: str) -> None:
        # After daemon-reexec one owner may follow the other without "" in between. The new one still has its
        # subscribers, but what it did before it was back on the bus, it has not announced.
        if self._subscribed:
            self._table.emit(KernelEvent.GAP, SYSTEMD, attributes={"reason": "owner-changed"})
            self._gone()
        self._reloading = self._subscribed = self._read = False
        if owner:
            self._wake.set()

    def _properties_changed(self, signal: Signal) -> None:
        name = unit_name(signal.path)
        if not name:
            return
        interface, changed, invalidated = signal.body
        for known in self._table.names(signal.path, name):
            current = self._table.apply_change(known, interface, changed)
            if known in self._table.watched:
                if not current or self._table.stale(known, invalidated):
                    self._mark((known,))
            elif not current:
                self._new[known] = None
                self._wake.set()

    def _unit_new(self, signal: Signal) -> None:
        if self._reloading or not self._table.everything:
            return
        self._new[unit_of(signal.body[0])] = None
        self._wake.set()

    def _unit_removed(self, signal: Signal) -> None:
        if self._reloading:
            return
        name = unit_of(signal.body[0])
        self._new.pop(name, None)
        self._table.apply_removed(name)

    def _job_new(self, signal: Signal) -> None:
        self._table.emit(PlatformEvent.JOB_NEW, unit_of(signal.body[2]), attributes={"job": signal.body[0]})

    def _job_removed(self, signal: Signal) -> None:
        job, _, unit, result = signal.body
        attributes = {"job": job, "result": word_of(result)}
        self._table.emit(PlatformEvent.JOB_REMOVED, unit_of(unit), attributes=attributes)

    def _reloading_changed(self, signal: Signal) -> None:
        self._reloading = bool(signal.body[0])
        if not self._reloading:
            self._read = False
            self._wake.set()
        self._table.emit(
            PlatformEvent.RELOADING if self._reloading else PlatformEvent.RELOADED,
            SYSTEMD,
            facts=((FactKey(PlatformFact.RELOADING, "", self._table.scope), self._reloading),),
        )
