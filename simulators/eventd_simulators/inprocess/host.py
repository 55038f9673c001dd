"""The simulated host as eventd's runtime gets it, and the world around it, which outlives the daemon.

    world = World(asyncio.get_running_loop(), faults=stormy(seed))
    world.model.boot()
    host = SimHost(world, emit)      # one process of the daemon
    await host.start()               # sources: subscribe, read
    ...host.ports...                 # eventd.port_set.Host

After `host.kill()` (or `faults.crash_at`) make another SimHost on the same world: that is the restarted
daemon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventd.kernel.model.events import Emit, KernelOrigin
from eventd.kernel.model.source_state import SourceState
from eventd.platform.resync import resync
from eventd.port_set import Host
from eventd.repository.model_events import RepositoryEvent, RepositoryOrigin
from eventd_simulators.faults import Faults
from eventd_simulators.git_remote import GitRemote
from eventd_simulators.inprocess.account_inspector import SimAccountInspector
from eventd_simulators.inprocess.feed import Feed
from eventd_simulators.inprocess.files import SimFiles, SimFileWatch
from eventd_simulators.inprocess.images import Registry, SimImages
from eventd_simulators.inprocess.life import Channel, Life
from eventd_simulators.inprocess.logins import SimAccounts, SimLogins
from eventd_simulators.inprocess.managers import SimManager, SimUserManagers
from eventd_simulators.inprocess.removal import SimAccountRemoval
from eventd_simulators.inprocess.repository import (
    Clone,
    SimGenerator,
    SimPortOwners,
    SimRepository,
    SimUnitLog,
)
from eventd_simulators.inprocess.store import Disk, SimLock, SimStore
from eventd_simulators.model.files import MemoryTree
from eventd_simulators.model.host import HostModel
from eventd_simulators.model.signals import Hub

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from eventd.adoption.model_finds import Finds
    from eventd_simulators.model.behaviours import Behaviours
    from eventd_simulators.model.signals import Clock


class World:
    """What exists whether or not the daemon runs: the machine, its disk, the remote."""

    def __init__(
        self,
        clock: Clock,
        *,
        faults: Faults | None = None,
        behaviours: Behaviours | None = None,
        online: bool = True,
    ) -> None:
        self.clock = clock
        self.faults = faults or Faults()
        hub = Hub()
        self.tree = MemoryTree(hub)
        self.model = HostModel(clock, hub=hub, tree=self.tree, behaviours=behaviours, online=online)
        self.model.slow_manager = self._slow_manager
        self.remote = GitRemote()
        self.clone = Clone()
        self.disk = Disk()
        self.registry = Registry()
        self.finds: dict[str, Finds] = {}
        """What an account has of its own, by name."""
        self.homes: dict[str, int] = {}
        """Homes with content: user -> how often something was written."""

    def _slow_manager(self) -> float:
        return self.faults.slow_manager if self.faults.hits(self.faults.slow_managers) else 0.0


class SimHost:
    """The ports for one process of the daemon."""

    def __init__(self, world: World, emit: Emit) -> None:
        model = world.model
        self.world = world
        self.away: set[str] = set()
        """Sources that are unavailable when the daemon starts."""
        self.sources: dict[str, Callable[[], Awaitable[None]]] = {}
        """Further sources to read again, by name."""
        self.life = life = Life(emit, world.faults, world.clock)
        self.accounts = SimAccounts(life, model)
        self.removal = SimAccountRemoval(life, world)
        self.logins = SimLogins(life, model)
        self._system_feed = Feed(life, model.hub, "", lambda: model.system, frozenset())
        self.system = SimManager(life, model, "", lambda: self._system_feed)
        self.user_managers = SimUserManagers(life, model)
        self.files = SimFiles(life, world.tree)
        self.file_watch = SimFileWatch(life, world.tree, model.hub)
        self.repository = SimRepository(life, world.remote, world.clone)
        self.unit_log = SimUnitLog(life, model)
        self.generator = SimGenerator(life)
        self.store = SimStore(life, world.disk)
        self.lock = SimLock(life, world.disk)
        self.images = SimImages(life, model, world.registry)
        self.account_inspector = SimAccountInspector(life, world.finds)

    @property
    def ports(self) -> Host:
        """As the runtime takes them."""
        return Host(
            accounts=self.accounts,
            removal=self.removal,
            logins=self.logins,
            system=self.system,
            user_managers=self.user_managers,
            files=self.files,
            file_watch=self.file_watch,
            repository=self.repository,
            unit_log=self.unit_log,
            port_owners=SimPortOwners(),
            generator=self.generator,
            lock=self.lock,
            images=self.images,
            account_inspector=self.account_inspector,
        )

    async def start(self) -> None:
        """Let the sources read everything; returns when all facts are there."""
        model = self.world.model
        managers = [f"user@{account.uid}.service" for account in model.accounts if account.uid]
        self._system_feed.watched = frozenset({"network-online.target", *managers})
        self._system_feed.read_all()
        self.logins.read_all()
        for account in model.accounts:
            if account.uid:
                self.user_managers.emit_state(account.name)
        await self._system_feed.channel.flush()
        await self.logins.channel.flush()
        for name in ("systemd", "logind"):
            if name not in self.away:
                SourceState(self.life.emit, KernelOrigin.DAEMON, name).current()

    async def reread(self) -> None:
        """Make every source read the host again, for a requested run."""

        async def read_and_flush(read: Callable[[], None], channel: Channel) -> None:
            await self.life.read(read)
            await channel.flush()

        await resync(
            {
                "systemd's units": lambda: read_and_flush(
                    self._system_feed.reread, self._system_feed.channel
                ),
                "users' units": self.user_managers.reread,
                "logind": lambda: read_and_flush(self.logins.reread, self.logins.channel),
                "eventd's files": lambda: self.life.read(self.file_watch.reread),
                "the accounts": lambda: self.life.read(self.accounts.read_all),
                **self.sources,
            }
        )

    def pushed(self, repository: str = "repository") -> None:
        """Emit a push, as the webhook listener would."""
        self.life.emit(RepositoryOrigin.WEBHOOK, RepositoryEvent.PUSHED, repository)

    def kill(self) -> None:
        """Kill the daemon now."""
        self.life.kill()
