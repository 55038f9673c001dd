"""Scope: one life of the daemon: start, signals, reload, drain, a second one; on the simulated host, in real time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.abc import TaskGroup

from eventd import configured
from eventd.api import routing
from eventd.client import Client, DaemonError, at
from eventd.daemon import Daemon, main
from eventd.engine import Engine, Parts
from eventd.health.source import ContainerHealthSource
from eventd.kernel import run_watch
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.domain import Context
from eventd.kernel.domain import Host as PolicyHost
from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.source_state import SourceState
from eventd.platform.model_events import PlatformOrigin
from eventd.platform.sdnotify import Notifier
from eventd.repository.adapter_git import GitRepository
from eventd.repository.adapter_git_remote import parse_remote
from eventd.repository.source_triggers import PathTriggers
from eventd.settings import Settings, load
from eventd.state.controller_inventory import Inventory
from eventd.storage.documents import Storage
from eventd.workloads.model_layout import Layout
from eventd_simulators.faults import Faults
from eventd_simulators.inprocess import SimHost, World
from tests.simulated.daemon import DOMAINS, SETTINGS, _assemble, container

CONFIG = """
[repository]
url = "https://forge.example/repo.git"
[host]
name = "first"
[paths]
runtime = "{0}"
transforms = "{0}/transforms"
[api]
socket = "{0}/eventd.sock"
webhook_socket = "{0}/webhook.sock"
group = "no-such-group"
webhook_group = "no-such-group"
"""


class Ears(Notifier):
    """Hears READY=1, and keeps what the watchdog is fed by."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()
        self.alive: Callable[[], bool] = lambda: False

    async def keep_alive(self, alive: Callable[[], bool] = lambda: True) -> None:
        self.alive = alive

    def ready(self, status: str = "") -> None:
        super().ready(status)
        self.heard.set()


class Sources:
    """In the place of the real ones: the simulated host's, after what a test has them wait for."""

    def __init__(self, host: SimHost, first_read: Callable[[], Awaitable[object]]) -> None:
        self._host, self._first_read = host, first_read

    async def start(self, _group: TaskGroup, _emit: object, _troubles: object) -> None:
        await self._first_read()
        await self._host.start()


async def _add(*_args: object, **_kwargs: object) -> None:
    return


class Site:
    """A host, its configuration, and what a daemon on it is composed of."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "eventd.toml"
        self.config.write_text(CONFIG.format(folder))
        self.world = World(asyncio.get_running_loop(), faults=Faults(latency=(0.0, 0.0)))
        self.world.model.boot()
        self.settings: Settings = load(self.config)
        self.reconfigured: list[Settings] = []

    def _context(self, dispatcher: Dispatcher) -> Context:
        """Return what the domains would share, as far as the daemon needs it."""
        context = Context(settings=self.settings, emit=dispatcher.emit, facts=dispatcher.facts)
        stubs: dict[Any, Any] = {
            PathTriggers: SimpleNamespace(add=_add),
            ContainerHealthSource: SimpleNamespace(subscribe=lambda _subscriber: None),
            GitRepository: SimpleNamespace(
                remote=parse_remote(self.settings.repository.url),
                allow_rewrite=lambda _commit: None,
                watch_paths=lambda: (),
            ),
            Storage: SimpleNamespace(sizes=SimpleNamespace(serve=anyio.sleep_forever)),
        }
        for kind, stub in stubs.items():
            context.share(kind, stub)
        return context

    def daemon(self, first_read: Callable[[], Awaitable[object]] = anyio.lowlevel.checkpoint) -> Daemon:
        dispatcher = Dispatcher()
        host = SimHost(self.world, dispatcher.emit)
        policies = DOMAINS.policies(PolicyHost(settings=SETTINGS, actions=DOMAINS.actions, root=True))
        context = self._context(dispatcher)
        parts = Parts(Layout(), 0, context, DOMAINS.build, policies, _assemble, DOMAINS.actions)
        engine = Engine(host.ports, Inventory(host.store), dispatcher, parts)

        def reconfigure(settings: Settings) -> None:
            configured.rules_of(settings)
            self.reconfigured.append(settings)
            engine.commands.reload(policies, concurrency=8, allow=frozenset())

        composed: Any = SimpleNamespace(
            settings=self.settings,
            assembler=SimpleNamespace(rules=configured.rules_of(self.settings)),
            dispatcher=dispatcher,
            engine=engine,
            sources=Sources(host, first_read),
            context=context,
            boot=SimpleNamespace(ready=lambda: None, run=anyio.sleep_forever, record=None),
            reconfigure=reconfigure,
            store=SimpleNamespace(on_damage=lambda _subscriber: None),
            domains=DOMAINS,
        )
        return Daemon(composed, str(self.config), Ears())


@pytest.fixture
async def host(tmp_path: Path) -> Site:
    return Site(tmp_path)


@asynccontextmanager
async def living(daemon: Daemon) -> AsyncIterator[Client]:
    """Run it until it serves; stop it at the end."""
    path = daemon.settings.api.socket
    async with asyncio.timeout(60), anyio.create_task_group() as group:
        group.start_soon(daemon.run)
        await reload_of(daemon).wait()
        yield Client(path, timeout=60)
        daemon.stop()


async def ask(client: Client, *parts: str) -> Any:
    return await anyio.to_thread.run_sync(client.get, at(*parts))


async def test_it_serves_and_stops_at_sigterm(host: Site) -> None:
    """Ready, answering, then an orderly end within the drain."""
    daemon = host.daemon()
    async with living(daemon) as client:
        assert (await ask(client, "status"))["host"] == "first"
        os.kill(os.getpid(), signal.SIGTERM)
    assert not daemon.instance.held


async def test_it_is_ready_and_answers_before_anything_is_read(
    host: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that never comes keeps neither systemd waiting nor who asks; a plan waits, and says for what."""
    monkeypatch.setattr(routing, "BEGIN_TIMEOUT", 0.1)
    daemon = host.daemon(anyio.sleep_forever)
    async with living(daemon) as client:
        trouble = TemporaryError("logind is away", reason="logind-unavailable", hint="bring it back")
        SourceState(daemon.parts.dispatcher.emit, PlatformOrigin.LOGIND, "logind").trouble(trouble)
        status = await ask(client, "status")
        assert status["state"] == "starting"
        assert [(t["name"], t["reason"], t["hint"]) for t in status["troubles"]] == [
            ("logind", "logind-unavailable", "bring it back")
        ]
        with pytest.raises(DaemonError) as error:
            await ask(client, "plan")
        assert error.value.reason == "starting"
        assert "logind is away" in error.value.message


