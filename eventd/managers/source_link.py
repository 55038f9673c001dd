"""The link to one user's manager, over any number of connections. Emits the MANAGER fact of the user.

It connects on events: a call of `connect`; `user@UID.service` becoming active (a fact of the system source: an active
manager has reached basic.target, and so listens on its bus); and a new bus socket in the user's runtime folder. Only
while the manager is active and its bus still fails does it retry by timer, with growing delays.

A program of the user may pose as the bus. If a bus sends what systemd never sends, or too much, the connection is
ended, and there is no new one for a while (`kernel.model.conduct`), whatever happens to the socket. Nothing that a bus
sends affects another link.

When the manager is down, its UNIT facts are removed. When it is active and only its bus cannot be used (MANAGER
`unreachable`), they keep their last values, and are read again as soon as the bus is back.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

import anyio

from eventd.kernel.model.conduct import Conduct
from eventd.kernel.model.errors import DeadlineError, EventdError, TemporaryError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.managers.model_trouble import MISBEHAVES, REASON, VIOLATIONS
from eventd.platform.dbus.connection import USER_LIMITS, Bus
from eventd.platform.inotify import NAMES
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import ActiveState, PlatformFact, unit
from eventd.platform.reconnect import CONNECT_TIMEOUT, retry_delays, with_connection
from eventd.platform.systemd.model_user_manager import manager_unit
from eventd.platform.systemd.source_manager_feed import ManagerFeed
from eventd.platform.systemd.source_unit_table import UnitTable
from eventd.workloads.model_events import WorkloadEvent
from eventd.workloads.model_facts import ManagerState, WorkloadFact

if TYPE_CHECKING:
    from eventd.kernel.model.events import Emit
    from eventd.kernel.model.facts import Facts
    from eventd.platform.inotify import Change, Inotify
    from eventd.platform.model_facts import Account
    from eventd.platform.systemd.adapter_systemd1 import SystemdManager
    from eventd.platform.systemd.ports import Manager

STEADY = 5.0
"""Seconds that a connection must last to reset the retry delays."""
_log = logging.getLogger(__name__)
_STARTING = frozenset({ActiveState.ACTIVATING, ActiveState.RELOADING, ActiveState.REFRESHING})


class ManagerLink:
    """The link to one user's manager, over any number of connections."""

    def __init__(
        self,
        emit: Emit,
        facts: Facts,
        inotify: Inotify,
        account: Account,
        address: str,
        *,
        as_user: bool,
    ) -> None:
        self.account = account
        self._uid = account.uid if as_user else None
        self.table = UnitTable(emit, PlatformOrigin.USER_MANAGER, account.name, everything=False)
        self.feed: ManagerFeed | None = None
        """Set while its facts are current."""
        self._session_feed: ManagerFeed | None = None
        """Set while there is a connection."""
        self._facts = facts
        self._inotify = inotify
        self._address = address
        self._unit = FactKey(PlatformFact.UNIT, manager_unit(account.uid))
        self._state: ManagerState | None = None
        self._was_up = False
        self._connect_requested = True
        self._wake = asyncio.Event()
        self._waiting: set[asyncio.Future[Manager]] = set()
        self._error: EventdError | None = None
        self._conduct = Conduct()
        self._violation: EventdError | None = None
        """Why we are ending the connection."""
        self.ended = False
        """`end` was called."""
        self._scope = anyio.CancelScope()
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Connect on each of the events above, until `end`. It may be called again after an error."""
        self._scope = anyio.CancelScope()
        stop = self._facts.watch((self._unit,), lambda _key: self._wake.set())
        try:
            with self._scope:
                wait = retry_delays()
                while True:
                    self._wake.clear()
                    if (left := self._conduct.left(anyio.current_time())) > 0:
                        self._connect_requested = False
                        self._update_state()
                        self._resolve_waiting(self._unavailable("it is left alone"))
                        with anyio.move_on_after(left):
                            await self._wake.wait()
                        continue
                    if self._active is ActiveState.ACTIVE or self._connect_requested:
                        self._connect_requested = False
                        began = anyio.current_time()
                        await self._attempt()
                        if self._was_up:
                            self._was_up = False
                            # The bus may be back already, or accept a connection while its daemon restarts.
                            self._connect_requested = True
                            if anyio.current_time() - began >= STEADY:
                                wait = retry_delays()
                            else:
                                # The socket is the user's own, and may accept and drop us over and over.
                                await self._pause(next(wait))
                            continue
                    self._update_state()
                    if isinstance(self._error, DeadlineError):
                        wait = retry_delays()  # the open call was the delay, and a reply would have ended it
                    await self._pause(next(wait) if self._active is ActiveState.ACTIVE else None)
                    if self._active is not ActiveState.ACTIVE:
                        wait = retry_delays()
        finally:
            stop()
            self._resolve_waiting(self._unavailable("it is no longer wanted"))
            self._stopped.set()

    async def wait_until_up(self, timeout: float) -> Manager:
        """Return the manager as soon as its facts are current."""
        if self.feed is not None:
            return self.feed.manager
        waiting: asyncio.Future[Manager] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        self._connect_requested = True
        self._wake.set()
        try:
            async with asyncio.timeout(timeout):
                return await waiting
        except TimeoutError as error:
            raise self._unavailable(f"not reached within {timeout:g} s") from error
        finally:
            self._waiting.discard(waiting)

    def watch(self, units: frozenset[str]) -> None:
        """Set the units that are kept in full. A connection may be reading meanwhile."""
        (self._session_feed or self.table).watch(units)

    async def reconnect(self) -> None:
        """Close the connection, so that `run` makes a new one."""
        if self.feed is not None:
            await self.feed.manager.bus.close()

    async def report_violation(self, error: EventdError) -> None:
        """End the connection, if there is one, for what its peer sent."""
        if self.feed is not None:
            self._violation = error
            await self.feed.manager.bus.close()

    def on_failed(self, error: EventdError) -> None:
        """Handle the end of `run` by an error, which is a bug; the next connection is delayed."""
        self._was_up = False
        self._lost(error)
        self._set_state(ManagerState.UNREACHABLE)

    async def end(self) -> None:
        """Close the connection, and remove all facts."""
        self.ended = True
        self._scope.cancel()
        await self._stopped.wait()
        self.table.clear()
        self._state = None
        self._emit_state(None)

    @property
    def _active(self) -> ActiveState | None:
        state = unit(self._facts.get(self._unit))
        return None if state is None else state.active

    async def _attempt(self) -> None:
        if self._state is not ManagerState.UNREACHABLE:
            self._set_state(ManagerState.STARTING)
        try:
            await with_connection(self._connect, self._session)
        except EventdError as error:
            self._lost(self._violation or error)
        except Exception:  # noqa: BLE001 - whatever it is, it must end this link only
            # A user's bus may send anything.
            _log.exception("user manager of %s: its bus does not answer as systemd does", self.account.name)
            self._lost(TemporaryError("its bus does not answer as systemd does", reason="bad-reply"))
        self._violation = None

    def _lost(self, error: EventdError) -> None:
        if error.reason in VIOLATIONS:
            pause = self._conduct.offended(anyio.current_time())
            error = TemporaryError(f"{error.message}; it is left alone for {pause:g} s", reason=error.reason)
            _log.warning("user manager of %s: %s", self.account.name, error, extra={"reason": error.reason})
        else:
            _log.info("user manager of %s: %s", self.account.name, error)
        self._error = error
        if self._was_up or error.reason in VIOLATIONS:
            attributes = {"reason": error.reason, "error": error.message}
            self.table.emit(KernelEvent.GAP, self.account.name, attributes=attributes)
        if self._was_up:
            self._set_state(ManagerState.UNREACHABLE)
        if error.reason in VIOLATIONS:
            self.table.clear()  # nothing that it sent about its units can be trusted

    async def _connect(self) -> Bus:
        return await Bus.connect(self._address, uid=self._uid, timeout=CONNECT_TIMEOUT, limits=USER_LIMITS)

    async def _session(self, bus: Bus) -> None:
        feed = self._session_feed = ManagerFeed(bus, self.table)

        def ready() -> None:
            self.feed = feed
            self._was_up = True
            self._error = None
            self._set_state(ManagerState.UP)
            self._resolve_waiting(feed.manager)

        def gone() -> None:
            self.feed = None
            self._set_state(ManagerState.UNREACHABLE)

        try:
            await feed.run(ready, gone)
        finally:
            self.feed = self._session_feed = None

    def _update_state(self) -> None:
        """Set the state of a manager without a connection, by the state of its unit."""
        match self._active:
            case ActiveState.ACTIVE:
                self._set_state(ManagerState.UNREACHABLE)
            case active if active in _STARTING:
                self._set_state(ManagerState.STARTING)
            case _:
                self.table.clear()
                self._set_state(ManagerState.DOWN)
                if not self._connect_requested:
                    self._resolve_waiting(self._unavailable("it is not running"))

    async def _pause(self, longest: float | None) -> None:
        """Wait until the unit's state changes, the socket appears, or a caller asks; at most `longest` seconds."""
        path = self._address.partition("unix:path=")[2].partition(",")[0]
        folder, name = os.path.split(path)

        def appeared(change: Change) -> None:
            if change.name == name:
                self._connect_requested = True
                self._wake.set()

        # Not while connected: the folder is the user's, who may create names in it all the time.
        seen = self._inotify.subscribe(folder, NAMES, appeared, follow=False) if path else None
        try:
            async with asyncio.timeout(longest):
                await self._wake.wait()
        except TimeoutError:
            pass
        finally:
            if seen is not None:
                self._inotify.cancel(seen)

    def _resolve_waiting(self, outcome: SystemdManager | EventdError) -> None:
        for waiting in self._waiting:
            if waiting.done():
                continue
            if isinstance(outcome, EventdError):
                waiting.set_exception(outcome)
            else:
                waiting.set_result(outcome)

    def _unavailable(self, why: str) -> TemporaryError:
        cause = f": {self._error.message}" if self._error is not None else ""
        return TemporaryError(
            f"the user manager of {self.account.name} cannot be used, {why}{cause}",
            reason=MISBEHAVES if self._conduct.left(anyio.current_time()) > 0 else REASON,
            hint=f"systemctl status {self._unit.name}",
            wakes_on=frozenset({self._unit, FactKey(WorkloadFact.MANAGER, self.account.name)}),
        )

    def _set_state(self, state: ManagerState) -> None:
        if state is not self._state:
            self._state = state
            self._emit_state(state)

    def _emit_state(self, state: ManagerState | None) -> None:
        facts: list[tuple[FactKey, ManagerState | bool | None]] = [
            (FactKey(WorkloadFact.MANAGER, self.account.name), state)
        ]
        if state is not ManagerState.UP:
            facts.append((FactKey(PlatformFact.RELOADING, "", self.account.name), None))
        kind = WorkloadEvent.CONNECTED if state is ManagerState.UP else PlatformEvent.UNIT_CHANGED
        self.table.emit(kind, self._unit.name, attributes={"manager": str(state or "forgotten")}, facts=facts)
