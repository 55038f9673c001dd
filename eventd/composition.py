"""The composition root: settings become adapters, sources and an engine. The only module that knows them all.

The simulated host on the wire uses this too, with other accounts, so that the rest of the daemon is the real one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import anyio.to_thread
from anyio.abc import TaskGroup, TaskStatus

from eventd import domains
from eventd.accounts.adapter import SystemAccounts
from eventd.accounts.adapter_removal import NoAccountRemoval, SystemAccountRemoval
from eventd.accounts.adapter_signs import SystemAccountSigns
from eventd.accounts.adapter_used_ids import UsedIds
from eventd.accounts.ports import AccountRemoval, Accounts, AccountSigns
from eventd.accounts.source import AccountSource
from eventd.adoption.adapter_account import NoAccountInspector, SystemAccountInspector
from eventd.audit.settings import Provenance
from eventd.audit.source import ProvenanceSource
from eventd.boot.adapter_file import BootFile, boot_id
from eventd.boot.controller import BootLog
from eventd.compose.settings import Compose
from eventd.configured import (
    approval_rules,
    check_identity,
    git_options,
    layout_of,
    make_folders,
    rules_of,
)
from eventd.desired.controller_interests import Wants
from eventd.desired.model import Desired, Tree
from eventd.desired.model_assembly import Cache, HostRules, assemble
from eventd.engine import Engine, Parts
from eventd.files.adapter import OwnedFiles, everybody, primary_group
from eventd.files.adapter_named import Digester
from eventd.files.source_named import NamedFiles
from eventd.files.source_owned import OwnedFilesSource
from eventd.files.source_watched import WatchedFiles
from eventd.gates.adapter_prober import ProberProcess, starter
from eventd.gates.source_needs import Needs
from eventd.gates.source_probes import ProbesSource
from eventd.health.source import ContainerHealthSource
from eventd.health.source_podman_table import PodmanTable
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.domain import Context, Domains, Source
from eventd.kernel.domain import Host as PolicyHost
from eventd.kernel.model.events import Emit, KernelEvent
from eventd.kernel.model.facts import Facts
from eventd.kernel.supervise import settled, supervise
from eventd.managers.source import UserManagersSource
from eventd.managers.source_doctor import ManagerDoctor
from eventd.mounts.adapter_transient_mounts import TransientMounts
from eventd.mounts.source import MountsSource
from eventd.mounts.source_devices import DevicesSource
from eventd.mounts.source_kernel_errors import KernelErrorsSource
from eventd.platform.host_key import host_key
from eventd.platform.host_lock import HostLock
from eventd.platform.inotify import Inotify
from eventd.platform.journal_follow import JournalFollow
from eventd.platform.processes.unit_process import Processes
from eventd.platform.resync import resync
from eventd.platform.sock_diag import OpenPorts
from eventd.platform.systemd.source import SystemSource
from eventd.platform.systemd.source_logind import LOGIND_UNIT, LogindSource
from eventd.platform.unit_log import Journal
from eventd.port_set import Host
from eventd.repository.adapter_git import GitRepository
from eventd.repository.model_events import RepositoryEvent
from eventd.repository.source_triggers import PathTriggers
from eventd.settings import Settings
from eventd.state.adapter import StateStore
from eventd.state.adapter_file import open_store
from eventd.state.controller_inventory import Inventory
from eventd.storage.adapter_disk_usage import DiskUsage
from eventd.storage.adapter_mount_points import HelperMountPoints
from eventd.storage.adapter_volume_moves import UnitMoves
from eventd.storage.controller import VolumeController
from eventd.storage.controller_memory import StorageMemory
from eventd.storage.controller_sizes import Sizes
from eventd.storage.documents import Storage
from eventd.storage.model_file import PLACES, in_places
from eventd.storage.settings import StorageTable
from eventd.unitfiles.adapter_quadlet_generator import HostQuadletGenerator
from eventd.updates.adapter_podman import PodmanImages
from eventd.updates.source_image_store import ImageStoreSource
from eventd.waits.adapter_live_graph import LiveGraphReader
from eventd_handlers.storage import StorageHandlers
from eventd_handlers.storage_migration import MigrationHandlers
from eventd_handlers.storage_unmounting import Unmounting


@dataclass(slots=True)
class Sources:
    """Everything that has a `run` and feeds the dispatcher."""

    inotify: Inotify
    guarded: Inotify
    """For places that others than root may write."""
    system: SystemSource
    user_managers: UserManagersSource
    logind: LogindSource
    owned_files: OwnedFilesSource
    accounts: AccountSource
    triggers: PathTriggers
    mounts: MountsSource
    kernel_errors: KernelErrorsSource
    devices: DevicesSource
    files: WatchedFiles
    named: NamedFiles
    health: ContainerHealthSource
    probes: ProbesSource
    images: ImageStoreSource
    provenance: ProvenanceSource | None
    more: tuple[Source, ...]
    """Those that domains build."""

    async def start(self, group: TaskGroup, emit: Emit, facts: Facts) -> None:
        """Start all; return when systemd's units have been read, and the rest has, or is known not to come.

        Without systemd's units nothing can be decided. All else has `SETTLE` seconds, and is then said to be missing:
        what comes later wakes what was held for it. One that fails is started again. Not so inotify itself, which the
        others stand on: its end is the daemon's, and the next one reads everything.
        """
        group.start_soon(self.inotify.run)
        group.start_soon(self.guarded.run)
        for name, run in (
            ("files", self.owned_files.run),
            ("triggers", self.triggers.run),
            ("accounts", self.accounts.run),
        ):
            group.start_soon(supervise, name, _telling(run), emit)
        telling = (
            ("systemd", self.system),
            ("user-managers", self.user_managers),
            ("logind", self.logind),
            ("mounts", self.mounts),
            ("kernel-errors", self.kernel_errors),
            ("devices", self.devices),
            ("gate-files", self.files),
            ("named-files", self.named),
            ("container-health", self.health),
            ("probes", self.probes),
            ("image-stores", self.images),
            *((("provenance", self.provenance),) if self.provenance is not None else ()),
        )
        for name, each in telling:
            group.start_soon(supervise, name, _telling(each.run), emit, getattr(each, "state", None))
        for more in self.more:
            group.start_soon(supervise, more.name, _telling(more.run), emit, more.state)
        await settled(facts, emit, [*(name for name, _ in telling), *(more.name for more in self.more)])

    async def reread(self) -> None:
        """Have everything read once more that signals keep current: nobody can say that none was ever lost.

        Returns when that is done, or has taken too long. Files that are not eventd's own, homes and podman's stores may
        be slow and are a workload's: they are looked at again without being waited for.
        """
        for each in (self.files, self.named, self.triggers, self.health, self.images, self.provenance):
            if each is not None:
                each.invalidate()
        await resync(
            {
                "systemd's units": self.system.reread,
                "users' units": self.user_managers.reread,
                "logind": self.logind.reread,
                "eventd's files": self.owned_files.reread,
                "the accounts": self.accounts.reread,
                "the mounts": self.mounts.reread,
                "the devices": self.devices.reread,
                **{more.name: more.reread for more in self.more if more.reread is not None},
            }
        )


class _Run(Protocol):
    async def __call__(self, *, task_status: TaskStatus[None]) -> None: ...


def _telling(run: _Run) -> Callable[[TaskStatus[None]], Awaitable[None]]:
    return lambda status: run(task_status=status)


@dataclass(slots=True)
class Assembler:
    """Makes the desired state of a commit by the rules in force, in a thread of its own."""

    rules: HostRules
    _cache: Cache = field(default_factory=dict)

    async def assemble(self, tree: Tree) -> Desired:
        """Read a commit's files. Raises EventdError."""
        return await anyio.to_thread.run_sync(assemble, tree, self.rules, self._cache)

    def reload(self, rules: HostRules) -> None:
        """Go by other rules from now on."""
        self.rules = rules


