"""One transient unit of systemd, from its start to its end, over a connection of its own.

It is the connection that may carry descriptors, and the unit, which it holds loaded (`AddRef`), is let go of with it.
Owns how a unit's end becomes an exit status. What runs in it, and as whom: `eventd.platform.processes.unit_process`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventd.kernel.model.errors import DisconnectedError, EventdError, PermanentError
from eventd.platform.dbus.connection import PROPERTIES, SYSTEM_LIMITS, USER_LIMITS, Bus, Signal
from eventd.platform.processes.unit_rights import SETUP, Property
from eventd.platform.systemd.adapter_systemd1 import SystemdManager
from eventd.platform.systemd.adapter_unit_values import SYSTEMD, UNIT, type_interface, unit_path

_STOP_SECONDS = 5.0
_NO_EXEC = 203
_EXITED = 1
"""CLD_EXITED of waitid(2); all others are signals."""
_KEPT = frozenset(
    {"ActiveState", "InactiveEnterTimestampMonotonic", "ExecMainCode", "ExecMainStatus", "Result"}
)
_SHORT = 100
"""Characters."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a unit's command ended."""

    code: int
    """CLD_EXITED, CLD_KILLED or CLD_DUMPED; 0: it never ran."""
    status: int
    result: str


def judged(name: str, end: Exit) -> int:
    """Return the exit status as subprocess has it; raise for a command that was not started."""
    if end.code == _EXITED:
        if end.status == _NO_EXEC:
            raise PermanentError(f"cannot run {name}: systemd failed to start it", reason="command-unusable")
        if end.status in SETUP:
            raise PermanentError(
                f"cannot run {name}: systemd gave up before it started ({end.status})", reason="not-permitted"
            )
        return end.status
    if end.code == 0:
        raise PermanentError(
            f"cannot run {name}: its unit did not start ({end.result})", reason="command-unusable"
        )
    return -end.status


class TransientUnit:
    """One unit, from its start to its end, over a connection of its own."""

    def __init__(self, address: str, uid: int | None, name: str, properties: tuple[Property, ...]) -> None:
        self._address = address
        self._uid = uid
        self._name = name
        self._path = unit_path(name)
        self._kind = type_interface(name) or UNIT
        self._properties = properties
        self._bus: Bus | None = None
        self._asked = False
        self.end: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        """How it ended; DisconnectedError where that cannot be known any more."""
        self.running = asyncio.Event()
        """The command was started."""
        self._known: dict[str, Any] = {}
        self._again: asyncio.Task[None] | None = None

    async def start(self, fds: Sequence[int]) -> None:
        """Start it; `fds`: its standard input, output and errors, which stay the caller's."""
        bus = self._bus = await Bus.connect(
            self._address,
            uid=self._uid,
            limits=SYSTEM_LIMITS if self._uid is None else USER_LIMITS,
            fds=True,
        )
        bus.on_closed(self._lost)
        await bus.track(SYSTEMD, self._owner_changed)
        # Of this unit alone: all others are none of this connection's business.
        rule = f"type='signal',sender='{SYSTEMD}',path='{self._path}',interface='{PROPERTIES}'"
        bus.on(SYSTEMD, PROPERTIES, "PropertiesChanged", "sa{sv}as", self._changed)
        await bus.add_match(rule)
        manager = SystemdManager(bus)
        await manager.subscribe()
        self._asked = True
        await manager.begin_transient(self._name, self._properties, fds=fds)

    async def close(self) -> None:
        """End it if it runs, for which systemd gets five seconds, and let go of it."""
        bus = self._bus
        if self._again is not None:
            self._again.cancel()
        if bus is None:
            return
        if self._asked and not self.end.done():
            try:
                await SystemdManager(bus).stop(self._name, timeout=_STOP_SECONDS)
                await asyncio.wait({self.end}, timeout=_STOP_SECONDS)
            except EventdError:
                pass  # it never was, is gone, or the bus is: then systemd ends it at its RuntimeMaxSec=
        await bus.close()
        if self.end.done() and not self.end.cancelled():
            self.end.exception()

    def _changed(self, signal: Signal) -> None:
        if signal.path != self._path or len(signal.body) < 2 or not isinstance(signal.body[1], dict):
            return
        if signal.body[0] in (UNIT, self._kind):
            self._take(signal.body[1])

    def _take(self, properties: Mapping[str, Any]) -> None:
        """Fold some properties in. The type's come before the unit's, so that all is known when it is inactive.

        A user's manager may say anything, and as often as it likes: nothing is kept but a few short values.
        """
        for name in _KEPT & properties.keys():
            value = properties[name]
            self._known[name] = value if isinstance(value, int) else str(value)[:_SHORT]
        if self._known.get("ActiveState") == "active":
            self.running.set()
        active, entered = self._known.get("ActiveState"), self._known.get("InactiveEnterTimestampMonotonic")
        # A unit is inactive before its start too.
        if self.end.done() or not (active == "failed" or (active == "inactive" and entered)):
            return
        code, status = self._known.get("ExecMainCode", 0), self._known.get("ExecMainStatus", 0)
        if isinstance(code, int) and isinstance(status, int):
            self.end.set_result(Exit(code, status, str(self._known.get("Result", ""))))
        else:
            self.end.set_exception(PermanentError("systemd sent an invalid reply", reason="bad-reply"))

    def _owner_changed(self, owner: str) -> None:
        # Re-executed: what it said meanwhile is lost, and this unit is read again.
        if owner and self._asked:
            self._again = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self._bus is not None
        try:
            for kind in (self._kind, UNIT):
                properties = await self._bus.get_all(SYSTEMD, self._path, kind)
                if isinstance(properties, dict):
                    self._take(properties)
        except EventdError as error:
            if not self.end.done():
                self.end.set_exception(error)

    def _lost(self) -> None:
        if not self.end.done():
            self.end.set_exception(
                DisconnectedError(f"the connection to systemd was lost while {self._name} ran")
            )
