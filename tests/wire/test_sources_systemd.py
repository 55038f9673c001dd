"""Scope: `SystemSource`, `ManagerFeed` and `UnitTable` against a scripted manager on a real bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eventd.kernel.model.errors import DisconnectedError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_events import PlatformEvent
from eventd.platform.model_facts import ActiveState, LoadState, PlatformFact
from eventd.platform.systemd.adapter_unit_values import UNIT as UNIT_INTERFACE
from eventd.platform.systemd.ports import Verb
from eventd.platform.systemd.source import SystemSource
from tests.unit.kernel.recorder import Recorder
from tests.wire.bus_daemon import BusDaemon
from tests.wire.fakes.manager import FakeManager
from tests.wire.running import running

WEB = "web.service"
DB = "db.service"


@asynccontextmanager
async def _source(
    daemon: BusDaemon, recorder: Recorder, watch: frozenset[str] = frozenset({WEB})
) -> AsyncIterator[SystemSource]:
    source = SystemSource(recorder, address=daemon.address, watch=watch)
    async with running(source.run):
        yield source


async def test_all_loaded_units_are_facts_when_it_has_started(bus_daemon: BusDaemon, manager: FakeManager):
    """Watched units in full, the others as ListUnits tells them; it subscribed before it read."""
    manager.unit(WEB, ActiveState="active", SubState="running", MainPID=42, FragmentPath="/web")
    manager.unit(DB, ActiveState="failed", SubState="failed", MainPID=43, FragmentPath="/db")
    recorder = Recorder()
    async with _source(bus_daemon, recorder):
        web, db = recorder.unit(WEB), recorder.unit(DB)
        assert web is not None
        assert db is not None
        assert (web.active, web.main_pid, web.fragment_path) == (ActiveState.ACTIVE, 42, "/web")
        assert (db.active, db.load, db.main_pid) == (ActiveState.FAILED, LoadState.LOADED, 0)
        assert recorder.count(KernelEvent.READ, "org.freedesktop.systemd1") == 1
    order = [name for name, _ in manager.calls]
    assert order.index("Subscribe") < order.index("ListUnits")


async def test_a_change_is_one_event_with_all_of_it(bus_daemon: BusDaemon, manager: FakeManager):
    """The type's properties come first and wait for the unit's: no fact shows half a change."""
    manager.unit(WEB, ActiveState="active", SubState="running", MainPID=42)
    recorder = Recorder()
    async with _source(bus_daemon, recorder):
        manager.change(
            WEB, ActiveState="failed", SubState="failed", Result="signal", MainPID=0, ExecMainStatus=9
        )
        await recorder.until_event(PlatformEvent.UNIT_CHANGED, WEB, times=2)
    state = recorder.unit(WEB)
    assert state is not None
    assert (state.active, state.result, state.main_pid, state.exec_status) == (
        ActiveState.FAILED,
        "signal",
        0,
        9,
    )
    assert recorder.values(PlatformFact.UNIT, WEB)[2:] == [state]  # listed, read, changed


async def test_no_call_is_made_for_a_change(bus_daemon: BusDaemon, manager: FakeManager):
    """Facts follow signals; a change costs no question, and repeated news no event."""
    manager.unit(WEB)
    manager.unit(DB)
    recorder = Recorder()
    async with _source(bus_daemon, recorder):
        calls = len(manager.calls)
        manager.change(DB, ActiveState="active", SubState="running")
        await recorder.until(lambda: recorder.unit(DB).up)
        events = len(recorder.seen)
        manager.change(DB, ActiveState="active", SubState="running")
        manager.change(WEB, ActiveState="active", SubState="running")
        await recorder.until(lambda: recorder.unit(WEB).up)
        assert len(recorder.seen) == events + 1
        assert len(manager.calls) == calls


async def test_a_signal_after_a_read_reply_wins_over_it(bus_daemon: BusDaemon, manager: FakeManager):
    """Reply and newer signal in one burst: the fact ends as the signal says, and never goes back."""
    manager.unit(WEB, ActiveState="inactive")
    recorder = Recorder()
    async with _source(bus_daemon, recorder) as source:
        manager.held["GetAll"] = []
        refresh = asyncio.create_task(source.refresh())
        await manager.until_called("GetAll", 4)
        manager.release("GetAll")  # says inactive …
        manager.change(WEB, ActiveState="active", SubState="running")  # … and right after it, active
        await refresh
        await recorder.until(lambda: recorder.unit(WEB).up)
        actives = [value.active for value in recorder.values(PlatformFact.UNIT, WEB)]
    assert actives[-1] is ActiveState.ACTIVE
    assert actives.count(ActiveState.ACTIVE) == 1


async def test_a_read_reply_after_a_signal_wins_over_it(bus_daemon: BusDaemon, manager: FakeManager):
    """The other way round: what the manager answers later is newer than what it had announced before."""
    manager.unit(WEB, ActiveState="inactive")
    recorder = Recorder()
    async with _source(bus_daemon, recorder) as source:
        manager.held["GetAll"] = []
        refresh = asyncio.create_task(source.refresh())
        await manager.until_called("GetAll", 4)
        manager.change(WEB, ActiveState="activating", SubState="start")
        manager.units[WEB].update(ActiveState="active", SubState="running")
        manager.release("GetAll")
        await refresh
    assert recorder.unit(WEB).active is ActiveState.ACTIVE


async def test_invalidated_properties_are_read_again_once_at_a_time(
    bus_daemon: BusDaemon, manager: FakeManager
):
    """Many invalidations during one read lead to one further read, not to many."""
    manager.unit(WEB, Result="success")
    recorder = Recorder()
    async with _source(bus_daemon, recorder):
        reads = manager.count("LoadUnit")
        manager.held["LoadUnit"] = []
        manager.change(WEB, invalidated=("Result",))
        await manager.until_called("LoadUnit", reads + 1)
        manager.units[WEB]["Result"] = "timeout"
        for _ in range(20):
            manager.change(WEB, invalidated=("Result", "ExecStart"))
        manager.say("JobNew", "uos", [1, "/org/freedesktop/systemd1/job/1", "marker.service"])
        await recorder.until_event(PlatformEvent.JOB_NEW, "marker.service")
        assert manager.count("LoadUnit") == reads + 1
        manager.release("LoadUnit")
        await manager.until_called("LoadUnit", reads + 2)
        await recorder.until(lambda: recorder.unit(WEB).result == "timeout")
        manager.say("JobNew", "uos", [2, "/org/freedesktop/systemd1/job/2", "end.service"])
        await recorder.until_event(PlatformEvent.JOB_NEW, "end.service")
        assert manager.count("LoadUnit") == reads + 2


async def test_other_invalidated_properties_cost_nothing(bus_daemon: BusDaemon, manager: FakeManager):
    """Each change of a service invalidates ExecStart and its like: no reason to read."""
    manager.unit(WEB)
    recorder = Recorder()
    async with _source(bus_daemon, recorder) as source:
        calls = len(manager.calls)
        manager.change(WEB, invalidated=("ExecStart",), ActiveState="active", SubState="running")
        await recorder.until(lambda: recorder.unit(WEB).up)
        await source.reset_failed(WEB)  # a read would have been asked for before
        assert [name for name, _ in manager.calls[calls:]] == ["ResetFailedUnit"]


async def test_units_that_come_and_go(bus_daemon: BusDaemon, manager: FakeManager):
    """A new unit is asked for without loading it; a removed one is no fact any more, unless it is watched."""
    manager.unit(WEB)
    recorder = Recorder()
    async with _source(bus_daemon, recorder):
        name = "run-a\\x2db.service"
        manager.unit(name, ActiveState="activating", SubState="start")
        manager.say("UnitNew", "so", [name, "/x"])
        await recorder.until(lambda: recorder.unit(name) is not None)
        assert recorder.unit(name).active is ActiveState.ACTIVATING
        assert manager.count("LoadUnit") == 1  # WEB's, at the start
        manager.say("UnitRemoved", "so", [name, "/x"])
        manager.say("UnitRemoved", "so", [WEB, "/x"])
        await recorder.until(lambda: recorder.unit(name) is None)
        assert recorder.unit(WEB) is not None


async def test_reading_a_missing_unit_does_not_go_in_circles(bus_daemon: BusDaemon, manager: FakeManager):
    """To read it makes systemd load and forget it, and announce both; that must not make us read it again."""
    recorder = Recorder()
    async with _source(bus_daemon, recorder):
        assert recorder.unit(WEB).load is LoadState.NOT_FOUND
        for _ in range(5):
            manager.say("UnitNew", "so", [WEB, "/x"])
            manager.say("UnitRemoved", "so", [WEB, "/x"])
        manager.say("JobNew", "uos", [1, "/org/freedesktop/systemd1/job/1", "end.service"])
        await recorder.until_event(PlatformEvent.JOB_NEW, "end.service")
        assert manager.count("LoadUnit") == 1


async def test_a_missing_unit_that_changes_has_been_loaded_since(bus_daemon: BusDaemon, manager: FakeManager):
    """LoadState comes with no signal: it is read then."""
    recorder = Recorder()
    async with _source(bus_daemon, recorder):
        manager.unit(WEB, FragmentPath="/now/there")
        manager.change(WEB, ActiveState="active", SubState="running")
        await recorder.until(lambda: recorder.unit(WEB).load is LoadState.LOADED)
    assert recorder.unit(WEB).fragment_path == "/now/there"


async def test_a_reload_detaches_nothing_and_is_followed_by_a_read(
    bus_daemon: BusDaemon, manager: FakeManager
):
    """Between Reloading(true) and (false) all units are announced as removed and new; facts stay."""
    manager.unit(WEB, ActiveState="active", SubState="running", FragmentPath="/old")
    manager.unit(DB, ActiveState="active", SubState="running")
    manager.unit("gone.service")
    recorder = Recorder()
    async with _source(bus_daemon, recorder):
        manager.say("Reloading", "b", [True])
        for name in (WEB, DB, "gone.service"):
            manager.say("UnitRemoved", "so", [name, "/x"])
        for name in (WEB, DB):
            manager.say("UnitNew", "so", [name, "/x"])
        await recorder.until_event(PlatformEvent.RELOADING)
        assert recorder.facts.get(FactKey(PlatformFact.RELOADING)) is True
        manager.units[WEB]["FragmentPath"] = "/new"
        del manager.units["gone.service"]
        manager.say("Reloading", "b", [False])
        await recorder.until_event(KernelEvent.READ, "org.freedesktop.systemd1", times=2)
        assert recorder.facts.get(FactKey(PlatformFact.RELOADING)) is False
    assert recorder.unit(WEB).fragment_path == "/new"
    assert recorder.unit("gone.service") is None
    assert None not in recorder.values(PlatformFact.UNIT, DB)
    assert recorder.count(KernelEvent.GAP) == 0


async def test_jobs_are_events(bus_daemon: BusDaemon, manager: FakeManager):
    """JobNew and JobRemoved are told with id and result."""
    recorder = Recorder()
    async with _source(bus_daemon, recorder):
        manager.say("JobNew", "uos", [7, "/org/freedesktop/systemd1/job/7", WEB])
        manager.end_job(7, WEB, "timeout")
        await recorder.until_event(PlatformEvent.JOB_REMOVED, WEB)
    assert [(e.kind, e.attributes) for e in recorder.seen[-2:]] == [
        (PlatformEvent.JOB_NEW, {"job": 7}),
        (PlatformEvent.JOB_REMOVED, {"job": 7, "result": "timeout"}),
    ]


async def test_facts_are_current_when_a_job_returns(bus_daemon: BusDaemon, manager: FakeManager):
    """Systemd announces the unit before the end of its job; who awaited the job may rely on the fact."""
    manager.unit(WEB)
    recorder = Recorder()
    async with _source(bus_daemon, recorder) as source:
        task = asyncio.create_task(source.job(Verb.START, WEB, timeout=60))
        await manager.until_called("StartUnit")
        manager.change(WEB, ActiveState="active", SubState="running", MainPID=9)
        manager.end_job(manager.next_job, WEB)
        assert (await task).done
        assert recorder.unit(WEB).main_pid == 9


async def test_a_unit_that_a_job_has_loaded_is_a_fact_when_the_job_returns(
    bus_daemon: BusDaemon, manager: FakeManager
):
    """user@1000.service before its first start: unknown, new, changed and done in one burst."""
    recorder = Recorder()
    async with _source(bus_daemon, recorder, frozenset()) as source:
        task = asyncio.create_task(source.job(Verb.START, DB, timeout=60))
        await manager.until_called("StartUnit")
        manager.held["ListUnitsByPatterns"] = []
        manager.unit(DB)
        manager.say("UnitNew", "so", [DB, "/x"])
        manager.change(DB, ActiveState="active", SubState="running")
        manager.end_job(manager.next_job, DB)
        assert (await task).done
        assert recorder.unit(DB).up
        manager.units[DB]["LoadState"] = "error"
        manager.release("ListUnitsByPatterns")
        await recorder.until(lambda: recorder.unit(DB).load is LoadState.ERROR)


async def test_an_alias_follows_the_unit_that_it_stands_for(bus_daemon: BusDaemon, manager: FakeManager):
    """Signals come for the unit's own name only; the fact of the alias changes with it."""
    manager.aliases["db-alias.service"] = DB
    manager.unit(DB, ActiveState="inactive")
    recorder = Recorder()
    async with _source(bus_daemon, recorder, frozenset({"db-alias.service"})):
        manager.change(DB, ActiveState="active", SubState="running")
        await recorder.until(lambda: recorder.unit("db-alias.service").up)
        assert recorder.unit(DB).up


