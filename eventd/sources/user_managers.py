"""The managers of the workloads' users as a source: a connection to each user's bus, while it is wanted.

Emits UNIT facts with the user as scope, RELOADING, and MANAGER (name: the user). Implements
`core.ports.UserManagers`. Decides nothing: it never starts a manager, it only notices one.

When to connect is told by events: a call of `connect`, the fact that `user@UID.service` became active (which
the system's source keeps; a manager is active once basic.target is reached, and so listens on its bus by
then), and the bus's socket being made anew in the user's runtime folder. Only while the manager is active and
its bus still fails is it tried again after pauses, which grow.

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
from anyio import TASK_STATUS_IGNORED

from eventd.adapters.dbus import Bus
from eventd.adapters.inotify import NAMES
from eventd.core.errors import DeadlineError, EventdError, TemporaryError
from eventd.core.events import EventKind, Origin
from eventd.core.facts import ActiveState, FactKey, FactKind, ManagerState, unit
from eventd.core.layout import manager_unit
from eventd.sources.manager_feed import ManagerFeed
from eventd.sources.reconnect import CONNECT_TIMEOUT, on_one_connection, pauses
from eventd.sources.unit_table import UnitTable

if TYPE_CHECKING:
    from anyio.abc import TaskGroup, TaskStatus

    from eventd.adapters.inotify import Change, Inotify
    from eventd.adapters.systemd1 import SystemdManager
    from eventd.core.events import Emit
    from eventd.core.facts import Account, Facts
    from eventd.core.ports import Manager

USER_BUS = "unix:path=/run/user/{uid}/bus"
STEADY = 5.0
"""Seconds that a connection has to last for the pauses between attempts to begin anew."""
_log = logging.getLogger(__name__)
_COMING = frozenset({ActiveState.ACTIVATING, ActiveState.RELOADING, ActiveState.REFRESHING})


class UserManagersSource:
    """One connection per known user.

    `facts`: where `user@UID.service` of the system's manager is to be found (`SystemSource` keeps it).
    `address`: D-Bus address with `{uid}` in it. `inotify`: the daemon's instance. `as_user`: connect with the
    user's effective uid; False where the users' buses are the caller's own, as those of the simulated host.
    """

    def __init__(
        self,
        emit: Emit,
        facts: Facts,
        inotify: Inotify,
        *,
        address: str = USER_BUS,
        as_user: bool = True,
    ) -> None:
        self._emit = emit
        self._as_user = as_user
        self._facts = facts
        self._inotify = inotify
        self._address = address
        self._links: dict[str, _Link] = {}
        self._watched: dict[str, frozenset[str]] = {}
        self._also: dict[str, frozenset[str]] = {}
        self._tasks: TaskGroup | None = None

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep the connections until cancelled; `started` at once, since no user is known yet.

        Started again after an error, it connects anew to every user that was known.
        """
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            known, self._links = self._links, {}
            for link in known.values():
                self._follow(link.account)
            task_status.started()
            await anyio.sleep_forever()

    async def connect(self, account: Account, *, timeout: float) -> Manager:
        """Connect and keep connected; see `core.ports.UserManagers`.

        Where the manager is down it fails at once; where it is up or coming up, only at the deadline.
        """
        link = self._links.get(account.name)
        if link is not None and link.account.uid != account.uid:
            await self.disconnect(account.name)
            link = None
        return await (link or self._follow(account)).wanted(timeout)

    def _follow(self, account: Account) -> _Link:
        assert self._tasks is not None, "run() has to be running"
        link = _Link(
            self._emit,
            self._facts,
            self._inotify,
            account,
            self._address.format(uid=account.uid),
            as_user=self._as_user,
        )
        link.table.watch(self._units(account.name))
        self._links[account.name] = link
        self._tasks.start_soon(link.run)
        return link

    def watch(self, user: str, units: frozenset[str]) -> None:
        """Set whose full `UnitState` is kept; no others of a user's units are. New ones are read soon."""
        self._watched[user] = units
        self._apply(user)

    def watch_also(self, user: str, units: frozenset[str]) -> None:
        """Set units that another source watches besides."""
        self._also[user] = units
        self._apply(user)

    def manager(self, user: str) -> SystemdManager | None:
        """Return the manager of a user if it can be used right now."""
        link = self._links.get(user)
        return link.feed.manager if link is not None and link.feed is not None else None

    def _units(self, user: str) -> frozenset[str]:
        return self._watched.get(user, frozenset()) | self._also.get(user, frozenset())

    def _apply(self, user: str) -> None:
        link = self._links.get(user)
        if link is not None:
            link.watch(self._units(user))

    async def refresh(self, user: str) -> None:
        """Read all watched units of a connected user afresh."""
        link = self._links.get(user)
        if link is not None and link.feed is not None:
            await link.feed.refresh()

    async def read(self, user: str, unit: str) -> None:
        """Read one watched unit of a connected user afresh."""
        link = self._links.get(user)
        if link is not None and link.feed is not None:
            await link.feed.read(unit)

    async def suspect(self, user: str) -> None:
        """Close a connection that does not answer; the next one is up when its first call is answered."""
        link = self._links.get(user)
        if link is not None:
            await link.suspect()

    async def disconnect(self, user: str) -> None:
        """Close the connection; forget the user's facts and what was watched."""
        self._watched.pop(user, None)
        self._also.pop(user, None)
        link = self._links.pop(user, None)
        if link is not None:
            await link.end()


