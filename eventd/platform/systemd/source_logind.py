"""The source for logind: sessions, lingering users, shutdown of the host; and the port to set lingering.

Emits SESSIONS (user -> ids of the sessions of a person; absent: none), LINGER (user -> True; absent: no) and SHUTDOWN.
Each is read again after a gap. Decides nothing.

Lingering is read from logind's folder of flag files (loginctl(1)), because logind sends no signal for it.
"""

# ruff: noqa: PTH119, PTH120, PTH208  names as strings, like the adapter they are for

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio import TASK_STATUS_IGNORED

from eventd.kernel.model.errors import DisconnectedError, EventdError, TemporaryError
from eventd.kernel.model.events import EventKind, KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.source_state import SourceState
from eventd.platform.dbus.connection import Bus, system_bus_address
from eventd.platform.inotify import NAMES, SELF
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import ActiveState, LoadState, PlatformFact, UnitState
from eventd.platform.model_facts import unit as as_unit
from eventd.platform.reconnect import CONNECT_TIMEOUT, keep_connected
from eventd.platform.systemd.adapter_logind import LOGIND, MANAGER, PERSONAL, Logind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskStatus

    from eventd.kernel.model.events import Emit
    from eventd.kernel.model.facts import Facts
    from eventd.platform.dbus.connection import Signal
    from eventd.platform.inotify import Change, Inotify, Subscription
    from eventd.platform.model_facts import Account

ACTIVATION = 2.5
"""Seconds for logind to start by bus activation. After that, its absence is a source error."""
LOGIND_UNIT = FactKey(PlatformFact.UNIT, "systemd-logind.service")
LINGER_FOLDER = "/var/lib/systemd/linger"
_log = logging.getLogger(__name__)


class LogindSource:
    """logind on the system bus. Also implements `ports.Logins`.

    `inotify`: an instance whose `run` is running. `address`: as for `SystemSource`. `facts`: have the state of logind's
    unit, from which the remedy follows if logind is unavailable.
    """

    def __init__(
        self,
        emit: Emit,
        inotify: Inotify,
        *,
        address: str | None = None,
        linger_folder: str = LINGER_FOLDER,
        facts: Facts | None = None,
    ) -> None:
        self._emit = emit
        self._facts = facts
        self.state = SourceState(emit, PlatformOrigin.LOGIND, "logind")
        self._error: EventdError | None = None
        """Why it is unavailable."""
        if facts is not None:
            facts.watch((LOGIND_UNIT,), self._unit_changed)
        self._address = address or system_bus_address()
        self._lingering = _Lingering(emit, inotify, linger_folder)
        self._sessions: dict[str, frozenset[str]] = {}
        self._logind: Logind | None = None
        self._reading: Callable[[], Awaitable[None]] | None = None
        """Reads everything again; None without a connection."""

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep the facts current until cancelled; `started` once everything has been read."""
        first = anyio.Event()

        async def session(bus: Bus, ready: Callable[[], None]) -> None:
            def complete() -> None:
                ready()
                self._error = None
                self.state.current()
                first.set()

            try:
                await _Session(self, bus).run(complete)
            finally:
                self.on_disconnected()

        async with anyio.create_task_group() as tasks:
            await tasks.start(self._lingering.run)
            tasks.start_soon(keep_connected, self._connect, session, self._lost)
            await first.wait()
            task_status.started()

    async def reread(self) -> None:
        """Read everything again. Without a connection to logind only who lingers; the rest when there is one."""
        await self._lingering.scan()
        if self._reading is not None:
            await self._reading()

    async def set_linger(self, user: Account, enable: bool, *, timeout: float) -> None:  # noqa: FBT001
        """See `ports.Logins`."""
        if self._logind is None:
            raise DisconnectedError("not connected to logind")
        await self._logind.set_linger(user.uid, enable=enable, timeout=timeout)
        # logind has made or removed the flag before it replied.
        await self._lingering.scan()

    def on_connected(self, logind: Logind, read: Callable[[], Awaitable[None]]) -> None:
        """Set the connection to logind, and how to read everything again."""
        self._logind, self._reading = logind, read

    def on_disconnected(self) -> None:
        """Forget the connection: logind cannot be called."""
        self._logind = self._reading = None

    def emit_sessions(self, sessions: dict[str, frozenset[str]]) -> None:
        """Emit the sessions that differ from those known so far."""
        for user in sorted(self._sessions.keys() | sessions.keys()):
            now = sessions.get(user)
            if now != self._sessions.get(user):
                self.emit(KernelEvent.READ, user, facts=((FactKey(PlatformFact.SESSIONS, user), now),))
        self._sessions = sessions

    def emit(
        self,
        kind: EventKind,
        subject: str,
        *,
        facts: tuple[tuple[FactKey, frozenset[str] | bool | None], ...] = (),
    ) -> None:
        """Emit an event of logind."""
        self._emit(PlatformOrigin.LOGIND, kind, subject, facts=facts)

    def emit_shutdown(self, *, start: bool, kind: EventKind = PlatformEvent.SHUTDOWN) -> None:
        """Emit whether the host is shutting down, by PrepareForShutdown or by its property."""
        self.emit(kind, "shutdown", facts=((FactKey(PlatformFact.SHUTDOWN), start),))

    def on_owner_gone(self) -> None:
        """Report that logind has left the bus: its facts may be outdated, and it cannot be called."""
        self.on_disconnected()
        self._error = None
        self.state.lost("owner-changed")

    def unavailable(self, error: EventdError) -> None:
        """Report that logind is unavailable, with the cause and a remedy."""
        self._error = error
        state = as_unit(self._facts.get(LOGIND_UNIT)) if self._facts is not None else None
        passing = state is not None and state.active is ActiveState.ACTIVATING
        self.state.trouble(unavailable_error(error, state), passing=passing)

    def _unit_changed(self, _key: FactKey) -> None:
        """Report again with the new state of logind's unit, from which the remedy follows."""
        if self._error is not None:
            self.unavailable(self._error)

    async def _connect(self) -> Bus:
        return await Bus.connect(self._address, timeout=CONNECT_TIMEOUT)

    def _lost(self, error: EventdError, was_ready: bool) -> None:  # noqa: FBT001  called by `keep_connected`
        _log.warning("logind: %s", error)
        if was_ready:
            self.state.lost(error.reason)
        else:
            self.unavailable(error)