async def test_watching_more_reads_what_is_new(bus_daemon: BusDaemon, manager: FakeManager):
    """`watch` takes effect while connected; a repeated one costs nothing."""
    manager.unit(DB, MainPID=5, ActiveState="active")
    recorder = Recorder()
    async with _source(bus_daemon, recorder, frozenset()) as source:
        assert recorder.unit(DB).main_pid == 0
        source.watch(frozenset({DB}))
        await recorder.until(lambda: recorder.unit(DB).main_pid == 5)
        calls = len(manager.calls)
        source.watch(frozenset({DB}))
        await source.read_unit(WEB)
        assert len(manager.calls) == calls + 3


async def test_a_lost_bus_is_a_gap_and_all_is_read_again(bus_daemon: BusDaemon, manager: FakeManager):
    """What changed, came and went while there was no bus is in the facts afterwards."""
    manager.unit(WEB, ActiveState="active", SubState="running")
    manager.unit(DB)
    recorder = Recorder()
    async with _source(bus_daemon, recorder) as source:
        bus_daemon.kill()
        await recorder.until_event(KernelEvent.GAP)
        with pytest.raises(DisconnectedError):
            await source.read_unit(WEB)
        manager.units[WEB].update(ActiveState="failed", SubState="failed")
        del manager.units[DB]
        await manager.stop()
        bus_daemon.start()
        await manager.start(bus_daemon.address)
        await recorder.until_event(KernelEvent.READ, "org.freedesktop.systemd1", times=2)
        assert recorder.unit(WEB).active is ActiveState.FAILED
        assert recorder.unit(DB) is None
        assert (await source.read_unit(WEB)).active is ActiveState.FAILED
        manager.change(WEB, ActiveState="active", SubState="running")
        await recorder.until(lambda: recorder.unit(WEB).up)


