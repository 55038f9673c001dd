"""Scope: `UserManagersSource`: a user's bus that comes, goes, restarts, lies, on real dbus-daemons."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eventd.kernel.model.errors import TemporaryError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.managers import source_link as manager_link
from eventd.managers.source import UserManagersSource
from eventd.platform.inotify import Inotify
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import Account, ActiveState, LoadState, PlatformFact, UnitState
from eventd.platform.systemd.ports import Verb
from eventd.workloads.model_facts import ManagerState, WorkloadFact
from tests.unit.kernel.recorder import Recorder
from tests.wire.bus_daemon import BusDaemon
from tests.wire.fakes.manager import FakeManager
from tests.wire.running import running

UID = os.geteuid()
WEB = Account("web", UID, UID, "/home/web")
UNIT = "app.service"
MANAGER_UNIT = f"user@{UID}.service"
MANAGER = FactKey(WorkloadFact.MANAGER, "web")


class Host:
    """A user's runtime folder with a bus and a manager, as logind and the user's systemd make them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / str(UID)
        self.template = f"unix:path={folder}/{{uid}}/bus"
        self.recorder = Recorder()
        self.manager = FakeManager()
        self.manager.unit(UNIT, ActiveState="active", SubState="running", MainPID=7)
        self.daemon: BusDaemon | None = None
        self.source: UserManagersSource

    def say(self, active: str) -> None:
        """What the system's manager says of user@UID.service."""
        state = UnitState(MANAGER_UNIT, LoadState.LOADED, ActiveState(active))
        self.recorder(
            PlatformOrigin.SYSTEMD,
            PlatformEvent.UNIT_CHANGED,
            MANAGER_UNIT,
            facts=((FactKey(PlatformFact.UNIT, MANAGER_UNIT), state),),
        )

    async def start(self) -> None:
        """Start the bus and the manager, and say so."""
        await self.start_bus()
        self.say("active")

    async def start_bus(self) -> None:
        """The bus with the manager on it."""
        self.folder.mkdir(exist_ok=True)
        self.daemon = BusDaemon(self.folder)
        self.daemon.start()
        await self.manager.start(self.daemon.address)

    async def stop_bus(self, *, unlink: bool = False) -> None:
        """Kill the bus."""
        assert self.daemon is not None
        self.daemon.kill()
        if unlink:
            self.daemon.socket.unlink()
        await self.manager.stop()

    @property
    def state(self) -> ManagerState | None:
        """The MANAGER fact."""
        value = self.recorder.facts.get(MANAGER)
        assert value is None or isinstance(value, ManagerState)
        return value

    async def until(self, state: ManagerState | None) -> None:
        """Wait for the MANAGER fact."""
        await self.recorder.until(lambda: self.state is state)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    made = Host(tmp_path)
    inotify = Inotify()
    made.source = UserManagersSource(made.recorder, made.recorder.facts, inotify, address=made.template)
    made.source.watch("web", frozenset({UNIT}))

    @asynccontextmanager
    async def watching() -> AsyncIterator[None]:
        task = asyncio.create_task(inotify.run())
        yield
        task.cancel()
        await asyncio.wait({task})
        inotify.close()

    async with watching(), running(made.source.run):
        yield made
    await made.manager.stop()
    if made.daemon is not None:
        made.daemon.kill()


async def test_connected_means_that_the_watched_units_are_facts(host: Host):
    """`connect` returns when they are read and MANAGER is up; what it returns works. Again: the same."""
    await host.start()
    manager = await host.source.connect(WEB, timeout=60)
    assert (manager.scope, host.state) == ("web", ManagerState.UP)
    assert host.recorder.unit(UNIT, "web").main_pid == 7
    assert await host.source.connect(WEB, timeout=60) is manager
    assert (await manager.read_unit(UNIT)).up
    assert host.manager.count("Subscribe") == 1


async def test_a_change_of_a_users_unit_is_a_fact_in_the_users_scope(host: Host):
    """And units that are not watched are none."""
    await host.start()
    host.manager.unit("other.service")
    await host.source.connect(WEB, timeout=60)
    host.manager.change("other.service", ActiveState="active")
    host.manager.change(UNIT, ActiveState="failed", SubState="failed", Result="signal", MainPID=0)
    await host.recorder.until(lambda: host.recorder.unit(UNIT, "web").result == "signal")
    assert host.recorder.unit("other.service", "web") is None
    event = host.recorder.seen[-1]
    assert (event.origin, event.kind, event.scope) == (
        PlatformOrigin.USER_MANAGER,
        PlatformEvent.UNIT_CHANGED,
        "web",
    )