def unavailable_error(error: EventdError, unit: UnitState | None) -> EventdError:
    """Return why logind is unavailable, with a remedy. `unit`: the state of its service; None if unknown."""
    load = unit.load if unit is not None else LoadState.LOADED
    active = unit.active if unit is not None else None
    if load is LoadState.MASKED:
        why, hint = "its unit is masked", "systemctl unmask systemd-logind && systemctl start systemd-logind"
    elif active is ActiveState.ACTIVE:
        why = "it is running but not on the bus, as after a restart of dbus-daemon"
        hint = "systemctl restart systemd-logind"
    elif active is ActiveState.ACTIVATING:
        why, hint = "it is still starting", "systemctl status systemd-logind"
    else:
        why, hint = error.message, "systemctl status systemd-logind dbus"
    return TemporaryError(f"logind is unavailable: {why}", reason="logind-unavailable", hint=hint)


class _Session:
    """logind over one connection: subscribes, reads, and follows the signals."""

    def __init__(self, source: LogindSource, bus: Bus) -> None:
        self._source = source
        self._bus = bus
        self._logind = Logind(bus)
        self._wake = asyncio.Event()
        self._read = False
        self._sessions_dirty = False
        self._reading = asyncio.Lock()

    async def run(self, ready: Callable[[], None]) -> None:
        bus, source = self._bus, self._source
        bus.on_closed(self._wake.set)
        for member, kind in (
            ("SessionNew", PlatformEvent.SESSION_NEW),
            ("SessionRemoved", PlatformEvent.SESSION_REMOVED),
        ):
            bus.on(LOGIND, MANAGER, member, "so", self._session_changed(kind))
        for member, kind in (
            ("UserNew", PlatformEvent.USER_NEW),
            ("UserRemoved", PlatformEvent.USER_REMOVED),
        ):
            bus.on(LOGIND, MANAGER, member, "uo", lambda s, kind=kind: source.emit(kind, str(s.body[0])))  # type: ignore[misc]
        bus.on(
            LOGIND, MANAGER, "PrepareForShutdown", "b", lambda s: source.emit_shutdown(start=bool(s.body[0]))
        )
        await self._logind.attach(self._owner_changed)
        activated = False
        while True:
            self._wake.clear()
            bus.raise_if_closed()
            owner = bus.owner(LOGIND)
            if not owner and not activated:
                activated = True
                await self._activate()
                continue  # it may be on the bus by now
            if owner:
                activated = False
                try:
                    await self._catch_up(ready)
                except DisconnectedError:
                    # The connection is lost, or logind left in the middle and will be back.
                    if bus.closed is not None or bus.owner(LOGIND) == owner:
                        raise
            await self._wake.wait()

    async def _activate(self) -> None:
        """Activate logind. Report a failure; NameOwnerChanged announces logind later.

        This does not help after a restart of the system's dbus-daemon: logind (257) runs on without a bus until it is
        restarted, and its unit is active all the time.
        """
        try:
            await self._logind.activate(timeout=ACTIVATION)
        except EventdError as error:
            self._bus.raise_if_closed()
            if not self._bus.owner(LOGIND):
                _log.warning("cannot start logind through the bus, waiting for it: %s", error)
                self._source.unavailable(error)

    async def _catch_up(self, ready: Callable[[], None]) -> None:
        if not self._read:
            self._read = True
            self._sessions_dirty = False
            await self._read_all()
            self._source.on_connected(self._logind, self._read_all)
            self._source.emit(KernelEvent.READ, LOGIND)
            ready()
        while self._sessions_dirty:
            self._sessions_dirty = False
            await self._read_sessions()

    async def _read_all(self) -> None:
        # Applied in the order of messages: a PrepareForShutdown after it is newer.
        await self._logind.preparing_for_shutdown(
            apply=lambda start: self._source.emit_shutdown(start=start, kind=KernelEvent.READ)
        )
        await self._read_sessions()

    async def _read_sessions(self) -> None:
        """Read and emit the sessions, one read at a time. A change meanwhile leads to another read."""
        async with self._reading:
            found: dict[str, frozenset[str]] = {}
            for session in await self._logind.sessions():
                if session.kind in PERSONAL:
                    found[session.user] = found.get(session.user, frozenset()) | {session.id}
            self._source.emit_sessions(found)

    def _session_changed(self, kind: EventKind) -> Callable[[Signal], None]:
        def changed(signal: Signal) -> None:
            self._source.emit(kind, signal.body[0])
            self._sessions_dirty = True
            self._wake.set()

        return changed

    def _owner_changed(self, _owner: str) -> None:
        if self._read:
            self._source.on_owner_gone()
        self._read = False
        self._wake.set()