async def test_sigterm_during_the_first_read_ends_it(host: Site) -> None:
    """A start that waits for a bus is not waited for."""
    reading = anyio.Event()

    async def for_ever() -> None:
        reading.set()
        await anyio.sleep_forever()

    daemon = host.daemon(for_ever)
    async with asyncio.timeout(60), anyio.create_task_group() as group:
        group.start_soon(daemon.run)
        await reading.wait()
        os.kill(os.getpid(), signal.SIGTERM)


async def test_a_second_daemon_leaves_the_first_alone(host: Site) -> None:
    """It is refused before it touches anything; the first keeps its socket and answers."""
    async with living(host.daemon()) as client:
        script = (
            "import asyncio, sys\n"
            "from eventd.platform.host_lock import HostLock\n"
            "from eventd.kernel.model.errors import DeadlineError\n"
            "lock = HostLock(sys.argv[1])\n"
            "try:\n"
            "    asyncio.run(lock.acquire(timeout=0.2))\n"
            "except DeadlineError as error:\n"
            "    print(lock.holder())\n"
        )
        path = f"{host.settings.paths.runtime}/instance"
        done = await anyio.run_process([sys.executable, "-c", script, path])
        assert int(done.stdout) == os.getpid(), "another process sees who it is"
        second = host.daemon()
        with pytest.raises(PermanentError) as error:
            await second.run()
        assert error.value.reason == "already-running"
        assert str(os.getpid()) in error.value.message
        assert (await ask(client, "status"))["host"] == "first"


