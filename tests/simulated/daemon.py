"""The daemon on the simulated host: the real engine, handlers and policies over the in-process ports.

A `Story` is one world with one daemon in it that can be killed and started again; everything on virtual time.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import anyio

from eventd import domains
from eventd.approvals.controller_rules import Rules as ApprovalRules
from eventd.desired.model import Desired, Tree, UnitRole, WorkloadOptions
from eventd.desired.model_assembly import HostRules, assemble
from eventd.engine import Engine, Parts
from eventd.kernel.controller import Controller
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.domain import Built, Context, Domain, Domains, Host, Source
from eventd.kernel.executor import Handler
from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.events import Event, KernelEvent, KernelOrigin
from eventd.kernel.model.report import RunReport, WorkloadStatus
from eventd.kernel.queue import RunHandle
from eventd.platform.model_facts import ActiveState, UnitState
from eventd.settings import Repository, Settings
from eventd.sources import Sources
from eventd.state.controller_inventory import Inventory
from eventd.status import adapter_reasons as reasons
from eventd.workloads.model_layout import Layout
from eventd_simulators.faults import Faults
from eventd_simulators.inprocess import SimHost, World
from eventd_simulators.model.accounts import AccountTable
from eventd_simulators.model.manager import Manager

FAULT = "simulated-failure"
"""The reason of what is made to fail in here, which no real host gives."""
QUIET = 2000.0
"""Virtual seconds after which every retry that will ever come has come (the backoff is far shorter)."""
ENOUGH = 100.0
"""Virtual seconds in which a few workloads converge."""
DOMAINS = domains.load()
NO_HANDLERS: Mapping[type[Any], Handler] = MappingProxyType({})
SETTINGS = Settings(repository=Repository(url="https://forge.example/repo.git"))
CONTAINER = "[Container]\nImage={image}\nContainerName={name}\n{more}\n[Install]\nWantedBy=default.target\n"


def container(name: str, image: str = "web", more: str = "") -> dict[str, str | bytes]:
    """Return the files of a workload with one container."""
    text = CONTAINER.format(name=name, image=f"localhost/{image}:1", more=more)
    return {f"workloads/{name}/{name}.container": text}


def containers(*names: str) -> dict[str, str | bytes]:
    """Return the files of these workloads, each with one container."""
    return {path: content for name in names for path, content in container(name).items()}


class Story:
    """One world and its daemon."""

    def __init__(
        self,
        faults: Faults | None = None,
        *,
        online: bool = True,
        controllers: Callable[[], Sequence[Controller]] = lambda: (),
        handlers: Mapping[type[Any], Handler] = NO_HANDLERS,
        actions: Iterable[ActionRow] = (),
        domains: Domains | None = None,
        settings: Settings = SETTINGS,
    ) -> None:
        self._controllers = controllers
        self._handlers = handlers
        self.settings = settings
        mine = Domain(name="of-a-test", actions=tuple(actions))
        self.domains = domains or (Domains((*DOMAINS, mine)) if mine.actions else DOMAINS)
        self.approvals = ApprovalRules("machine", "simhost", verify=self._signed, nonce=self._nonce)
        self._nonces = 0
        self.world = World(asyncio.get_running_loop(), faults=faults, online=online)
        self.layout = Layout()
        self.lives: list[SimHost] = []
        self.events: list[Event] = []
        self._task: asyncio.Task[None] | None = None
        self.dispatcher: Dispatcher
        self.engine: Engine
        self.world.model.boot()

    @property
    def host(self) -> SimHost:
        """The ports of the life that is on."""
        return self.lives[-1]

    async def _signed(self, document: bytes, signature: bytes) -> str:
        """Take a signature for good that is the signer's name and the document's digest."""
        await asyncio.sleep(0.01)
        signer, _, digest = signature.decode().partition(" ")
        if signer not in ("alice", "bob") or digest != hashlib.sha256(document).hexdigest():
            raise PermanentError("the signature does not count", reason="bad-signature")
        return signer

    def _nonce(self) -> str:
        self._nonces += 1
        return f"{self._nonces:032x}"

    def share(self, context: Context) -> None:
        """Share what some domains need besides the host; those of eventd itself connect to nothing in here."""

    def sources(self, context: Context) -> Sequence[Source]:
        """Return the sources besides those of the host."""
        return self.domains.connect(context, besides=domains.NAMES)

    async def start(self, *, away: Collection[str] = ()) -> None:
        """Start the daemon, with some sources missing; returns when it serves, or has died."""
        loop = asyncio.get_running_loop()
        self.dispatcher = Dispatcher(wall=loop.time)
        self.dispatcher.subscribe("test", self.events.append)
        host = SimHost(self.world, self.dispatcher.emit)
        host.away = set(away)
        self.lives.append(host)
        chance = random.Random(len(self.lives))
        layout = self.layout
        context = Context(
            settings=self.settings,
            emit=self.dispatcher.emit,
            facts=self.dispatcher.facts,
            wall=loop.time,
        )
        self.share(context)
        sources = Sources(self.sources(context))

        def build(shared: Context) -> Built:
            built = self.domains.build(shared)
            return Built(
                controllers=(*self._controllers(), *built.controllers),
                handlers={**built.handlers, **self._handlers},
            )

        self.engine = Engine(
            host.ports,
            Inventory(host.store),
            self.dispatcher,
            Parts(
                layout=layout,
                owner_uid=0,
                context=context,
                build=build,
                policies=self.domains.policies(
                    Host(settings=self.settings, actions=self.domains.actions, root=True)
                ),
                approvals=self.approvals,
                assemble=_assemble,
                actions=self.domains.actions,
                jitter=chance.random,
                track=host.accounts.known,
                reread=host.reread,
            ),
        )
        serving = loop.create_future()

        async def live() -> None:
            try:
                await host.start()
                async with anyio.create_task_group() as group:
                    await sources.start(group, self.dispatcher.emit, self.dispatcher.facts)
                    await self.engine.start()
                    if not serving.done():
                        serving.set_result(None)
                    await self.engine.serve()
            finally:
                if not serving.done():
                    serving.set_result(None)

        task = loop.create_task(live(), name=f"life {len(self.lives)}")
        self._task = task
        host.life.on_crash = lambda: loop.call_soon(task.cancel) and None
        await serving

    async def begin(self, files: Mapping[str, str | bytes], seconds: float = ENOUGH) -> None:
        """Start the daemon, push these files, and let virtual time pass."""
        await self.start()
        self.push(files)
        await self.quiet(seconds)

    async def until_dead(self) -> None:
        """Wait for the crash that was asked for, then for its end."""
        assert self._task is not None
        await asyncio.wait([self._task])
        self._look_at(self._task)

    @property
    def dead(self) -> bool:
        """Whether the daemon's life is over."""
        return self._task is None or self._task.done()

    def _look_at(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None and not self.host.life.dead:
            raise AssertionError("the daemon ended by itself") from task.exception()

    async def kill(self) -> None:
        """Kill -9."""
        self.host.kill()
        await self.until_dead()

    def push(self, files: Mapping[str, str | bytes]) -> str:
        """Push exactly these files, and tell the daemon."""
        commit = self.world.remote.push(files)
        self.host.pushed()
        return commit

    async def quiet(self, seconds: float = QUIET) -> None:
        """Let virtual time pass; a daemon that ended by itself is an error."""
        await asyncio.sleep(seconds)
        if self._task is not None and self._task.done():
            self._look_at(self._task)
        rows = self.engine.statuses
        given = {
            status.reason for name, status in rows.items() if ":" not in name
        }  # tests have controllers of their own
        unexplained = {
            reason for reason in given if reason not in ("", FAULT) and reasons.find(reason) is None
        }
        assert not unexplained, f"no row in eventd/reasons.toml for {sorted(unexplained)}"

    async def sync(self) -> RunReport | None:
        """`eventctl sync --wait`."""
        handle = RunHandle()
        event = self.dispatcher.emit(KernelOrigin.REQUEST, KernelEvent.SYNC, "sync")
        self.engine.fetcher.sync(event, handle)
        await handle.done.wait()
        return handle.report

    async def repair(self) -> RunReport | None:
        """`eventctl sync --no-fetch --wait`."""
        handle = RunHandle()
        self.engine.fetcher.repair(
            self.dispatcher.emit(KernelOrigin.REQUEST, KernelEvent.SYNC, "sync"), handle
        )
        await handle.done.wait()
        return handle.report

    def status(self, name: str) -> WorkloadStatus:
        """Where a workload stands."""
        return self.engine.statuses[name]

    def manager(self, name: str) -> Manager:
        """The model's manager of a user."""
        return self.world.model.managers[name]

    def change_account(self, name: str, **fields: Any) -> None:
        """Change an account behind the daemon's back, as root could."""
        accounts = self.world.model.accounts
        account = accounts.get(name)
        assert isinstance(accounts, AccountTable)
        assert account is not None
        accounts.put(replace(account, **fields))

    def unit(self, name: str, unit: str = "") -> UnitState:
        """A unit as it really is; by default the workload's own container."""
        return self.manager(name).peek(unit or f"{name}.service")

    async def wanted(self) -> Desired:
        """What the head of the remote wants."""
        return await _assemble(self.world.remote.tree(self.world.remote.head))

    async def assert_as_wanted(self) -> None:
        """The world is what the head says, file for file and unit for unit."""
        model, desired = self.world.model, await self.wanted()
        assert not desired.refused
        for name, workload in desired.workloads.items():
            account = model.accounts.get(name)
            assert account is not None, f"no account {name}"
            assert model.logind.is_lingering(name), f"{name} does not linger"
            assert name in model.managers, f"the manager of {name} is not up"
            expected = {self.layout.path(file, account.uid): file.content for file in workload.files}
            folders = self.layout.folders(account.uid)
            found = {p: e.content for f in folders for p, e in self.world.tree.below(f)}
            assert found == expected, f"files of {name}"
            for unit in workload.units:
                state = self.unit(name, unit.name)
                assert not state.needs_reload, f"{unit.name} is loaded as it was"
                if unit.role is UnitRole.RUNNING:
                    assert state.active is ActiveState.ACTIVE, f"{unit.name}: {state}"

    async def assert_converged(self) -> None:
        """As wanted, and nothing more is done: not by itself, and not by a sync."""
        await self.assert_as_wanted()
        before = [call for call in self.host.life.calls if call not in ("store", "fetch")]
        report = await self.sync()
        await self.quiet(100)
        after = [call for call in self.host.life.calls if call not in ("store", "fetch")]
        assert after == before
        assert report is not None
        assert str(report.result) == "ok", report


async def deployed(files: Mapping[str, str | bytes], seconds: float = ENOUGH) -> Story:
    """Return a story in which these files were pushed, and virtual time has passed."""
    story = Story()
    await story.begin(files, seconds)
    return story


async def _assemble(tree: Tree) -> Desired:
    return assemble(tree, HostRules("simhost", options=WorkloadOptions()))
