"""One transient unit of systemd, from its start to its end, over a connection of its own.

The connection may pass descriptors. It also keeps the unit loaded (`AddRef`), and closing it releases the unit. Owns
how the end of a unit becomes an exit status. `eventd.platform.processes.unit_process` says what runs in it, and as
whom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventd.kernel.model.errors import DisconnectedError, EventdError, PermanentError
from eventd.platform.dbus.connection import PROPERTIES, SYSTEM_LIMITS, USER_LIMITS, Bus, Signal
from eventd.platform.processes.unit_rights import SETUP_FAILURES, Property
from eventd.platform.systemd.adapter_systemd1 import SystemdManager
from eventd.platform.systemd.adapter_unit_values import SYSTEMD, UNIT, type_interface, unit_path

_STOP_SECONDS = 5.0
_NO_EXEC = 203
_EXITED = 1
"""CLD_EXITED of waitid(2); all other codes are signals."""
_KEPT = frozenset(
    {"ActiveState", "InactiveEnterTimestampMonotonic", "ExecMainCode", "ExecMainStatus", "Result"}
)
_SHORT = 100
"""Characters."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a unit's command ended."""

    code: int
    """CLD_EXITED, CLD_KILLED or CLD_DUMPED; 0 if it never ran."""
    status: int
    result: str


def exit_status(name: str, end: Exit) -> int:
    """Return the exit status as subprocess does. Raises PermanentError if the command was not started."""
    if end.code == _EXITED:
        if end.status == _NO_EXEC:
            raise PermanentError(f"cannot run {name}: systemd failed to start it", reason="command-unusable")
        if end.status in SETUP_FAILURES:
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
        self._requested = False
        self.end: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        """How it ended; DisconnectedError if that cannot be known any more."""
        self.running = asyncio.Event()
        """Set once the command has been started."""
        self._known: dict[str, Any] = {}
        self._rereading: asyncio.Task[None] | None = None

    async def start(self, fds: Sequence[int]) -> None:
        """Start it. `fds`: its standard input, output and errors, which the caller keeps."""
        bus = self._bus = await Bus.connect(
            self._address,
            uid=self._uid,
            limits=SYSTEM_LIMITS if self._uid is None else USER_LIMITS,
            fds=True,
        )
        bus.on_closed(self._lost)
        await bus.track(SYSTEMD, self._owner_changed)
        # Signals of this unit only.
        rule = f"type='signal',sender='{SYSTEMD}',path='{self._path}',interface='{PROPERTIES}'"
        bus.on(SYSTEMD, PROPERTIES, "PropertiesChanged", "sa{sv}as", self._changed)
        await bus.add_match(rule)
        manager = SystemdManager(bus)
        await manager.subscribe()
        self._requested = True
        await manager.begin_transient(self._name, self._properties, fds=fds)

    async def close(self) -> None:
        """Stop the unit if it runs, which may take five seconds, and close the connection."""
        bus = self._bus
        if self._rereading is not None:
            self._rereading.cancel()
        if bus is None:
            return
        if self._requested and not self.end.done():
            try:
                await SystemdManager(bus).stop(self._name, timeout=_STOP_SECONDS)
                await asyncio.wait({self.end}, timeout=_STOP_SECONDS)
            except EventdError:
                pass  # it does not exist, or the bus is gone; then systemd ends it at its RuntimeMaxSec=
        await bus.close()
        if self.end.done() and not self.end.cancelled():
            self.end.exception()

    def _changed(self, signal: Signal) -> None:
        if signal.path != self._path or len(signal.body) < 2 or not isinstance(signal.body[1], dict):
            return
        if signal.body[0] in (UNIT, self._kind):
            self._apply(signal.body[1])

    def _apply(self, properties: Mapping[str, Any]) -> None:
        """Apply changed properties. The type's come before the unit's, so all are known when it becomes inactive.

        A user's manager may send anything, any number of times: only a few short values are kept.
        """
        for name in _KEPT & properties.keys():
            value = properties[name]
            self._known[name] = value if isinstance(value, int) else str(value)[:_SHORT]
        if self._known.get("ActiveState") == "active":
            self.running.set()
        active, entered = self._known.get("ActiveState"), self._known.get("InactiveEnterTimestampMonotonic")
        # A unit is also inactive before its start.
        if self.end.done() or not (active == "failed" or (active == "inactive" and entered)):
            return
        code, status = self._known.get("ExecMainCode", 0), self._known.get("ExecMainStatus", 0)
        if isinstance(code, int) and isinstance(status, int):
            self.end.set_result(Exit(code, status, str(self._known.get("Result", ""))))
        else:
            self.end.set_exception(PermanentError("systemd sent an invalid reply", reason="bad-reply"))

    def _owner_changed(self, owner: str) -> None:
        # The manager was re-executed. Signals may have been lost, so the unit is read again.
        if owner and self._requested:
            self._rereading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self._bus is not None
        try:
            for kind in (self._kind, UNIT):
                properties = await self._bus.get_all(SYSTEMD, self._path, kind)
                if isinstance(properties, dict):
                    self._apply(properties)
        except EventdError as error:
            if not self.end.done():
                self.end.set_exception(error)

    def _lost(self) -> None:
        if not self.end.done():
            self.end.set_exception(
                DisconnectedError(f"the connection to systemd was lost while {self._name} ran")
            )