class _Link:
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
        self.table = UnitTable(emit, Origin.USER_MANAGER, account.name, everything=False)
        self.feed: ManagerFeed | None = None
        """Set while its facts are current."""
        self._session_feed: ManagerFeed | None = None
        """Set while there is a connection."""
        self._facts = facts
        self._inotify = inotify
        self._address = address
        self._unit = FactKey(FactKind.UNIT, manager_unit(account.uid))
        self._state: ManagerState | None = None
        self._was_up = False
        self._asked = True
        self._wake = asyncio.Event()
        self._waiting: set[asyncio.Future[Manager]] = set()
        self._error: EventdError | None = None
        self._scope = anyio.CancelScope()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Connect whenever there is reason to, until `end`."""
        stop = self._facts.watch((self._unit,), lambda _key: self._wake.set())
        try:
            with self._scope:
                wait = pauses()
                while True:
                    self._wake.clear()
                    if self._active is ActiveState.ACTIVE or self._asked:
                        self._asked = False
                        began = anyio.current_time()
                        await self._attempt()
                        if self._was_up:
                            self._was_up = False
                            # The bus may be back already, or take us while its daemon restarts.
                            self._asked = True
                            if anyio.current_time() - began >= STEADY:
                                wait = pauses()
                            else:
                                # The socket is the user's own: one that takes us and drops us, over and over.
                                await self._pause(next(wait))
                            continue
                    self._judge()
                    if isinstance(self._error, DeadlineError):
                        wait = pauses()  # the open call was the pause, and an answer would have ended it
                    await self._pause(next(wait) if self._active is ActiveState.ACTIVE else None)
                    if self._active is not ActiveState.ACTIVE:
                        wait = pauses()
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

    async def end(self) -> None:
        """Close the connection and forget all facts."""
        self._scope.cancel()
        await self._ended.wait()
        self.table.clear()
        self._state = None
        self._say_state(None)

    @property
    def _active(self) -> ActiveState | None:
        state = unit(self._facts.get(self._unit))
        return None if state is None else state.active

    async def _attempt(self) -> None:
        if self._state is not ManagerState.UNREACHABLE:
            self._become(ManagerState.STARTING)
        try:
            await on_one_connection(self._connect, self._session)
        except EventdError as error:
            self._error = error
            _log.info("user manager of %s: %s", self.account.name, error)
            if self._was_up:
                self.table.say(EventKind.GAP, self.account.name, attributes={"reason": error.reason})
                self._become(ManagerState.UNREACHABLE)
        except Exception:  # noqa: BLE001 - whatever it is, it is this link that it ends
            # A user's bus is the user's: what answers there may send anything, and ends nobody's link but its own.
            _log.exception("user manager of %s: its bus does not answer as systemd does", self.account.name)
            self._error = TemporaryError("its bus does not answer as systemd does", reason="bad-reply")
            if self._was_up:
                self._become(ManagerState.UNREACHABLE)

    async def _connect(self) -> Bus:
        return await Bus.connect(self._address, uid=self._uid, timeout=CONNECT_TIMEOUT)

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
            reason="user-manager-unavailable",
            hint=f"systemctl status {self._unit.name}",
            wakes_on=frozenset({self._unit, FactKey(FactKind.MANAGER, self.account.name)}),
        )

    def _become(self, state: ManagerState) -> None:
        if state is not self._state:
            self._state = state
            self._say_state(state)

    def _say_state(self, state: ManagerState | None) -> None:
        facts: list[tuple[FactKey, ManagerState | bool | None]] = [
            (FactKey(FactKind.MANAGER, self.account.name), state)
        ]
        if state is not ManagerState.UP:
            facts.append((FactKey(FactKind.RELOADING, "", self.account.name), None))
        kind = EventKind.CONNECTED if state is ManagerState.UP else EventKind.UNIT_CHANGED
        self.table.say(kind, self._unit.name, attributes={"manager": str(state or "forgotten")}, facts=facts)