async def test_a_manager_that_is_not_running_fails_at_once(host: Host):
    """Nothing would come of waiting; the error names what to wake on."""
    with pytest.raises(TemporaryError) as raised:
        await host.source.connect(WEB, timeout=60)
    assert raised.value.reason == "user-manager-unavailable"
    assert raised.value.wakes_on == {MANAGER, FactKey(PlatformFact.UNIT, MANAGER_UNIT)}
    assert host.state is ManagerState.DOWN


async def test_an_active_manager_without_a_bus_is_waited_for(host: Host):
    """The socket may be a moment late: it is taken when it appears, by inotify and not by looking."""
    host.folder.mkdir()
    host.say("active")
    task = asyncio.create_task(host.source.connect(WEB, timeout=60))
    await host.until(ManagerState.UNREACHABLE)
    assert not task.done()
    await host.start_bus()
    assert (await task).scope == "web"


async def test_an_active_manager_without_a_bus_fails_at_the_deadline(host: Host):
    """The error tells the last cause."""
    host.say("active")
    for seconds in (0.3, 3, 30):  # a machine may be so slow that the first attempt is not over in time
        with pytest.raises(TemporaryError, match=rf"{seconds} s") as raised:
            await host.source.connect(WEB, timeout=seconds)
        if "No such file" in raised.value.message:
            break
    assert "No such file" in raised.value.message
    assert raised.value.reason == "user-manager-unavailable"
    assert host.state is ManagerState.UNREACHABLE


async def test_a_known_manager_that_becomes_active_is_connected_to(host: Host):
    """The system manager's signal is the reason; nobody has to ask again."""
    with pytest.raises(TemporaryError):
        await host.source.connect(WEB, timeout=60)
    host.say("activating")
    await host.until(ManagerState.STARTING)
    await host.start()
    await host.until(ManagerState.UP)


async def test_a_restarted_bus_is_a_gap_and_all_is_read_again(host: Host):
    """`systemctl --user restart dbus`: facts stay meanwhile, and what changed is in them afterwards."""
    await host.start()
    await host.source.connect(WEB, timeout=60)
    await host.stop_bus()
    await host.until(ManagerState.UNREACHABLE)
    assert host.recorder.count(KernelEvent.GAP, "web") == 1
    assert host.recorder.unit(UNIT, "web").up
    host.manager.units[UNIT].update(ActiveState="failed", SubState="failed")
    await host.start_bus()
    await host.until(ManagerState.UP)
    assert host.recorder.unit(UNIT, "web").active is ActiveState.FAILED
    manager = await host.source.connect(WEB, timeout=60)
    assert (await manager.read_unit(UNIT)).active is ActiveState.FAILED


async def test_a_bus_that_comes_back_later_is_found_by_its_socket(
    host: Host, monkeypatch: pytest.MonkeyPatch
):
    """With all pauses far away, the new socket alone is the reason to connect."""
    waiting = asyncio.Event()

    def far_apart() -> Iterator[float]:
        yield 0.0
        while True:
            waiting.set()  # it waits, and so is woken by the socket, before anybody else runs
            yield 1000.0

    monkeypatch.setattr(manager_link, "retry_delays", far_apart)
    await host.start()
    await host.source.connect(WEB, timeout=60)
    await host.stop_bus(unlink=True)
    await host.until(ManagerState.UNREACHABLE)
    await asyncio.wait_for(waiting.wait(), 60)
    await host.start_bus()
    await host.until(ManagerState.UP)


async def test_a_manager_that_stops_takes_its_facts_with_it(host: Host):
    """Down, no unit facts, and no attempt until it becomes active again."""
    await host.start()
    await host.source.connect(WEB, timeout=60)
    host.say("deactivating")
    await host.stop_bus()
    await host.until(ManagerState.DOWN)
    assert host.recorder.unit(UNIT, "web") is None
    await host.start_bus()
    await asyncio.sleep(0)
    host.say("active")
    await host.until(ManagerState.UP)
    assert host.recorder.unit(UNIT, "web").up


