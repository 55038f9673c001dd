"""The composition root: settings and the domains become an engine and its sources.

The simulated host on the wire uses this too, with other accounts, so that the rest of the daemon is the real one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import anyio.to_thread

from eventd import domains
from eventd.accounts.ports import AccountRemoval, Accounts
from eventd.accounts.source import AccountSource
from eventd.adoption.ports import AccountInspector
from eventd.audit.settings import Provenance
from eventd.audit.source import ProvenanceSource
from eventd.boot.adapter_file import BootFile, boot_id
from eventd.boot.controller import BootLog
from eventd.compose.settings import Compose
from eventd.configured import (
    approval_rules,
    layout_of,
    make_folders,
    own_accounts,
    rules_of,
)
from eventd.desired.controller_interests import Wants
from eventd.desired.model import Desired, Tree
from eventd.desired.model_assembly import Cache, HostRules, assemble
from eventd.engine import Engine, Parts
from eventd.files.ports import Files, FileWatch
from eventd.files.source_named import NamedFiles
from eventd.gates.source_needs import Needs
from eventd.health.source_podman_table import PodmanTable
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.domain import Built, Context, Domains
from eventd.kernel.domain import Host as PolicyHost
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.ports import HostLock
from eventd.managers.source_doctor import ManagerDoctor
from eventd.platform.ports import UnitLog
from eventd.platform.service_accounts import ServiceAccounts
from eventd.platform.systemd.ports import Logins, Manager, UserManagers
from eventd.platform.systemd.source import SystemSource
from eventd.port_set import Host
from eventd.repository.adapter_git import GitRepository
from eventd.repository.model_events import RepositoryEvent
from eventd.repository.ports import Repository
from eventd.repository.source_triggers import PathTriggers
from eventd.settings import Settings
from eventd.sources import Sources
from eventd.state.adapter import StateStore
from eventd.state.adapter_file import open_store
from eventd.state.controller_inventory import Inventory
from eventd.unitfiles.ports import QuadletGenerator
from eventd.updates.ports import Images
from eventd.waits.adapter_live_graph import LiveGraphReader
from eventd.workloads.ports import PortOwners


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
    context: Context
    """What the domains share."""
    assembler: Assembler
    boot: BootLog
    store: StateStore
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
    own: ServiceAccounts | None = None,
) -> Composition:
    """Build everything; opens the state file, connects to nothing.

    `accounts` and `etc` (where their databases are): instead of this system's. The buses of such accounts are
    taken to be the caller's own. `names`: the domains that there are. `own`: eventd's own accounts; None: the local
    ones, since nothing may wait for a name service here.
    """
    paths, known = settings.paths, domains.load(names)
    make_folders(settings)
    dispatcher, layout = Dispatcher(), layout_of(settings)
    store = open_store(f"{paths.state}/state.db")
    inventory, assembler = Inventory(store), Assembler(rules_of(settings))
    context = Context(
        settings=settings,
        emit=dispatcher.emit,
        facts=dispatcher.facts,
        local=accounts is None,
        etc=etc,
    )
    own = context.share(ServiceAccounts, own or ServiceAccounts.local(own_accounts(settings)))
    if accounts is not None:
        context.share(Accounts, accounts)
    sources = Sources(known.connect(context))
    containers, needs = context.need(PodmanTable), context.need(Needs)
    named, provenance = context.need(NamedFiles), context.find(ProvenanceSource)
    doctor = context.find(ManagerDoctor)

    def build(shared: Context) -> Built:
        built = known.build(shared)
        known.actions.check_whole(built.handlers)
        return built

    async def wanted(paths: Mapping[str, frozenset[str]]) -> None:
        await named.want({**paths, "": {settings.table(Compose).provider}})

    engine = Engine(
        host_of(context),
        inventory,
        dispatcher,
        Parts(
            layout=layout,
            owner_uid=os.geteuid(),
            context=context,
            build=build,
            policies=known.policies(_host(settings, known)),
            actions=known.actions,
            assemble=assembler.assemble,
            concurrency=settings.host.concurrency,
            poll=settings.repository.poll,
            approvals=approval_rules(settings, own),
            track=context.need(AccountSource).known,
            live_graph=context.need(LiveGraphReader).read,
            wants=Wants(
                need=needs.need,
                named=wanted if accounts is None else None,
                audit=provenance.want if provenance is not None else None,
            ),
            probe=needs.probe,
            containers=lambda account: containers.containers(account.uid),
            diagnose=doctor.diagnose if doctor is not None else None,
            look=provenance.refresh if provenance is not None else None,
            allow=settings.table(Provenance).allow,
            reread=sources.reread,
        ),
    )
    boot = BootLog(
        engine.queries,
        context.need(SystemSource),
        BootFile(f"{paths.runtime}/boot.json", boot_id()),
        settings.host.name,
    )
    return Composition(settings, dispatcher, sources, engine, context, assembler, boot, store, known)


def host_of(context: Context) -> Host:
    """Return the ports that domains share."""
    return Host(
        accounts=context.need(Accounts),
        removal=context.need(AccountRemoval),
        logins=context.need(Logins),
        system=context.need(Manager),
        user_managers=context.need(UserManagers),
        files=context.need(Files),
        file_watch=context.need(FileWatch),
        repository=context.need(Repository),
        unit_log=context.need(UnitLog),
        port_owners=context.need(PortOwners),
        generator=context.need(QuadletGenerator),
        lock=context.need(HostLock),
        images=context.need(Images),
        account_inspector=context.need(AccountInspector),
    )


def _host(settings: Settings, known: Domains) -> PolicyHost:
    return PolicyHost(settings=settings, actions=known.actions, root=os.geteuid() == 0)


async def add_triggers(context: Context, config: str) -> None:
    """Watch the configuration, the transforms, and the branch of a repository on this host."""
    triggers, repository = context.need(PathTriggers), context.need(GitRepository)
    await triggers.add(config, KernelEvent.CONFIG_CHANGED)
    await triggers.add(context.settings.paths.transforms, KernelEvent.CONFIG_CHANGED)
    for path in repository.watch_paths():
        await triggers.add(path, RepositoryEvent.PUSHED, subject=repository.remote.url)
