"""The ports `Manager` and `UserManagers` over the model's managers."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import DeadlineError, DisconnectedError, PermanentError, TemporaryError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import Account, ActiveState, UnitState
from eventd.platform.systemd.ports import JobResult, Manager, Verb
from eventd.workloads.model_events import WorkloadEvent
from eventd.workloads.model_facts import ManagerState, WorkloadFact
from eventd_simulators.inprocess.feed import Feed
from eventd_simulators.model import signals
from eventd_simulators.model.manager import Manager as ModelManager
from eventd_simulators.model.manager import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventd_simulators.inprocess.life import Life
    from eventd_simulators.model.host import HostModel
    from eventd_simulators.model.jobs import Job

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


class SimManager:
    """`ports.Manager` over a feed."""

    def __init__(self, life: Life, host: HostModel, scope: str, feed: Callable[[], Feed | None]) -> None:
        self._life = life
        self._host = host
        self._scope = scope
        self._feed = feed

    @property
    def scope(self) -> str:
        """`""` for the system's, else the user's name."""
        return self._scope

    async def read_unit(self, name: str) -> UnitState:
        """See the port."""
        feed = self._connected()
        state = await self._life.read(lambda: self._manager().peek(name))
        await feed.channel.flush()
        return state

    async def job(self, verb: Verb, unit: str, *, timeout: float) -> JobResult:
        """See the port."""
        feed = self._connected()
        number = 0
        waiter: asyncio.Future[JobResult] | None = None

        def create() -> asyncio.Future[JobResult]:
            nonlocal number
            self._lose_bus()
            job = self._make(verb, unit)
            number = job.id
            return feed.expect(number)

        try:
            async with asyncio.timeout(timeout):
                waiter = await self._life.change(f"{verb} {self._scope}/{unit}", create)
                return await waiter
        except TimeoutError as error:
            raise DeadlineError(f"{verb} {unit}: the job did not end within {timeout:g} s") from error
        finally:
            feed.give_up(number)

    async def reload(self, *, timeout: float) -> None:
        """See the port."""
        feed = self._connected()
        try:
            async with asyncio.timeout(timeout):
                done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

                def finished() -> None:
                    if not done.done():
                        done.set_result(None)

                def begin() -> None:
                    self._lose_bus()
                    self._manager().reload(finished)

                await self._life.change(f"Reload {self._scope}", begin)
                await feed.channel.reply(done)
                await feed.channel.flush()
        except TimeoutError as error:
            raise DeadlineError(f"Reload: not finished after {timeout:g} s") from error

    async def reset_failed(self, unit: str) -> None:
        """See the port."""
        self._connected()

        def reset() -> None:
            try:
                self._manager().reset_failed(unit)
            except RefusedError:
                return

        await self._life.change(f"ResetFailedUnit {self._scope}/{unit}", reset)

    def _make(self, verb: Verb, unit: str) -> Job:
        manager = self._manager()
        try:
            match verb:
                case Verb.START:
                    return manager.start(unit)
                case Verb.STOP:
                    if unit in self._life.faults.unstoppable:
                        raise PermanentError(f"{unit} may not be stopped", reason="simulated-failure")
                    return manager.stop(unit)
                case Verb.RESTART:
                    return manager.restart(unit)
        except RefusedError as error:
            raise PermanentError(str(error), reason=_HUMP.sub("-", error.name).lower()) from error

    def _connected(self) -> Feed:
        feed = self._feed()
        if feed is None or feed.lost:
            raise DisconnectedError(f"there is no connection to the manager of {self._scope or 'the system'}")
        return feed

    def _manager(self) -> ModelManager:
        manager = self._host.managers.get(self._scope) if self._scope else self._host.system
        if manager is None or not manager.alive:
            raise DisconnectedError(f"the manager of {self._scope or 'the system'} is gone")
        return manager

    def _lose_bus(self) -> None:
        if self._scope and self._life.faults.hits(self._life.faults.bus_losses):
            self._host.restart_bus(self._scope)
            raise DisconnectedError(f"the bus of {self._scope} went away")


class SimUserManagers:
    """`ports.UserManagers`: one feed per connected user, reconnected when the bus is back."""

    def __init__(self, life: Life, host: HostModel) -> None:
        self._life = life
        self._host = host
        self._feeds: dict[str, Feed] = {}
        self._uids: dict[str, int] = {}
        """Whose bus a feed is on: an account that was deleted and created again has another one."""
        self._watched: dict[str, frozenset[str]] = {}
        self._wanted: dict[str, None] = {}
        host.hub.listen(self._on_signal)

    async def connect(self, account: Account, *, timeout: float) -> Manager:
        """See the port."""
        name = account.name
        try:
            async with asyncio.timeout(timeout):
                await self._life.read(lambda: None)
                await self.replace(account)
                if name not in self._feeds and name in self._host.managers:
                    self._open(name)
                feed = self._feeds.get(name)
                if feed is not None:
                    await feed.channel.flush()
        except TimeoutError as error:
            raise DeadlineError(f"no connection to the manager of {name} after {timeout:g} s") from error
        if self._feeds.get(name) is None:
            raise TemporaryError(
                f"the manager of {name} cannot be reached",
                reason="user-manager-unavailable",
                wakes_on=frozenset({FactKey(WorkloadFact.MANAGER, name)}),
            )
        return SimManager(self._life, self._host, name, lambda: self._feeds.get(name))

    def watch(self, user: str, units: frozenset[str]) -> None:
        """See the port."""
        self._watched[user] = units
        feed = self._feeds.get(user)
        if feed is not None:
            feed.watch(units)

    async def refresh(self, user: str) -> None:
        """See the port."""
        feed = self._feeds.get(user)
        if feed is not None:
            await self._life.read(feed.read_all)
            if not feed.lost:
                await feed.channel.flush()

    async def reread(self) -> None:
        """Read all watched units of all connected users again."""
        for user in list(self._feeds):
            await self.refresh(user)

    async def disconnect(self, user: str) -> None:
        """See the port."""
        self._wanted.pop(user, None)
        feed = self._feeds.pop(user, None)
        if feed is not None:
            feed.close(forget=True)
        await self._life.read(lambda: None)
        self.emit_state(user)

    async def replace(self, account: Account) -> None:
        """See the port."""
        feed = self._feeds.get(account.name)
        if feed is not None and self._uids[account.name] != account.uid:
            self._wanted.pop(account.name, None)
            del self._feeds[account.name]
            feed.close(forget=True)
            self.emit_state(account.name)

    def emit_state(self, user: str) -> None:
        """Emit the MANAGER fact as it is now."""
        state = self._state(user)
        facts = ((FactKey(WorkloadFact.MANAGER, user), state),)
        kind = WorkloadEvent.CONNECTED if state is ManagerState.UP else PlatformEvent.UNIT_CHANGED
        self._life.emit(PlatformOrigin.USER_MANAGER, kind, user, scope=user, facts=facts)

    def _state(self, user: str) -> ManagerState:
        if user in self._feeds:
            return ManagerState.UP
        account = self._host.accounts.get(user)
        unit = self._host.system.units.get(f"user@{account.uid}.service") if account else None
        match unit.active if unit else ActiveState.INACTIVE:
            case ActiveState.ACTIVE:
                return ManagerState.UNREACHABLE if user in self._wanted else ManagerState.STARTING
            case ActiveState.ACTIVATING:
                return ManagerState.STARTING
            case _:
                return ManagerState.DOWN

    def _open(self, user: str) -> None:
        self._wanted[user] = None
        manager = self._host.managers[user]
        self._uids[user] = manager.uid
        feed = Feed(
            self._life,
            self._host.hub,
            user,
            lambda: manager if manager.alive else None,
            self._watched.get(user, frozenset()),
        )
        self._feeds[user] = feed
        feed.read_all()
        feed.channel.post(lambda: self.emit_state(user))

    def _on_signal(self, signal: signals.Signal) -> None:
        if self._life.dead:
            return
        match signal:
            case signals.BusDown(user) if user in self._feeds:
                feed = self._feeds.pop(user)
                gone = user not in self._host.managers
                feed.close(forget=gone)
                self._life.emit(PlatformOrigin.USER_MANAGER, KernelEvent.GAP, user, scope=user)
                self.emit_state(user)
            case signals.BusUp(user) if user in self._wanted and user not in self._feeds:
                self._life.clock.call_later(self._life.faults.delay(), lambda: self._reopen(user))
            case signals.UnitChanged("", unit, state) if unit.startswith("user@"):
                uid = unit.removeprefix("user@").removesuffix(".service")
                account = self._host.accounts.by_uid(int(uid)) if uid.isdecimal() else None
                if account is not None and state.active is not ActiveState.ACTIVE:
                    self._life.clock.call_later(
                        self._life.faults.delay(), lambda: self.emit_state(account.name)
                    )
            case _:
                pass

    def _reopen(self, user: str) -> None:
        wanted = user in self._wanted and user not in self._feeds
        if wanted and user in self._host.managers and not self._life.dead:
            self._open(user)