@dataclass(slots=True)
class Composition:
    """The parts that the daemon runs."""

    settings: Settings
    dispatcher: Dispatcher
    sources: Sources
    engine: Engine
    repository: GitRepository
    assembler: Assembler
    boot: BootLog
    store: StateStore
    storage: Storage
    signs: AccountSigns | None
    """None: the accounts are not this system's."""
    domains: Domains

    def reconfigure(self, settings: Settings) -> None:
        """Apply the tables of a new configuration that need no restart."""
        rules, policies = (
            rules_of(settings),
            self.domains.policies(_host(settings, self.domains)),
        )  # all or nothing
        self.assembler.reload(rules)
        self.engine.commands.reload(
            policies, concurrency=settings.host.concurrency, allow=settings.table(Provenance).allow
        )


def compose(
    settings: Settings,
    *,
    accounts: Accounts | None = None,
    etc: str = "/etc",
    names: Iterable[str] = domains.NAMES,
) -> Composition:
    """Build everything; opens the state file, connects to nothing.

    `accounts` and `etc` (where their databases are): instead of this system's. The buses of such accounts are
    taken to be the caller's own. `names`: the domains that there are.
    """
    paths, known = settings.paths, domains.load(names)
    make_folders(settings)
    dispatcher = Dispatcher()
    inotify, guarded = Inotify(), Inotify(guarded=True)
    layout = layout_of(settings)
    is_root = os.geteuid() == 0
    owner = (0, 0) if is_root else None
    group = primary_group if is_root and accounts is None else everybody
    system = SystemSource(dispatcher.emit, address=settings.dbus.system, watch=frozenset({LOGIND_UNIT.name}))
    user_managers = UserManagersSource(
        dispatcher.emit, dispatcher.facts, guarded, address=settings.dbus.user, as_user=accounts is None
    )
    logind = LogindSource(
        dispatcher.emit,
        inotify,
        address=settings.dbus.system,
        linger_folder=paths.linger,
        facts=dispatcher.facts,
    )
    # The homes of a simulated host's accounts are not where its managers say.
    provenance = (
        ProvenanceSource(dispatcher.emit, dispatcher.facts, user_managers, inotify, paths.quadlets)
        if accounts is None
        else None
    )

    def touched(path: str) -> None:
        uid = layout.uid_of(path)
        if uid is not None and provenance is not None:
            provenance.touched(uid)

    owned_files = OwnedFilesSource(inotify, dispatcher.emit, touched=touched)
    processes = Processes(system=settings.dbus.system, user=settings.dbus.user)
    repository = GitRepository(git_options(settings), processes)
    system_accounts = SystemAccounts(processes=processes, used=UsedIds(f"{paths.state}/ids"))
    mine = accounts or system_accounts
    signs = SystemAccountSigns(etc=etc, processes=processes) if accounts is None else None
    accounts_source = AccountSource(inotify, dispatcher.emit, mine, etc=etc)
    store = open_store(f"{paths.state}/state.db")
    inventory = Inventory(store)
    points = HelperMountPoints(system, f"{paths.runtime}/volume")
    removal: AccountRemoval = NoAccountRemoval()
    if accounts is None:
        removal = SystemAccountRemoval(
            system_accounts.writing,
            etc=etc,
            processes=processes,
            note=system_accounts.note,
            sweeper=points.sweep,
        )
    host = Host(
        accounts=mine,
        removal=removal,
        logins=logind,
        system=system,
        user_managers=user_managers,
        files=OwnedFiles(layout.roots, owner=owner, group=group),
        file_watch=owned_files,
        repository=repository,
        unit_log=Journal(),
        port_owners=OpenPorts(),
        generator=HostQuadletGenerator(generator=paths.generator, identity=check_identity(settings)),
        lock=HostLock(f"{paths.runtime}/lock"),
        images=PodmanImages(processes),
        account_inspector=SystemAccountInspector(processes) if accounts is None else NoAccountInspector(),
    )

    assembler = Assembler(rules_of(settings))
    files = WatchedFiles(guarded, dispatcher.emit, owned=layout.roots)
    images = ImageStoreSource(dispatcher.emit, dispatcher.facts, host.images)
    containers = PodmanTable(images.happened)
    health = ContainerHealthSource(dispatcher.emit, JournalFollow(), containers)
    probes = ProbesSource(dispatcher.emit, ProberProcess(starter(processes)))
    needs = Needs(dispatcher.facts, system, files, health, probes, images)
    places = (*PLACES, *settings.table(StorageTable).paths)
    named = NamedFiles(
        dispatcher.emit,
        dispatcher.facts,
        guarded,
        Digester(host_key(f"{paths.state}/files.key")),
        provenance.watch_also if provenance is not None else lambda _name, _paths: None,
    )
    if provenance is not None:
        provenance.subscribe(named.invalidate_owner)

    async def wanted(paths: Mapping[str, frozenset[str]]) -> None:
        await named.want({**paths, "": {settings.table(Compose).provider}})

    def mounted(points: Iterable[str] | None = None) -> None:
        files.invalidate(points)
        named.invalidate(points)

    mounts = MountsSource(dispatcher.emit, changed=mounted)
    kernel_errors = KernelErrorsSource(dispatcher.emit, JournalFollow(), mounts.refresh)
    volumes = VolumeController(
        StorageMemory(inventory.documents, dispatcher.emit),
        dispatcher.emit,
        allowed=lambda path: in_places(path, places),
        in_use=kernel_errors.want,
        suspect=mounts.refresh,
    )
    unmounting = Unmounting(volumes, TransientMounts(system, f"{paths.runtime}/volume"), points)
    moves = UnitMoves(system, points.order, f"{paths.runtime}/volume")
    storage_handlers = StorageHandlers(unmounting), MigrationHandlers(unmounting, moves)
    built = known.build(
        Context(settings=settings, emit=dispatcher.emit, facts=dispatcher.facts, ports=host, wall=time.time)
    )
    sources = Sources(
        inotify,
        guarded,
        system,
        user_managers,
        logind,
        owned_files,
        accounts_source,
        PathTriggers(inotify, dispatcher.emit),
        mounts,
        kernel_errors,
        DevicesSource(dispatcher.emit),
        files,
        named,
        health,
        probes,
        images,
        provenance,
        built.sources,
    )
    handlers = {**built.handlers, **storage_handlers[0].table(), **storage_handlers[1].table()}
    known.actions.check_whole(handlers)
    engine = Engine(
        host,
        inventory,
        dispatcher,
        Parts(
            layout=layout,
            owner_uid=os.geteuid(),
            handlers=handlers,
            policies=known.policies(_host(settings, known)),
            actions=known.actions,
            assemble=assembler.assemble,
            concurrency=settings.host.concurrency,
            poll=settings.repository.poll,
            approvals=approval_rules(settings),
            track=accounts_source.known,
            live_graph=LiveGraphReader(dispatcher.facts, system.live_unit).read,
            wants=Wants(
                need=needs.need,
                named=wanted if accounts is None else None,
                audit=provenance.want if provenance is not None else None,
            ),
            probe=needs.probe,
            containers=lambda account: containers.containers(account.uid),
            diagnose=ManagerDoctor(dispatcher.facts, system, user_managers).diagnose
            if accounts is None
            else None,
            look=provenance.refresh if provenance is not None else None,
            allow=settings.table(Provenance).allow,
            controllers=(volumes, *built.controllers),
            reread=sources.reread,
        ),
    )
    boot = BootLog(
        engine.queries, system, BootFile(f"{paths.runtime}/boot.json", boot_id()), settings.host.name
    )
    storage = Storage(volumes, Sizes(DiskUsage(processes).measure))
    return Composition(
        settings, dispatcher, sources, engine, repository, assembler, boot, store, storage, signs, known
    )


def _host(settings: Settings, known: Domains) -> PolicyHost:
    return PolicyHost(settings=settings, actions=known.actions, root=os.geteuid() == 0)


async def add_triggers(
    triggers: PathTriggers, settings: Settings, config: str, repository: GitRepository
) -> None:
    """Watch the configuration, the transforms, and the branch of a repository on this host."""
    await triggers.add(config, KernelEvent.CONFIG_CHANGED)
    await triggers.add(settings.paths.transforms, KernelEvent.CONFIG_CHANGED)
    for path in repository.watch_paths():
        await triggers.add(path, RepositoryEvent.PUSHED, subject=repository.remote.url)
