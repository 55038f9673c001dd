"""The composition root: settings become adapters, sources and an engine. The only module that knows them all.

The simulated host on the wire uses this too, with other accounts, so that the rest of the daemon is the real one.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio.to_thread
from anyio.abc import TaskGroup, TaskStatus

from eventd.adapters import login_defs
from eventd.adapters.account_removal import NoAccountRemoval, SystemAccountRemoval
from eventd.adapters.account_signs import SystemAccountSigns
from eventd.adapters.accounts import SystemAccounts
from eventd.adapters.boot_file import BootFile, boot_id
from eventd.adapters.disk_usage import measure
from eventd.adapters.files import OwnedFiles, everybody, primary_group
from eventd.adapters.git import GitOptions, GitRepository
from eventd.adapters.git_command import Credentials
from eventd.adapters.git_remote import Transport
from eventd.adapters.host_lock import HostLock
from eventd.adapters.inotify import Inotify
from eventd.adapters.journal_follow import JournalFollow
from eventd.adapters.live_graph import LiveGraphReader
from eventd.adapters.mount_points import HelperMountPoints
from eventd.adapters.podman import PodmanImages
from eventd.adapters.prober import ProberProcess
from eventd.adapters.process import Identity
from eventd.adapters.quadlet_generator import HostQuadletGenerator
from eventd.adapters.ssh_signatures import SshSignatures
from eventd.adapters.state import StateStore
from eventd.adapters.state_file import open_store
from eventd.adapters.transient_mounts import TransientMounts
from eventd.adapters.unit_log import Journal
from eventd.adapters.volume_moves import UnitMoves
from eventd.api.storage_document import Storage
from eventd.core.assemble import Cache, HostRules, assemble
from eventd.core.desired import Desired, Located, OnFailure, Tree, WorkloadOptions
from eventd.core.errors import EventdError, PermanentError
from eventd.core.events import Emit, EventKind
from eventd.core.layout import Layout
from eventd.core.ports import Accounts, AccountSigns
from eventd.core.verdicts import Policy
from eventd.runtime.approval_rules import Rules as ApprovalRules
from eventd.runtime.approval_rules import no_machine_id
from eventd.runtime.bootlog import BootLog
from eventd.runtime.dispatch import Dispatcher
from eventd.runtime.engine import Engine, Parts
from eventd.runtime.host import Host
from eventd.runtime.storage.keeper import VolumeKeeper
from eventd.runtime.storage.memory import StorageMemory
from eventd.runtime.storage.sizes import Sizes
from eventd.runtime.supervise import supervise
from eventd.settings import Settings
from eventd.sources.accounts import AccountSource
from eventd.sources.devices import DevicesSource
from eventd.sources.health import ContainerHealthSource
from eventd.sources.kernel_errors import KernelErrorsSource
from eventd.sources.logind import LogindSource
from eventd.sources.manager_doctor import ManagerDoctor
from eventd.sources.mounts import MountsSource
from eventd.sources.needs import Needs
from eventd.sources.owned_files import OwnedFilesSource
from eventd.sources.path_triggers import PathTriggers, branch_paths
from eventd.sources.probes import ProbesSource
from eventd.sources.provenance import ProvenanceSource
from eventd.sources.systemd import SystemSource
from eventd.sources.user_managers import UserManagersSource
from eventd.sources.watched_files import WatchedFiles
from eventd_handlers import HANDLERS
from eventd_handlers.migration import MigrationHandlers
from eventd_handlers.storage import StorageHandlers
from eventd_policies.deleting import deleting
from eventd_policies.gates import gates
from eventd_policies.ownership import Ownership
from eventd_policies.placement import placement
from eventd_policies.protected import Rules, protected
from eventd_policies.renames import renames
from eventd_policies.reversibility import reversibility
from eventd_policies.suspended import suspended

MACHINE_ID = 32
"""Characters of machine-id(5)."""
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
"""Variables of the daemon's environment that git gets (gitfaq(7)); nothing else passes."""


