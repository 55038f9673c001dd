"""The source for the system manager: its units as facts, its jobs as events; and the port to start jobs.

Emits UNIT facts with scope "" (of all loaded units; those of `watch` in full), RELOADING, and GAP where something may
have been missed. Decides nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from anyio import TASK_STATUS_IGNORED

from eventd.kernel.model.errors import DisconnectedError, EventdError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.source_state import SourceState
from eventd.platform.dbus.connection import Bus, system_bus_address
from eventd.platform.model_events import PlatformOrigin
from eventd.platform.reconnect import CONNECT_TIMEOUT, keep_connected
from eventd.platform.systemd.adapter_live_unit import live_unit
from eventd.platform.systemd.source_manager_feed import ManagerFeed
from eventd.platform.systemd.source_unit_table import UnitTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskStatus

    from eventd.kernel.model.events import Emit
    from eventd.platform.model_facts import UnitState
    from eventd.platform.systemd.adapter_systemd1 import SystemdManager
    from eventd.platform.systemd.model_live_unit import LiveUnit
    from eventd.platform.systemd.model_times import Startup, UnitTimes
    from eventd.platform.systemd.ports import JobResult, Verb

_log = logging.getLogger(__name__)


class SystemSource:
    """The system manager, over the system bus. Also implements `ports.Manager`, over the current connection.

    `address`: D-Bus address; None for DBUS_SYSTEM_BUS_ADDRESS or the standard one. The methods raise DisconnectedError
    while there is no connection.
    """

    def __init__(
        self, emit: Emit, *, address: str | None = None, watch: frozenset[str] = frozenset()
    ) -> None:
        self._emit = emit
        self._address = address or system_bus_address()
        self.state = SourceState(emit, PlatformOrigin.SYSTEMD, "systemd")
        self._table = UnitTable(emit, PlatformOrigin.SYSTEMD, "", everything=True)
        self._table.watch(watch)
        self._feed: ManagerFeed | None = None
        """Set while the facts are current."""
        self._session_feed: ManagerFeed | None = None
        """Set while there is a connection."""

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep the facts current until cancelled; `started` once everything has been read."""
        started = False

        async def session(bus: Bus, ready: Callable[[], None]) -> None:
            feed = self._session_feed = ManagerFeed(bus, self._table)

            def complete() -> None:
                nonlocal started
                ready()
                self._feed = feed
                self.state.current()
                if not started:
                    started = True
                    task_status.started()

            def gone() -> None:
                self._feed = None

            try:
                await feed.run(complete, gone)
            finally:
                self._feed = self._session_feed = None

        await keep_connected(self._connect, session, self._lost)

    def watch(self, units: frozenset[str]) -> None:
        """Set the units whose full `UnitState` is kept; others have load, active, sub and job only."""
        # A connection may still be reading, before its manager can be used.
        (self._session_feed or self._table).watch(units)

    async def refresh(self) -> None:
        """Read the watched units again."""
        if self._feed is not None:
            await self._feed.refresh()

    async def reread(self) -> None:
        """Read all units again. Without a connection, they are read when there is one."""
        if self._feed is not None:
            await self._feed.reread()

    @property
    def scope(self) -> str:
        """`""`, for the system manager."""
        return ""

    async def read_unit(self, name: str) -> UnitState:
        """See `ports.Manager`."""
        return await self._manager().read_unit(name)

    async def job(self, verb: Verb, unit: str, *, timeout: float) -> JobResult:
        """See `ports.Manager`."""
        return await self._manager().job(verb, unit, timeout=timeout)

    async def start_transient(
        self, unit: str, properties: Sequence[tuple[str, str, Any]], *, timeout: float
    ) -> JobResult:
        """See `SystemdManager.start_transient`."""
        return await self._manager().start_transient(unit, properties, timeout=timeout)

    async def reload(self, *, timeout: float) -> None:
        """See `ports.Manager`."""
        await self._manager().reload(timeout=timeout)

    async def reset_failed(self, unit: str) -> None:
        """See `ports.Manager`."""
        await self._manager().reset_failed(unit)

    async def startup(self) -> Startup:
        """See `SystemdManager.startup`."""
        return await self._manager().startup()

    async def unit_times(self, name: str) -> UnitTimes:
        """See `SystemdManager.unit_times`."""
        return await self._manager().unit_times(name)

    async def live_unit(self, name: str) -> LiveUnit:
        """Return a unit with its dependencies, for the wait graph."""
        return await live_unit(self._manager().bus, name)

    def _manager(self) -> SystemdManager:
        if self._feed is None:
            raise DisconnectedError("not connected to the system manager")
        return self._feed.manager

    async def _connect(self) -> Bus:
        return await Bus.connect(self._address, timeout=CONNECT_TIMEOUT)

    def _lost(self, error: EventdError, was_ready: bool) -> None:  # noqa: FBT001  called by `keep_connected`
        _log.warning("system bus: %s", error)
        if was_ready:
            self._emit(
                PlatformOrigin.SYSTEMD, KernelEvent.GAP, "systemd", attributes={"reason": error.reason}
            )
            return
        self.state.trouble(
            EventdError(
                f"systemd cannot be reached over the system bus: {error.message}",
                reason="systemd-unavailable",
                hint=error.hint or "systemctl status dbus.socket dbus.service",
            )
        )