async def test_a_re_executed_manager_is_a_gap_and_all_is_read_again(
    bus_daemon: BusDaemon, manager: FakeManager
):
    """The name changes hands: subscribe again, read again, and take signals of the new owner."""
    manager.unit(WEB)
    recorder = Recorder()
    async with _source(bus_daemon, recorder):
        await manager.stop()
        await recorder.until_event(KernelEvent.GAP)
        successor = FakeManager()
        successor.unit(WEB, ActiveState="active", SubState="running")
        await successor.start(bus_daemon.address)
        await recorder.until(lambda: recorder.unit(WEB).up)
        assert successor.count("Subscribe") == 1
        successor.change(WEB, ActiveState="failed", SubState="failed")
        await recorder.until(lambda: recorder.unit(WEB).active is ActiveState.FAILED)
        await successor.stop()


async def test_a_manager_that_goes_in_the_middle_of_the_first_read(
    bus_daemon: BusDaemon, manager: FakeManager
):
    """The read that failed is made again with the next owner, without a new connection."""
    manager.unit(WEB)
    manager.held["ListUnits"] = []
    recorder = Recorder()
    source = SystemSource(recorder, address=bus_daemon.address)
    starting = asyncio.Event()

    async def later() -> None:
        await manager.until_called("ListUnits")
        await manager.stop()
        successor = FakeManager()
        successor.unit(WEB, ActiveState="active", SubState="running")
        await successor.start(bus_daemon.address)
        starting.set()
        await recorder.until(lambda: recorder.unit(WEB) is not None)
        await successor.stop()

    task = asyncio.create_task(later())
    async with running(source.run):
        assert recorder.unit(WEB).up
        await task


