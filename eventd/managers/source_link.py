"""One user's manager, through however many connections it takes: the MANAGER fact of the user, and who keeps its units.

When to connect is told by events: a call of `connect`, the fact that `user@UID.service` became active (which
the system's source keeps; a manager is active once basic.target is reached, and so listens on its bus by
then), and the bus's socket being made anew in the user's runtime folder. Only while the manager is active and
its bus still fails is it tried again after pauses, which grow.

A bus that says what systemd never says, or too much of it, has its connection ended, and is then left alone for a
while (`kernel.model.conduct`), whatever happens to its socket: it may be a program of the user's. All that can be made
to go wrong by what it says ends this link and no other.

What becomes of the facts: when the manager is down, its UNIT facts are gone. When it is active and only its
bus cannot be used (MANAGER `unreachable`), they stay as they were last known and are read again at once when
the bus is back.
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
from eventd.managers.model_trouble import MISBEHAVES, OFFENCES, REASON
from eventd.platform.dbus.connection import USER_LIMITS, Bus
from eventd.platform.inotify import NAMES
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import ActiveState, PlatformFact, unit
from eventd.platform.reconnect import CONNECT_TIMEOUT, retry_delays, with_connection
from eventd.platform.systemd.source_manager_feed import ManagerFeed
from eventd.platform.systemd.source_unit_table import UnitTable
from eventd.workloads.model_events import WorkloadEvent
from eventd.workloads.model_facts import ManagerState, WorkloadFact
from eventd.workloads.model_layout import manager_unit

if TYPE_CHECKING:
    from eventd.kernel.model.events import Emit
    from eventd.kernel.model.facts import Facts
    from eventd.platform.inotify import Change, Inotify
    from eventd.platform.model_facts import Account
    from eventd.platform.systemd.adapter_systemd1 import SystemdManager
    from eventd.platform.systemd.ports import Manager

STEADY = 5.0
"""Seconds that a connection must last to reset the retry delay."""
_log = logging.getLogger(__name__)
_COMING = frozenset({ActiveState.ACTIVATING, ActiveState.RELOADING, ActiveState.REFRESHING})


class ManagerLink:
    """One user's manager, through however many connections it takes."""

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
        self._asked = True
        self._wake = asyncio.Event()
        self._waiting: set[asyncio.Future[Manager]] = set()
        self._error: EventdError | None = None
        self._conduct = Conduct()
        self._blamed: EventdError | None = None
        """Why we are ending the connection."""
        self.over = False
        """It is no longer wanted."""
        self._scope = anyio.CancelScope()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Connect whenever there is reason to, until `end`. Again after an error of its own."""
        self._scope = anyio.CancelScope()
        stop = self._facts.watch((self._unit,), lambda _key: self._wake.set())
        try:
            with self._scope:
                wait = retry_delays()
                while True:
                    self._wake.clear()
                    if (left := self._conduct.left(anyio.current_time())) > 0:
                        self._asked = False
                        self._judge()
                        self._settle(self._unavailable("it is left alone"))
                        with anyio.move_on_after(left):
                            await self._wake.wait()
                        continue
                    if self._active is ActiveState.ACTIVE or self._asked:
                        self._asked = False
                        began = anyio.current_time()
                        await self._attempt()
                        if self._was_up:
                            self._was_up = False
                            # The bus may be back already, or take us while its daemon restarts.
                            self._asked = True
                            if anyio.current_time() - began >= STEADY:
                                wait = retry_delays()
                            else:
                                # The socket is the user's own: one that takes us and drops us, over and over.
                                await self._pause(next(wait))
                            continue
                    self._judge()
                    if isinstance(self._error, DeadlineError):
                        wait = (
                            retry_delays()
                        )  # the open call was the pause, and an answer would have ended it
                    await self._pause(next(wait) if self._active is ActiveState.ACTIVE else None)
                    if self._active is not ActiveState.ACTIVE:
                        wait = retry_delays()
        finally:
            stop()
            self._settle(self._unavailable("it is no longer wanted"))
            self._ended.set()

    async def wanted(self, timeout: float) -> Manager:
        """Return the manager, as soon as its facts are current."""
        if self.feed is not None:
            return self.feed.manager
        waiting: asyncio.Future[Manager] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        self._asked = True
        self._wake.set()
        try:
            async with asyncio.timeout(timeout):
                return await waiting
        except TimeoutError as error:
            raise self._unavailable(f"not reached within {timeout:g} s") from error
        finally:
            self._waiting.discard(waiting)

    def watch(self, units: frozenset[str]) -> None:
        """Set the units that are kept in full. A connection may be in the middle of its reads by now."""
        (self._session_feed or self.table).watch(units)

    async def suspect(self) -> None:
        """Connect anew."""
        if self.feed is not None:
            await self.feed.manager.bus.close()

    async def blame(self, error: EventdError) -> None:
        """End the connection, if there is one, as if it had said something bad."""
        if self.feed is not None:
            self._blamed = error
            await self.feed.manager.bus.close()

    def failed(self, error: EventdError) -> None:
        """Take note that `run` has ended by itself, which is a bug; it is not started again at once."""
        self._was_up = False
        self._lost(error)
        self._become(ManagerState.UNREACHABLE)

    async def end(self) -> None:
        """Close the connection and forget all facts."""
        self.over = True
        self._scope.cancel()
        await self._ended.wait()
        self.table.clear()
        self._state = None
        self._emit_state(None)

    @property
    def _active(self) -> ActiveState | None:
        state = unit(self._facts.get(self._unit))
        return None if state is None else state.active

    async def _attempt(self) -> None:
        if self._state is not ManagerState.UNREACHABLE:
            self._become(ManagerState.STARTING)
        try:
            await with_connection(self._connect, self._session)
        except EventdError as error:
            self._lost(self._blamed or error)
        except Exception:  # noqa: BLE001 - whatever it is, it is this link that it ends
            # A user's bus is the user's: what answers there may send anything, and ends nobody's link but its own.
            _log.exception("user manager of %s: its bus does not answer as systemd does", self.account.name)
            self._lost(TemporaryError("its bus does not answer as systemd does", reason="bad-reply"))
        self._blamed = None

    def _lost(self, error: EventdError) -> None:
        if error.reason in OFFENCES:
            pause = self._conduct.offended(anyio.current_time())
            error = TemporaryError(f"{error.message}; it is left alone for {pause:g} s", reason=error.reason)
            _log.warning("user manager of %s: %s", self.account.name, error, extra={"reason": error.reason})
        else:
            _log.info("user manager of %s: %s", self.account.name, error)
        self._error = error
        if self._was_up or error.reason in OFFENCES:
            attributes = {"reason": error.reason, "error": error.message}
            self.table.emit(KernelEvent.GAP, self.account.name, attributes=attributes)
        if self._was_up:
            self._become(ManagerState.UNREACHABLE)
        if error.reason in OFFENCES:
            self.table.clear()  # nothing that it has said of its units is worth anything

    async def _connect(self) -> Bus:
        return await Bus.connect(self._address, uid=self._uid, timeout=CONNECT_TIMEOUT, limits=USER_LIMITS)

    async def _session(self, bus: Bus) -> None:
        feed = self._session_feed = ManagerFeed(bus, self.table)

        def ready() -> None:
            self.feed = feed
            self._was_up = True
            self._error = None
            self._become(ManagerState.UP)
            self._settle(feed.manager)

        def gone() -> None:
            self.feed = None
            self._become(ManagerState.UNREACHABLE)

        try:
            await feed.run(ready, gone)
        finally:
            self.feed = self._session_feed = None

    def _judge(self) -> None:
        """Say how the manager is after an attempt that failed, or without one."""
        match self._active:
            case ActiveState.ACTIVE:
                self._become(ManagerState.UNREACHABLE)
            case active if active in _COMING:
                self._become(ManagerState.STARTING)
            case _:
                self.table.clear()
                self._become(ManagerState.DOWN)
                if not self._asked:
                    self._settle(self._unavailable("it is not running"))

    async def _pause(self, longest: float | None) -> None:
        """Wait for a reason to look again: the unit's state, the socket, a caller; or `longest` seconds."""
        path = self._address.partition("unix:path=")[2].partition(",")[0]
        folder, name = os.path.split(path)

        def appeared(change: Change) -> None:
            if change.name == name:
                self._asked = True
                self._wake.set()

        # Only now, not while connected: the folder is the user's, who may make names in it all day long.
        seen = self._inotify.subscribe(folder, NAMES, appeared, follow=False) if path else None
        try:
            async with asyncio.timeout(longest):
                await self._wake.wait()
        except TimeoutError:
            pass
        finally:
            if seen is not None:
                self._inotify.cancel(seen)

    def _settle(self, outcome: SystemdManager | EventdError) -> None:
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

    def _become(self, state: ManagerState) -> None:
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