async def test_a_job_over_the_users_bus(host: Host):
    """The returned manager gives jobs to the user's systemd, and the fact is current when it returns."""
    await host.start()
    manager = await host.source.connect(WEB, timeout=60)
    task = asyncio.create_task(manager.job(Verb.RESTART, UNIT, timeout=60))
    await host.manager.until_called("RestartUnit")
    host.manager.change(UNIT, MainPID=8)
    host.manager.end_job(host.manager.next_job, UNIT)
    assert (await task).done
    assert host.recorder.unit(UNIT, "web").main_pid == 8


async def test_watching_another_set_while_connected(host: Host):
    """New ones become facts, dropped ones are forgotten."""
    await host.start()
    host.manager.unit("b.service", ActiveState="active")
    await host.source.connect(WEB, timeout=60)
    host.source.watch("web", frozenset({"b.service"}))
    await host.recorder.until(lambda: host.recorder.unit("b.service", "web") is not None)
    assert host.recorder.unit(UNIT, "web") is None


async def test_refresh_reads_what_no_signal_told(host: Host):
    """And where nobody is connected it does nothing."""
    await host.source.refresh("nobody")
    await host.start()
    await host.source.connect(WEB, timeout=60)
    host.manager.units[UNIT]["NeedDaemonReload"] = True
    await host.source.refresh("web")
    assert host.recorder.unit(UNIT, "web").needs_reload


async def test_disconnecting_forgets_the_user(host: Host):
    """No facts, no connection, no reconnection; and whoever waits for it is told."""
    await host.start()
    await host.source.connect(WEB, timeout=60)
    await host.source.disconnect("web")
    assert (host.state, host.recorder.unit(UNIT, "web")) == (None, None)
    host.say("inactive")
    host.say("active")
    await asyncio.sleep(0.05)
    assert host.state is None
    await host.source.disconnect("web")


async def test_a_user_with_another_uid_is_another_user(host: Host):
    """The account was made anew under its name: the old connection is not used for it."""
    await host.start()
    await host.source.connect(WEB, timeout=60)
    await host.source.replace(WEB)
    assert host.state is ManagerState.UP, "it is the same one"
    other = Account("web", UID + 4711, UID, "/home/web")
    await host.source.replace(other)
    assert host.state is None
    assert host.recorder.unit(UNIT, "web") is None
    with pytest.raises(TemporaryError):
        await host.source.connect(other, timeout=60)
    assert host.state is ManagerState.DOWN
    await host.source.replace(WEB)
    await host.source.connect(WEB, timeout=60)
    assert host.recorder.unit(UNIT, "web").main_pid == 7, "what is watched stays watched"


async def test_two_who_connect_at_once_share_one_connection(host: Host):
    """The second waits for the first's attempt."""
    await host.start()
    first, second = await asyncio.gather(
        host.source.connect(WEB, timeout=60), host.source.connect(WEB, timeout=60)
    )
    assert first is second
    assert host.manager.count("Subscribe") == 1


async def test_a_user_managers_reload_is_a_fact_of_its_scope(host: Host):
    """RELOADING of the user; gone with the connection."""
    await host.start()
    await host.source.connect(WEB, timeout=60)
    key = FactKey(PlatformFact.RELOADING, "", "web")
    host.manager.say("Reloading", "b", [True])
    await host.recorder.until(lambda: host.recorder.facts.get(key) is True)
    await host.stop_bus()
    await host.until(ManagerState.UNREACHABLE)
    assert key not in host.recorder.facts


async def test_a_unit_that_is_watched_while_the_others_are_read_is_read_too(host: Host):
    """The first plan may come in the middle of the connection's first reads; nothing changes about the unit later."""
    host.manager.unit("b.service", ActiveState="active")
    host.manager.held["GetAll"] = []
    await host.start()
    connecting = asyncio.create_task(host.source.connect(WEB, timeout=60))
    await host.manager.until_called("GetAll")
    host.source.watch("web", frozenset({UNIT, "b.service"}))
    host.manager.release("GetAll")
    await connecting
    await host.recorder.until(lambda: host.recorder.unit("b.service", "web") is not None)


async def test_what_no_signal_told_is_found_by_reading_afresh(host: Host):
    """A watched unit failed; without a connection there is nothing to read, and no error."""
    await host.source.reread()
    await host.start()
    await host.source.connect(WEB, timeout=60)
    host.manager.unit(UNIT, ActiveState="failed", SubState="failed", Result="signal", MainPID=0)
    assert host.recorder.unit(UNIT, "web").result != "signal"
    await host.source.reread()
    assert host.recorder.unit(UNIT, "web").result == "signal"
