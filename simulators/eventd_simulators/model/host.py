"""The whole host: how accounts, files, logind, the system manager and the users' managers work together.

`user@UID.service` of the system manager *is* the user's manager: it becomes active when that has reached
basic.target (READY=1, before the default target's units are up), and stops when all its units have stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from eventd.platform.model_facts import Account, ActiveState
from eventd_simulators.model.accounts import AccountDatabase, AccountTable
from eventd_simulators.model.behaviours import Behaviours
from eventd_simulators.model.files import FileTree, MemoryTree
from eventd_simulators.model.logind import Logind
from eventd_simulators.model.manager import Manager
from eventd_simulators.model.quadlet import NETWORK
from eventd_simulators.model.service import Service
from eventd_simulators.model.signals import AccountChanged, BusDown, BusUp, Clock, FileChanged, Hub, Signal
from eventd_simulators.model.sources import NETWORK_WAIT, Folders, SystemUnits, UserUnits

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventd_simulators.model.definition import Definition

BUS_RESTART = 0.1
"""Seconds that a restarted bus of a user is away."""


class LingerFlags(Protocol):
    """The files in /var/lib/systemd/linger."""

    def is_set(self, name: str) -> bool:
        """Return whether a user lingers."""
        ...

    def set(self, name: str, *, on: bool) -> None:
        """Create or remove the file."""
        ...


class MemoryFlags:
    """Flag files of a tree in memory."""

    def __init__(self, tree: MemoryTree, folder: str) -> None:
        self._tree = tree
        self._folder = folder

    def is_set(self, name: str) -> bool:
        """Return whether the file is there."""
        return self._tree.entry(f"{self._folder}/{name}") is not None

    def set(self, name: str, *, on: bool) -> None:
        """Create or remove the file."""
        if not on:
            self._tree.remove(f"{self._folder}/{name}")
        elif not self.is_set(name):
            self._tree.put(f"{self._folder}/{name}", b"")


class HostModel:
    """One host. `boot()` switches it on; what was on its disk survives `reboot()`."""

    def __init__(
        self,
        clock: Clock,
        *,
        hub: Hub | None = None,
        behaviours: Behaviours | None = None,
        tree: FileTree | None = None,
        flags: LingerFlags | None = None,
        folders: Folders | None = None,
        accounts: AccountDatabase | None = None,
        online: bool = True,
        boots: int = 0,
    ) -> None:
        self.clock = clock
        self.hub = hub or Hub()
        self.behaviours = behaviours or Behaviours()
        self.folders = folders or Folders()
        self.tree: FileTree = tree if tree is not None else MemoryTree(self.hub)
        if flags is None:
            if not isinstance(self.tree, MemoryTree):
                msg = "a tree on the disk needs its own linger flags"
                raise TypeError(msg)
            flags = MemoryFlags(self.tree, self.folders.linger)
        self.flags = flags
        self.accounts: AccountDatabase = accounts or AccountTable(self.hub)
        self.logind = Logind(self)
        self.managers: dict[str, Manager] = {}
        """By the name of an account that is there."""
        self.orphans: dict[int, Manager] = {}
        """Managers by uid that still run although their account is gone, or has another uid now (userdel --force)."""
        self.hub.listen(self._account_changed)
        self.slow_manager: Callable[[], float] = lambda: 0.0
        """Asked at each start of a user's manager: seconds that it takes longer."""
        self.prepare_bus: Callable[[Account, Callable[[], object]], object] = lambda _account, done: done()
        """Called when the bus of a user has to listen; `done` when it does."""
        self.boots = boots
        """How often it was switched on: invocation ids differ from boot to boot."""
        self.up = False
        self.system_units = SystemUnits(self.tree, self.folders, online=online)
        self.system = self._new_system()

    def _new_system(self) -> Manager:
        return Manager(
            "",
            self.clock,
            self.hub,
            self.behaviours,
            self.system_units,
            make_service=self._system_service,
            boot_id=str(self.boots),
        )

    def _system_service(self, manager: Manager, definition: Definition) -> Service:
        if definition.name.startswith("user@"):
            return UserManagerService(manager, definition, self)
        return Service(manager, definition)

    def _user_service(self, manager: Manager, definition: Definition) -> Service:
        if definition.name == NETWORK:
            return NetworkWaitService(manager, definition, self)
        return Service(manager, definition)

    # Its life.

    def boot(self) -> None:
        """Switch on: the system manager, logind, and the managers of the users who linger."""
        self.boots += 1
        self.up = True
        self.hub.send(BusUp(""))
        self.system.boot()
        self.logind.boot()

    def power_off(self) -> None:
        """A power cut: everything volatile is lost, without a signal."""
        self.up = False
        for manager in (*self.managers.values(), *self.orphans.values()):
            manager.power_off()
            self.hub.send(BusDown(manager.scope))
        self.managers.clear()
        self.orphans.clear()
        self.logind.power_off()
        self.system.power_off()
        self.hub.send(BusDown(""))
        self.system = self._new_system()

    def reboot(self) -> None:
        """Announce it, switch off, switch on."""
        self.logind.prepare_for_shutdown(active=True)
        self.power_off()
        self.boot()

    def reach(self, unit: str) -> None:
        """Start a system unit, as something on the host would (network-online.target)."""
        self.system.start(unit)

    @property
    def online(self) -> bool:
        """Whether network-online.target is reached."""
        unit = self.system.units.get("network-online.target")
        return unit is not None and unit.active is ActiveState.ACTIVE

    # The users' managers.

    def open_manager(self, account: Account) -> Manager:
        """Make the manager of a user; its generators run now."""
        manager = Manager(
            account.name,
            self.clock,
            self.hub,
            self.behaviours,
            UserUnits(self.tree, account, self.folders),
            make_service=self._user_service,
            boot_id=f"{self.boots}/{self.system.new_invocation()}",
            uid=account.uid,
        )
        for orphan in self.orphans.values():
            if orphan.scope == account.name:
                orphan.scope = f"{account.name}#{orphan.uid}"  # whose signals are the new one's from now on
        self.managers[account.name] = manager
        return manager

    def close_manager(self, account: Account) -> None:
        """The manager of a user has ended."""
        manager = self.manager_of(account)
        if manager is None:
            return
        self.orphans.pop(account.uid, None)
        if self.managers.get(account.name) is manager:
            del self.managers[account.name]
        manager.power_off()
        self.hub.send(BusDown(manager.scope))

    def manager_of(self, account: Account) -> Manager | None:
        """Return the manager with the uid of an account, whether that is still there or not."""
        manager = self.managers.get(account.name)
        return (
            manager if manager is not None and manager.uid == account.uid else self.orphans.get(account.uid)
        )

    def _account_changed(self, signal: Signal) -> None:
        if not isinstance(signal, AccountChanged):
            return
        account, manager = self.accounts.get(signal.name), self.managers.get(signal.name)
        if manager is not None and (account is None or account.uid != manager.uid):
            self.orphans[manager.uid] = self.managers.pop(signal.name)
        if account is not None and account.uid in self.orphans:  # created again with the same uid
            self.managers[account.name] = self.orphans.pop(account.uid)

    def restart_bus(self, user: str) -> None:
        """Restart a user's dbus-daemon: connections are lost, the manager and its units are not."""
        if user not in self.managers:
            return
        self.hub.send(BusDown(user))

        def back() -> None:
            if user in self.managers:
                self.hub.send(BusUp(user))

        self.clock.call_later(BUS_RESTART, back)

    def touched(self, path: str) -> None:
        """Report that a file changed (for trees that do not report it themselves)."""
        self.hub.send(FileChanged(path))