@dataclass(slots=True)
class Sources:
    """Everything that has a `run` and feeds the dispatcher."""

    inotify: Inotify
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
    health: ContainerHealthSource
    probes: ProbesSource
    provenance: ProvenanceSource | None

    async def start(self, group: TaskGroup, emit: Emit, troubles: MutableMapping[str, EventdError]) -> None:
        """Start them in an order in which each finds what it stands on; return when the first reads are done.

        One that fails is started again. Not so inotify itself, which the others stand on: its end is the daemon's,
        and the next one reads everything.
        """
        group.start_soon(self.inotify.run)
        for name, run in (
            ("files", self.owned_files.run),
            ("triggers", self.triggers.run),
            ("accounts", self.accounts.run),
        ):
            group.start_soon(supervise, name, _silent(run), emit, troubles)
        for name, source in (
            ("systemd", self.system),
            ("user-managers", self.user_managers),
            ("logind", self.logind),
            ("mounts", self.mounts),
            ("kernel-errors", self.kernel_errors),
            ("devices", self.devices),
            ("gate-files", self.files),
            ("container-health", self.health),
            ("probes", self.probes),
            *((("provenance", self.provenance),) if self.provenance is not None else ()),
        ):
            await group.start(supervise, name, _telling(source.run), emit, troubles)


class _Run(Protocol):
    async def __call__(self, *, task_status: TaskStatus[None]) -> None: ...


def _silent(run: Callable[[], Awaitable[None]]) -> Callable[[TaskStatus[None]], Awaitable[None]]:
    return lambda _status: run()


def _telling(run: _Run) -> Callable[[TaskStatus[None]], Awaitable[None]]:
    return lambda status: run(task_status=status)


@dataclass(slots=True)
class Composition:
    """The parts that the daemon runs."""

    settings: Settings
    dispatcher: Dispatcher
    sources: Sources
    engine: Engine
    repository: GitRepository
    rules: list[HostRules]
    """One element: the rules in force, replaced by a reload."""
    boot: BootLog
    store: StateStore
    storage: Storage
    signs: AccountSigns | None
    """None: the accounts are not this system's."""

    def reconfigure(self, settings: Settings) -> None:
        """Apply the tables of a new configuration that need no restart."""
        rules, policies = rules_of(settings), policies_of(settings)  # all or nothing
        self.rules[0] = rules
        self.engine.reconciler.converger.policies = policies
        self.engine.reconciler.runs.concurrency = settings.host.concurrency
        self.engine.reconciler.allow(settings.provenance.allow)


def layout_of(settings: Settings) -> Layout:
    """Return where files stand under these settings."""
    return Layout(settings.paths.quadlets, settings.paths.units, settings.paths.stacks)


def rules_of(settings: Settings) -> HostRules:
    """Return the host's rules for assembling the desired state; reads the transforms folder."""
    defaults = settings.defaults
    return HostRules(
        hostname=settings.host.name,
        transforms=_transforms(Path(settings.paths.transforms)),
        transformless=settings.host.transformless,
        protected=settings.host.protected,
        transforms_folder=settings.paths.transforms,
        stacks_folder=settings.paths.stacks,
        compose_provider=settings.compose.provider,
        default_requires=tuple(Located(text, "eventd.toml", 0) for text in settings.host.requires),
        options=WorkloadOptions(
            deadline=defaults.deadline,
            grace=defaults.grace,
            on_failure=OnFailure(defaults.on_failure),
            update_schedule=settings.update.schedule or None,
        ),
        update_spread=f"{settings.update.spread:g}s",
    )


def _transforms(folder: Path) -> Mapping[str, bytes]:
    """Return `<folder>/<name>.container` by file name."""
    try:
        if not folder.is_dir():
            return {}
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*.container")) if path.is_file()}
    except OSError as error:
        raise PermanentError(
            f"cannot read the transform {error.filename}: {error.strerror}", reason="bad-configuration"
        ) from error


