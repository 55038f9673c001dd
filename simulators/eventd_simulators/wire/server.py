"""The simulated host as a process: the model, its folder, and a dbus-daemon for the system and for each user.

Owns the life of the buses: a user's bus listens before `user@UID.service` becomes active, and goes with it.
Layout of the folder: `etc/`, `home/`, `var/lib/systemd/linger/` as on a real host, the system's bus at
`run/dbus/system`, a user's at `run/user/<uid>/bus`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from eventd.kernel.model.errors import EventdError
from eventd_simulators.model.behaviours import Behaviours
from eventd_simulators.model.files import DiskTree
from eventd_simulators.model.host import HostModel
from eventd_simulators.model.signals import BusDown, BusUp, Hub, Reexecuted, Signal
from eventd_simulators.model.sources import Folders
from eventd_simulators.wire.accounts import PasswdFiles
from eventd_simulators.wire.bus_daemon import BusDaemon
from eventd_simulators.wire.control import ControlService
from eventd_simulators.wire.login1 import LogindService
from eventd_simulators.wire.systemd1 import SystemdService

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from eventd.platform.model_facts import Account

_log = logging.getLogger(__name__)
REACH_TIMEOUT = 60.0
GOODBYE = 0.1
"""Seconds between the announcement of a reboot and the end of all buses."""


def _make(*folders: str) -> None:
    for folder in folders:
        Path(folder).mkdir(parents=True, exist_ok=True)


class DiskFlags:
    """The linger flags as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def is_set(self, name: str) -> bool:
        """Return whether a user lingers."""
        return (self._folder / name).exists()

    def set(self, name: str, *, on: bool) -> None:
        """Create or remove the file."""
        if on:
            (self._folder / name).touch()
        else:
            (self._folder / name).unlink(missing_ok=True)


class WireHost:
    """`async with WireHost(folder) as host:` is a running host; `host.address` is its system bus."""

    def __init__(self, folder: Path, *, behaviours: Behaviours | None = None, online: bool = True) -> None:
        self.folder = folder.absolute()
        self.behaviours = behaviours or Behaviours()
        self._online = online
        self._boots = 0
        self._exported = asyncio.Event()
        self._system_bus = BusDaemon(self.folder / "run/dbus/system")
        self._buses: dict[str, BusDaemon] = {}
        self._exports: dict[str, SystemdService] = {}
        self._services: list[LogindService | ControlService] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.accounts = PasswdFiles(self.folder)
        self.model: HostModel

    @property
    def address(self) -> str:
        """D-Bus address of the system bus."""
        return self._system_bus.address

    @property
    def user_address(self) -> str:
        """D-Bus address of a user's bus, with `{uid}` in it."""
        return f"unix:path={self.folder}/run/user/{{uid}}/bus"

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def reboot(self) -> None:
        """Announce it, lose everything volatile, come up again on the same sockets."""
        self.model.logind.prepare_for_shutdown(active=True)
        await asyncio.sleep(GOODBYE)
        current = asyncio.current_task()
        await self._stop(keep=current)
        await self._start()

    async def reached(self, account: Account) -> None:
        """Return when the bus of a user's manager, which has been asked for, can be used."""
        async with asyncio.timeout(REACH_TIMEOUT):
            while account.name not in self._exports or self._exports[account.name].bus is None:
                self._exported.clear()
                await self._exported.wait()

    async def _start(self) -> None:
        folders = Folders(str(self.folder))
        hub = Hub()
        _make(folders.quadlets, folders.units, folders.linger)
        self.model = HostModel(
            asyncio.get_running_loop(),
            hub=hub,
            behaviours=self.behaviours,
            tree=DiskTree(Path("/")),
            flags=DiskFlags(Path(folders.linger)),
            folders=folders,
            accounts=self.accounts,
            online=self._online,
            boots=self._boots,
        )
        self._boots += 1
        self.model.prepare_bus = self._prepare_bus
        await self._system_bus.start()
        self._exports[""] = SystemdService(self.model.system, hub)
        await self._exports[""].start(self.address)
        self._services = [LogindService(self.model), ControlService(self)]
        for service in self._services:
            await service.start(self.address)
        hub.listen(self._on_signal)
        self.model.boot()

    async def _stop(self, *, keep: asyncio.Task[Any] | None = None) -> None:
        for task in [task for task in self._tasks if task is not keep]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if hasattr(self, "model") and self.model.up:
            self.model.power_off()
        for service in (*self._services, *self._exports.values()):
            await service.stop()
        self._services.clear()
        self._exports.clear()
        for bus in (*self._buses.values(), self._system_bus):
            await bus.stop()
        self._buses.clear()

    # A user's bus.

    def _prepare_bus(self, account: Account, done: Callable[[], object]) -> None:
        async def listen() -> None:
            bus = BusDaemon(self.folder / f"run/user/{account.uid}/bus")
            await self._close_bus(account.name)
            await bus.start()
            self._buses[account.name] = bus
            done()

        self._spawn(listen())

    def _on_signal(self, signal: Signal) -> None:
        match signal:
            case BusUp(user) if user:
                self._spawn(self._export(user))
            case BusDown(user) if user:
                self._spawn(self._close_bus(user))
            case Reexecuted(scope) if scope in self._exports:
                self._spawn(self._exports[scope].change_hands())
            case _:
                pass

    async def _export(self, user: str) -> None:
        account, manager = self.model.accounts.get(user), self.model.managers.get(user)
        if account is None or manager is None:
            return
        if user not in self._buses:  # its bus was restarted: the manager is still there
            bus = BusDaemon(self.folder / f"run/user/{account.uid}/bus")
            await bus.start()
            self._buses[user] = bus
        service = SystemdService(manager, self.model.hub)
        self._exports[user] = service
        await service.start(self._buses[user].address)
        self._exported.set()

    async def _close_bus(self, user: str) -> None:
        service = self._exports.pop(user, None)
        if service is not None:
            await service.stop()
        bus = self._buses.pop(user, None)
        if bus is not None:
            await bus.stop()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="simulated host")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, EventdError):
            _log.error("simulated host: %s", error)
        elif error is not None:
            _log.error("simulated host", exc_info=error)