async def test_it_starts_before_systemd_is_on_the_bus(bus_daemon: BusDaemon):
    """Without an owner it waits for one, and asks nobody in the meantime."""
    recorder = Recorder()
    manager = FakeManager()
    manager.unit(WEB)
    source = SystemSource(recorder, address=bus_daemon.address)

    async def come() -> None:
        await asyncio.sleep(0.05)
        await manager.start(bus_daemon.address)

    task = asyncio.create_task(come())
    async with running(source.run):
        assert recorder.unit(WEB) is not None
    await task
    assert recorder.count(KernelEvent.GAP) <= 1
    await manager.stop()


async def test_properties_of_an_unlisted_unit_have_it_listed(bus_daemon: BusDaemon, manager: FakeManager):
    """A change of a unit that we do not know is answered by asking for it."""
    recorder = Recorder()
    async with _source(bus_daemon, recorder, frozenset()):
        manager.unit(DB, ActiveState="active", SubState="running")
        manager.changed(DB, UNIT_INTERFACE, {"ActiveState": "active"})
        await recorder.until(lambda: recorder.unit(DB) is not None and recorder.unit(DB).sub == "running")


async def test_a_unit_that_is_watched_while_the_others_are_read_is_read_too(
    bus_daemon: BusDaemon, manager: FakeManager
):
    """After a lost connection a new revision may come in the middle of the reads: its units are kept in full."""
    manager.unit(WEB, ActiveState="active")
    manager.unit(DB, ActiveState="active", MainPID=43)
    recorder = Recorder()
    async with _source(bus_daemon, recorder) as source:
        manager.held["GetAll"] = []
        asked = manager.count("GetAll")
        manager.say("Reloading", "b", [False])
        await manager.until_called("GetAll", asked + 1)
        source.watch(frozenset({WEB, DB}))
        manager.release("GetAll")
        await recorder.until(lambda: recorder.unit(DB).main_pid == 43)
        await manager.stop()
        await recorder.until_event(KernelEvent.GAP)
        manager.unit("c.service", ActiveState="active", MainPID=44)
        manager.held["GetAll"] = []
        asked = manager.count("GetAll")
        await manager.start(bus_daemon.address)
        await manager.until_called("GetAll", asked + 1)
        source.watch(frozenset({WEB, "c.service"}))
        manager.release("GetAll")
        await recorder.until(lambda: recorder.unit("c.service").main_pid == 44)


async def test_what_no_signal_told_is_found_by_reading_afresh(bus_daemon: BusDaemon, manager: FakeManager):
    """A watched unit and another one changed, one is gone, one came; what is as it was is not told."""
    for name in (WEB, DB, "gone.service", "same.service"):
        manager.unit(name, ActiveState="active", SubState="running")
    recorder = Recorder()
    async with _source(bus_daemon, recorder) as source:
        told = len(recorder.seen)
        for name in (WEB, DB):
            manager.unit(name, ActiveState="failed", SubState="failed")
        manager.unit("came.service", ActiveState="active", SubState="running")
        del manager.units["gone.service"]
        await source.reread()
        states = {name: recorder.unit(name) for name in (WEB, DB, "came.service", "gone.service")}
        assert {name: state and state.active for name, state in states.items()} == {
            WEB: ActiveState.FAILED,
            DB: ActiveState.FAILED,
            "came.service": ActiveState.ACTIVE,
            "gone.service": None,
        }
        assert len(recorder.seen) > told
        assert "same.service" not in {each.subject for each in recorder.seen[told:]}