def protection_of(settings: Settings) -> Rules:
    """Return which accounts are never touched."""
    root = os.geteuid() == 0
    return Rules(
        settings.host.protected,
        uid_min=login_defs.uid_min(Path("/etc")) if root else 0,
        uid_max=login_defs.uid_max(Path("/etc")) if root else 2**32 - 2,
    )


def policies_of(settings: Settings) -> tuple[Policy, ...]:
    """Return the policies in the order in which they are asked."""
    return (
        suspended,
        renames,
        deleting,
        protected(protection_of(settings)),
        Ownership(layout_of(settings)),
        placement,
        gates,
        reversibility,
    )


def make_folders(settings: Settings) -> None:
    """Make the folders of the state and the locks. Raises PermanentError(reason="bad-configuration")."""
    for path, mode in ((settings.paths.state, 0o700), (settings.paths.runtime, 0o755)):
        try:
            Path(path).mkdir(parents=True, exist_ok=True, mode=mode)
        except OSError as error:
            raise PermanentError(
                f"cannot make {path}: {error.strerror}", reason="bad-configuration", hint="see [paths]"
            ) from error


def compose(settings: Settings, *, accounts: Accounts | None = None, etc: str = "/etc") -> Composition:
    """Build everything; opens the state file, connects to nothing.

    `accounts` and `etc` (where their databases are): instead of this system's. The buses of such accounts are
    taken to be the caller's own.
    """
    paths = settings.paths
    make_folders(settings)
    dispatcher = Dispatcher()
    inotify = Inotify()
    layout = layout_of(settings)
    is_root = os.geteuid() == 0
    owner = (0, 0) if is_root else None
    group = primary_group if is_root and accounts is None else everybody
    repository = GitRepository(_git_options(settings))
    system = SystemSource(dispatcher.emit, address=settings.dbus.system)
    user_managers = UserManagersSource(
        dispatcher.emit, dispatcher.facts, inotify, address=settings.dbus.user, as_user=accounts is None
    )
    logind = LogindSource(dispatcher.emit, inotify, address=settings.dbus.system, linger_folder=paths.linger)
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
    system_accounts = SystemAccounts()
    mine = accounts or system_accounts
    signs = SystemAccountSigns(etc=etc) if accounts is None else None
    accounts_source = AccountSource(inotify, dispatcher.emit, mine, etc=etc)
    store = open_store(f"{paths.state}/state.db")
    host = Host(
        accounts=mine,
        removal=NoAccountRemoval() if accounts else SystemAccountRemoval(system_accounts.writing, etc=etc),
        logins=logind,
        system=system,
        user_managers=user_managers,
        files=OwnedFiles(layout.roots, owner=owner, group=group),
        file_watch=owned_files,
        repository=repository,
        unit_log=Journal(),
        generator=HostQuadletGenerator(generator=paths.generator, identity=_git_identity(settings)),
        store=store,
        lock=HostLock(f"{paths.runtime}/lock"),
        images=PodmanImages(),
    )

    cache: Cache = {}

    async def assembled(tree: Tree) -> Desired:
        return await anyio.to_thread.run_sync(assemble, tree, rules[0], cache)

    rules = [rules_of(settings)]
    files = WatchedFiles(inotify, dispatcher.emit, owned=layout.roots)
    health = ContainerHealthSource(dispatcher.emit, JournalFollow())
    probes = ProbesSource(dispatcher.emit, ProberProcess(_git_identity(settings)))
    needs = Needs(dispatcher.facts, system, files, health, probes)
    volumes = VolumeKeeper(StorageMemory(host.store, dispatcher.emit), dispatcher.emit)
    mounts = MountsSource(dispatcher.emit, changed=files.look_again)
    kernel_errors = KernelErrorsSource(JournalFollow(), mounts.look)
    volumes.in_use, volumes.suspect = kernel_errors.want, mounts.look
    points = HelperMountPoints(system, f"{paths.runtime}/volume")
    storage_handlers = StorageHandlers(volumes, TransientMounts(system, f"{paths.runtime}/volume"), points)
    moves = UnitMoves(system, points.order, f"{paths.runtime}/volume")
    migration_handlers = MigrationHandlers(volumes, storage_handlers.mounts, moves)
    engine = Engine(
        host,
        dispatcher,
        Parts(
            layout=layout,
            owner_uid=os.geteuid(),
            handlers={**HANDLERS, **storage_handlers.table(), **migration_handlers.table()},
            policies=policies_of(settings),
            assemble=assembled,
            concurrency=settings.host.concurrency,
            poll=settings.repository.poll,
            approvals=_approval_rules(settings),
            track=accounts_source.known,
            live_graph=LiveGraphReader(dispatcher.facts, system.live_unit).read,
            need=needs.need,
            probe=needs.probe,
            audit=provenance.want if provenance is not None else None,
            diagnose=ManagerDoctor(dispatcher.facts, system, user_managers).diagnose
            if accounts is None
            else None,
            look=provenance.look if provenance is not None else None,
            allow=settings.provenance.allow,
            keepers=(volumes,),
        ),
    )
    sources = Sources(
        inotify,
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
        health,
        probes,
        provenance,
    )
    boot = BootLog(
        engine.reconciler, system, BootFile(f"{paths.runtime}/boot.json", boot_id()), settings.host.name
    )
    storage = Storage(volumes, Sizes(measure))
    return Composition(settings, dispatcher, sources, engine, repository, rules, boot, store, storage, signs)