class UserManagerService(Service):
    """`user@UID.service`."""

    def __init__(self, manager: Manager, definition: Definition, host: HostModel) -> None:
        super().__init__(manager, definition)
        self._host = host
        uid = definition.name.removeprefix("user@").removesuffix(".service")
        self._account = host.accounts.by_uid(int(uid)) if uid.isdecimal() else None

    def _launch(self) -> None:
        account = self._account
        self.main_pid = self.manager.new_pid()
        self.set(ActiveState.ACTIVATING, "start")
        self.call_later(self.definition.start_timeout, self._start_timed_out)
        if account is None:
            # systemd: "Failed to determine user credentials", status 217/USER.
            self.call_later(0.0, lambda: self.exit(217))
            return
        self._host.logind.manager_started(account)
        behaviour = self.behaviour
        if behaviour.start_status:
            self.call_later(behaviour.start, lambda: self.exit(behaviour.start_status))
        else:
            self.call_later(behaviour.start + self._host.slow_manager(), lambda: self._basic(account))

    def _basic(self, account: Account) -> None:
        self._host.prepare_bus(account, lambda: self._listening(account))

    def _listening(self, account: Account) -> None:
        if self.active is not ActiveState.ACTIVATING:
            return
        manager = self._host.open_manager(account)
        self._host.hub.send(BusUp(account.name))
        manager.boot()
        self._ready()

    def _terminate(self) -> None:
        """SIGTERM: the manager stops all its units, then ends."""
        manager = self._host.manager_of(self._account) if self._account else None
        if manager is None:
            super()._terminate()
            return
        for unit in list(manager.units.values()):
            if unit.active not in (ActiveState.INACTIVE, ActiveState.FAILED):
                manager.jobs.add("stop", unit)
        self.call_later(self.definition.stop_timeout, self._killed)
        self._wait_for(manager)

    def _wait_for(self, manager: Manager) -> None:
        if manager.jobs.all():
            self.call_later(0.01, lambda: self._wait_for(manager))
        else:
            self._terminated(0)

    def _set_dead(self, *, restart: bool = True) -> None:
        if self._account is not None:
            self._host.close_manager(self._account)
            self._host.logind.manager_stopped(self._account)
        super()._set_dead(restart=restart)


class NetworkWaitService(Service):
    """`podman-user-wait-network-online.service`: polls the system's network-online.target for up to 90 s."""

    def __init__(self, manager: Manager, definition: Definition, host: HostModel) -> None:
        super().__init__(manager, definition)
        self._host = host

    def _launch(self) -> None:
        self.main_pid = self.manager.new_pid()
        self.set(ActiveState.ACTIVATING, "start")
        self._check_network(self.manager.clock.time() + NETWORK_WAIT)

    def _check_network(self, deadline: float) -> None:
        if self._host.online:
            self.exit(0)
        elif self.manager.clock.time() >= deadline:
            self.exit(1)
        else:
            self.call_later(0.5, lambda: self._check_network(deadline))