class _Lingering:
    """The folder of flag files: if there is a file NAME, the user NAME lingers."""

    def __init__(self, emit: Emit, inotify: Inotify, folder: str) -> None:
        self._emit = emit
        self._inotify = inotify
        self._folder = folder
        self._watched: Subscription | None = None
        self._parent: Subscription | None = None
        self._known: frozenset[str] = frozenset()
        self._scanning = asyncio.Lock()
        self._dirty = asyncio.Event()
        inotify.on_gap(self._dirty.set)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        try:
            while True:
                self._dirty.clear()
                self._subscribe()
                await self.scan()
                with contextlib.suppress(RuntimeError):  # the second time
                    task_status.started()
                await self._dirty.wait()
        finally:
            for subscription in (self._watched, self._parent):
                if subscription is not None:
                    self._inotify.cancel(subscription)
            self._watched = self._parent = None

    async def scan(self) -> None:
        """List the folder, and emit what differs. One at a time, so that the last listing is the newest."""
        async with self._scanning:
            now = await anyio.to_thread.run_sync(_names, self._folder)
            before, self._known = self._known, now
            for user in sorted(before ^ now):
                self._emit(
                    PlatformOrigin.LOGIND,
                    PlatformEvent.LINGER_CHANGED,
                    user,
                    facts=((FactKey(PlatformFact.LINGER, user), True if user in now else None),),
                )

    def _subscribe(self) -> None:
        """Subscribe, before each listing. logind makes the folder for the first user that lingers."""
        if self._parent is None:
            self._parent = self._inotify.subscribe(
                os.path.dirname(self._folder), NAMES, self._parent_changed, follow=True
            )
        if self._watched is None:
            self._watched = self._inotify.subscribe(self._folder, NAMES | SELF, self._changed, follow=True)

    def _parent_changed(self, change: Change) -> None:
        if change.lost:
            self._parent = None
        elif change.name == os.path.basename(self._folder):
            self._dirty.set()

    def _changed(self, change: Change) -> None:
        if change.lost and self._watched is not None:
            self._inotify.cancel(self._watched)
            self._watched = None
        self._dirty.set()


def _names(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except FileNotFoundError:
        return frozenset()