@pytest.mark.parametrize("broken", ["[repository\n", 'what = 1\n[repository]\nurl = "https://x/y"\n'])
async def test_a_broken_configuration_changes_nothing_at_a_reload(
    host: Site, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The one in force stays in force, and the log and the status say what is wrong until it is mended."""
    daemon, good = host.daemon(), host.config.read_text()
    async with living(daemon) as client:
        host.config.write_text(broken)
        reloaded = reload_of(daemon)
        os.kill(os.getpid(), signal.SIGHUP)
        await reloaded.wait()
        status = await ask(client, "status")
        assert status["host"] == "first"
        assert [trouble["name"] for trouble in status["troubles"]] == ["configuration"]
        assert host.reconfigured == []
        assert daemon.settings is host.settings
        host.config.write_text(good)
        reloaded = reload_of(daemon)
        os.kill(os.getpid(), signal.SIGHUP)
        await reloaded.wait()
        assert (await ask(client, "status"))["troubles"] == []
    assert "cannot reload the configuration" in caplog.text


def reload_of(daemon: Daemon) -> asyncio.Event:
    """Return an event that is set by the next READY=1, which ends a start and each reload."""
    assert isinstance(daemon.notifier, Ears)
    daemon.notifier.heard = asyncio.Event()
    return daemon.notifier.heard


async def test_an_unreadable_transform_changes_nothing_at_a_reload(
    host: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its OSError is an error of the configuration, and not the end of the daemon."""
    transforms = tmp_path / "transforms"
    transforms.mkdir()
    daemon = host.daemon()
    async with living(daemon) as client:
        (transforms / "a.container").symlink_to("/proc/self/mem")  # a regular file, and reading it is EIO
        reloaded = reload_of(daemon)
        daemon.parts.dispatcher.emit(PlatformOrigin.INOTIFY, KernelEvent.CONFIG_CHANGED, "transforms")
        await reloaded.wait()
        assert (await ask(client, "status"))["host"] == "first"
    assert host.reconfigured == []
    assert "cannot read the transform" in caplog.text


async def test_a_good_configuration_is_applied(host: Site) -> None:
    """The live tables are in force, and everything is looked at again."""
    daemon = host.daemon()
    async with living(daemon):
        host.config.write_text(host.config.read_text() + '[defaults]\ngrace = "3s"\n')
        reloaded = reload_of(daemon)
        os.kill(os.getpid(), signal.SIGHUP)
        await reloaded.wait()
        assert host.reconfigured[0].defaults.grace == 3.0


async def test_a_drain_cuts_short_what_waits(host: Site) -> None:
    """A run that waits for a slow start does not hold up the end of the daemon."""
    host.world.model.behaviours.set("web", "web.service", start=1000.0)
    daemon = host.daemon()
    async with living(daemon):
        host.world.remote.push(container("web"))
        daemon.parts.engine.fetcher.request()
        waiting = asyncio.Event()
        daemon.parts.engine.steps.subscribe(
            "test", lambda step: waiting.set() if step.step.startswith("start-unit") else None
        )
        async with asyncio.timeout(60):
            await waiting.wait()
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 40.0


async def test_a_stuck_run_is_said_and_ends_the_feeding_of_the_watchdog(
    host: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop still turns then, and answers; systemd starts a daemon that can take the lock."""
    daemon = host.daemon()
    assert isinstance(daemon.notifier, Ears)
    async with living(daemon):
        alive = daemon.notifier.alive
        assert alive()
        async with daemon.parts.engine.runs.alone():
            monkeypatch.setattr(run_watch, "QUIET", -1.0)
            assert [alive(), alive()] == [False, False]
        monkeypatch.undo()
        assert alive()
    said = [record.getMessage() for record in caplog.records if record.levelname == "CRITICAL"]
    assert len(said) == 1
    assert "the current run is stuck" in said[0]


def test_main_says_what_is_wrong_with_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr, and 1."""
    path = tmp_path / "eventd.toml"
    path.write_text('[repository]\nurll = "x"\n')
    assert main(["--config", str(path)]) == 1
    said = capsys.readouterr().err
    assert "urll" in said
    assert "Traceback" not in said


def test_main_tells_the_error_inside_a_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a task group wraps is told like any other error; a bug keeps its traceback."""
    path = tmp_path / "eventd.toml"
    path.write_text(CONFIG.format(tmp_path))

    def composed(error: Exception) -> Callable[..., Any]:
        def compose(_settings: Settings, **_options: object) -> Any:
            raise error

        return compose

    group = ExceptionGroup("tasks", [PermanentError("the bus is on fire")])
    assert main(["--config", str(path)], composed=composed(group)) == 1
    assert capsys.readouterr().err == "eventd: the bus is on fire\n"
    with pytest.raises(ZeroDivisionError):
        main(["--config", str(path)], composed=composed(ZeroDivisionError()))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://token@forge.example/repo.git", "https://forge.example/repo.git"),
        ("https://forge.example/repo.git?key=secret", "https://forge.example/repo.git"),
        ("ssh://git@forge.example/repo.git", "ssh://git@forge.example/repo.git"),
        ("git@forge.example:repo.git", "git@forge.example:repo.git"),
        ("/srv/repo.git", "/srv/repo.git"),
    ],
)
async def test_the_status_shows_no_token(host: Site, url: str, shown: str) -> None:
    """The user name of an https URL is the token at some forges."""
    host.settings = host.settings.model_copy(
        update={"repository": host.settings.repository.model_copy(update={"url": url})}
    )
    assert host.daemon()._server().api.identity.repository == shown


@pytest.mark.parametrize("changed", ["configuration", "transform", "broken"])
async def test_a_configuration_that_changes_before_it_is_watched_is_applied(
    host: Site, tmp_path: Path, changed: str
) -> None:
    """The first reads take a while, and what the watch finds first is what it takes for known."""

    async def edit() -> None:
        if changed == "transform":
            (tmp_path / "transforms").mkdir()
            (tmp_path / "transforms/a.container").write_text("[Container]\n")
        else:
            more = '[defaults]\ngrace = "3s"\n' if changed == "configuration" else "[broken"
            host.config.write_text(host.config.read_text() + more)

    daemon = host.daemon(edit)
    reloaded = reload_of(daemon)
    path = daemon.settings.api.socket
    async with asyncio.timeout(60), anyio.create_task_group() as group:
        group.start_soon(daemon.run)
        await reloaded.wait()
        reloaded = reload_of(daemon)
        await reloaded.wait()
        status = await ask(Client(path, timeout=60), "status")
        assert [trouble["name"] for trouble in status["troubles"]] == ["configuration"] * (
            changed == "broken"
        )
        daemon.stop()
    assert [each.defaults.grace for each in host.reconfigured] == {
        "configuration": [3.0],
        "transform": [host.settings.defaults.grace],
        "broken": [],
    }[changed]
