"""The source for the managers of workloads' users: a connection to each user's bus.

Emits UNIT facts with the user as scope, RELOADING, and MANAGER (name: the user). Implements `ports.UserManagers`. It
never starts a manager. `source_link` decides when to connect, and what happens to the facts of a lost connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from anyio import TASK_STATUS_IGNORED

from eventd.kernel.model.errors import EventdError
from eventd.managers.source_link import ManagerLink
from eventd.platform.processes.isolated import isolated
from eventd.platform.resync import resync

if TYPE_CHECKING:
    from anyio.abc import TaskGroup, TaskStatus

    from eventd.kernel.model.events import Emit
    from eventd.kernel.model.facts import Facts
    from eventd.platform.inotify import Inotify
    from eventd.platform.model_facts import Account
    from eventd.platform.systemd.adapter_systemd1 import SystemdManager
    from eventd.platform.systemd.ports import Manager

USER_BUS = "unix:path=/run/user/{uid}/bus"


class UserManagersSource:
    """One connection per known user.

    `facts`: have the state of `user@UID.service`, which `SystemSource` emits. `address`: D-Bus address with `{uid}` in
    it. `inotify`: a guarded instance. `as_user`: connect with the user's effective uid; False if the buses belong to
    the caller, as on the simulated host.
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
        self._links: dict[str, ManagerLink] = {}
        self._watched: dict[str, frozenset[str]] = {}
        self._also: dict[str, frozenset[str]] = {}
        self._tasks: TaskGroup | None = None

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep the connections until cancelled; `started` at once, since no user is known yet.

        When it is started again after an error, it reconnects to every known user.
        """
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            known, self._links = self._links, {}
            for link in known.values():
                self._follow(link.account)
            task_status.started()
            await anyio.sleep_forever()

    async def connect(self, account: Account, *, timeout: float) -> Manager:
        """Connect, and stay connected; see `ports.UserManagers`.

        Fails at once if the manager is down, and at the deadline if it is up or starting.
        """
        await self.replace(account)
        return await (self._links.get(account.name) or self._follow(account)).wait_until_up(timeout)

    async def replace(self, account: Account) -> None:
        """End the link of a former account of this name; see `ports.UserManagers`."""
        link = self._links.get(account.name)
        if link is not None and link.account.uid != account.uid:
            del self._links[account.name]
            await link.end()

    def _follow(self, account: Account) -> ManagerLink:
        assert self._tasks is not None, "run() has to be running"
        link = ManagerLink(
            self._emit,
            self._facts,
            self._inotify,
            account,
            self._address.format(uid=account.uid),
            as_user=self._as_user,
        )
        link.table.watch(self._units(account.name))
        self._links[account.name] = link
        self._tasks.start_soon(self._keep, link)
        return link

    async def _keep(self, link: ManagerLink) -> None:
        while not link.ended:
            await isolated(f"user manager of {link.account.name}", link.run, link.on_failed)

    def watch(self, user: str, units: frozenset[str]) -> None:
        """Set the units whose full `UnitState` is kept. The new ones are read soon."""
        self._watched[user] = units
        self._apply(user)

    def watch_also(self, user: str, units: frozenset[str]) -> None:
        """Set further units, for another source."""
        self._also[user] = units
        self._apply(user)

    def manager(self, user: str) -> SystemdManager | None:
        """Return the manager of a user if it can be used now."""
        link = self._links.get(user)
        return link.feed.manager if link is not None and link.feed is not None else None

    def _units(self, user: str) -> frozenset[str]:
        return self._watched.get(user, frozenset()) | self._also.get(user, frozenset())

    def _apply(self, user: str) -> None:
        link = self._links.get(user)
        if link is not None:
            link.watch(self._units(user))

    async def refresh(self, user: str) -> None:
        """Read all watched units of a connected user again."""
        link = self._links.get(user)
        if link is not None and link.feed is not None:
            await link.feed.refresh()

    async def reread(self) -> None:
        """Read all watched units of all connected users again. A manager that does not answer delays no other."""
        links = [link for link in self._links.values() if link.feed is not None]
        await resync({f"the units of {link.account.name}": link.feed.reread for link in links if link.feed})

    async def read(self, user: str, unit: str) -> None:
        """Read one watched unit of a connected user again."""
        link = self._links.get(user)
        if link is not None and link.feed is not None:
            await link.feed.read(unit)

    async def reconnect(self, user: str) -> None:
        """Replace a connection that does not answer. The new one is up once its first call is answered."""
        link = self._links.get(user)
        if link is not None:
            await link.reconnect()

    async def report_violation(self, user: str, error: EventdError) -> None:
        """End a connection whose manager sent something that another source could not parse."""
        link = self._links.get(user)
        if link is not None:
            await link.report_violation(error)

    async def disconnect(self, user: str) -> None:
        """Close the connection; remove the user's facts and watched units."""
        self._watched.pop(user, None)
        self._also.pop(user, None)
        link = self._links.pop(user, None)
        if link is not None:
            await link.end()