async def add_triggers(
    triggers: PathTriggers, settings: Settings, config: str, repository: GitRepository
) -> None:
    """Watch the configuration, the transforms, and the branch of a repository on this host."""
    await triggers.add(config, EventKind.CONFIG_CHANGED)
    await triggers.add(settings.paths.transforms, EventKind.CONFIG_CHANGED)
    if repository.remote.transport is Transport.FILE:
        for path in branch_paths(repository.remote.path, settings.repository.branch):
            await triggers.add(path, EventKind.PUSHED, subject=repository.remote.url)


def _git_identity(settings: Settings) -> Identity | None:
    """Return the unprivileged account for what parses foreign bytes; None where eventd itself is no root."""
    if not settings.git_account or os.geteuid() != 0:
        return None
    try:
        row = pwd.getpwnam(settings.git_account)
    except KeyError:
        raise PermanentError(
            f"there is no account {settings.git_account}",
            reason="no-git-account",
            hint="systemd-sysusers makes it from /usr/lib/sysusers.d/eventd.conf",
        ) from None
    groups = os.getgrouplist(row.pw_name, row.pw_gid)
    return Identity(row.pw_uid, row.pw_gid, tuple(groups))


def _approval_rules(settings: Settings) -> ApprovalRules:
    """Return who may approve what on this host."""
    wanted, machine = settings.approvals, _machine_id()
    verify = SshSignatures(
        wanted.allowed_signers,
        revoked=wanted.revoked_keys,
        account=_git_identity(settings),
        runtime=settings.paths.runtime,
        owner=os.geteuid(),
    )
    return ApprovalRules(
        host=machine or "unknown",
        hostname=settings.host.name,
        lifetime=wanted.lifetime,
        verify=verify if machine else no_machine_id,
    )


def _machine_id() -> str:
    """Return machine-id(5), or an empty text: a container need not have one."""
    try:
        found = Path("/etc/machine-id").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return found if len(found) == MACHINE_ID else ""


def _git_options(settings: Settings) -> GitOptions:
    wanted = settings.repository
    return GitOptions(
        path=settings.paths.git,
        url=wanted.url,
        branch=wanted.branch,
        account=_git_identity(settings),
        runtime=settings.paths.runtime,
        credentials=Credentials.load(os.environ.get("CREDENTIALS_DIRECTORY")),
        require_signed=wanted.require_signed,
        allowed_signers=wanted.allowed_signers if wanted.require_signed else None,
        refuse_rewrites=wanted.refuse_rewrites,
        fetch_timeout=wanted.timeout,
        allow_http=wanted.allow_http,
        environment={name: os.environ[name] for name in PROXIES if name in os.environ},
    )
