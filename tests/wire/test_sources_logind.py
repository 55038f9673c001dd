"""Scope: `LogindSource` against a scripted logind and a real folder of linger flags."""

# ruff: noqa: ARG001, ASYNC240  logind has to be there; a folder of the test's own

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eventd.kernel.model.errors import DisconnectedError, PermanentError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey, KernelFact, SourceTrouble
from eventd.platform.inotify import Inotify
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import Account, ActiveState, LoadState, PlatformFact, UnitState
from eventd.platform.systemd.source_logind import LOGIND_UNIT, LogindSource
from tests.unit.kernel.recorder import Recorder
from tests.wire.bus_daemon import BusDaemon
from tests.wire.fakes.logind import FakeLogind
from tests.wire.running import running

WEB = Account("web", 1500, 1500, "/home/web")
LINGER = FactKey(PlatformFact.LINGER, "web")
SESSIONS = FactKey(PlatformFact.SESSIONS, "web")
STATE = FactKey(KernelFact.SOURCE, "logind")
SHUTDOWN = FactKey(PlatformFact.SHUTDOWN)


@pytest.fixture
def linger(tmp_path: Path) -> Path:
    return tmp_path / "linger"


@pytest.fixture
async def logind(bus_daemon: BusDaemon, linger: Path) -> AsyncIterator[FakeLogind]:
    fake = FakeLogind(linger, {1500: "web"})
    await fake.start(bus_daemon.address)
    yield fake
    await fake.stop()


@asynccontextmanager
async def _source(daemon: BusDaemon, linger: Path, recorder: Recorder) -> AsyncIterator[LogindSource]:
    inotify = Inotify()
    task = asyncio.create_task(inotify.run())
    source = LogindSource(
        recorder, inotify, address=daemon.address, linger_folder=str(linger), facts=recorder.facts
    )
    try:
        async with running(source.run):
            yield source
    finally:
        task.cancel()
        await asyncio.wait({task})
        inotify.close()


async def test_people_are_sessions_and_managers_are_not(
    bus_daemon: BusDaemon, logind: FakeLogind, linger: Path
):
    """A user's manager and a cron job are sessions of logind too, with nobody behind them."""
    logind.sessions = {
        "1": (1500, "web", "user"),
        "2": (1500, "web", "manager"),
        "3": (1501, "db", "background"),
        "c4": (1500, "web", "user-early"),
    }
    recorder = Recorder()
    async with _source(bus_daemon, linger, recorder):
        assert recorder.facts.get(SESSIONS) == frozenset({"1", "c4"})
        assert FactKey(PlatformFact.SESSIONS, "db") not in recorder.facts
        assert recorder.facts.get(SHUTDOWN) is False


async def test_logging_in_and_out(bus_daemon: BusDaemon, logind: FakeLogind, linger: Path):
    """SessionNew and SessionRemoved have the sessions read; with the last one the fact is gone."""
    recorder = Recorder()
    async with _source(bus_daemon, linger, recorder):
        logind.sessions["1"] = (1500, "web", "user")
        logind.say("SessionNew", "so", ["1", "/s/1"])
        await recorder.until(lambda: recorder.facts.get(SESSIONS) == {"1"})
        del logind.sessions["1"]
        logind.say("SessionRemoved", "so", ["1", "/s/1"])
        await recorder.until(lambda: SESSIONS not in recorder.facts)
    assert (
        recorder.count(PlatformEvent.SESSION_NEW, "1")
        == recorder.count(PlatformEvent.SESSION_REMOVED, "1")
        == 1
    )


async def test_a_session_that_begins_while_sessions_are_read(
    bus_daemon: BusDaemon, logind: FakeLogind, linger: Path
):
    """The older answer does not stay: a change during the read has them read once more."""
    recorder = Recorder()
    async with _source(bus_daemon, linger, recorder):
        logind.sessions["1"] = (1500, "web", "user")
        logind.held["Get"] = []
        logind.say("SessionNew", "so", ["1", "/s/1"])
        await logind.until_called("Get", 2)
        del logind.sessions["1"]
        logind.sessions["2"] = (1500, "web", "user")
        logind.say("SessionRemoved", "so", ["1", "/s/1"])
        logind.say("SessionNew", "so", ["2", "/s/2"])
        logind.release("Get")
        await recorder.until(lambda: recorder.facts.get(SESSIONS) == {"2"})


async def test_a_shutdown_is_announced_and_taken_back(
    bus_daemon: BusDaemon, logind: FakeLogind, linger: Path
):
    """PrepareForShutdown(true) sets the fact, (false) takes it back."""
    recorder = Recorder()
    async with _source(bus_daemon, linger, recorder):
        logind.say("PrepareForShutdown", "b", [True])
        await recorder.until(lambda: recorder.facts.get(SHUTDOWN) is True)
        logind.say("PrepareForShutdown", "b", [False])
        await recorder.until(lambda: recorder.facts.get(SHUTDOWN) is False)


async def test_a_shutdown_under_way_at_the_start_is_known(
    bus_daemon: BusDaemon, logind: FakeLogind, linger: Path
):
    """The property is read, since its signal has long gone."""
    logind.shutting_down = True
    recorder = Recorder()
    async with _source(bus_daemon, linger, recorder):
        assert recorder.facts.get(SHUTDOWN) is True


async def test_lingering_is_set_when_the_call_returns(
    bus_daemon: BusDaemon, logind: FakeLogind, linger: Path
):
    """Without waiting for inotify; also where the folder did not exist before."""
    recorder = Recorder()
    async with _source(bus_daemon, linger, recorder) as source:
        await source.set_linger(WEB, True, timeout=60)
        assert recorder.facts.get(LINGER) is True
        await source.set_linger(WEB, False, timeout=60)
        assert LINGER not in recorder.facts
    assert ("SetUserLinger", [1500, True, False]) in logind.calls


async def test_lingering_that_somebody_else_changes(bus_daemon: BusDaemon, logind: FakeLogind, linger: Path):
    """A flag file is a fact, in a folder that appears, vanishes and appears again."""
    recorder = Recorder()
    async with _source(bus_daemon, linger, recorder):
        for _ in range(3):
            linger.mkdir()
            (linger / "web").touch()
            await recorder.until(lambda: recorder.facts.get(LINGER) is True)
            (linger / "web").unlink()
            await recorder.until(lambda: LINGER not in recorder.facts)
            linger.rmdir()


async def test_who_lingers_at_the_start_is_known(bus_daemon: BusDaemon, logind: FakeLogind, linger: Path):
    """The folder is read before it has started."""
    linger.mkdir()
    (linger / "web").touch()
    recorder = Recorder()
    async with _source(bus_daemon, linger, recorder):
        assert recorder.facts.get(LINGER) is True


async def test_a_user_that_logind_does_not_know(bus_daemon: BusDaemon, logind: FakeLogind, linger: Path):
    """A permanent error with its reason."""
    async with _source(bus_daemon, linger, Recorder()) as source:
        with pytest.raises(PermanentError) as raised:
            await source.set_linger(Account("x", 4, 4, "/"), True, timeout=60)
    assert raised.value.reason == "no-such-user"


async def test_a_restarted_logind_is_a_gap_and_all_is_read_again(
    bus_daemon: BusDaemon, logind: FakeLogind, linger: Path
):
    """Sessions that came and went with nobody listening are right afterwards."""
    logind.sessions["1"] = (1500, "web", "user")
    recorder = Recorder()
    async with _source(bus_daemon, linger, recorder) as source:
        await logind.stop()
        await recorder.until_event(KernelEvent.GAP)
        with pytest.raises(DisconnectedError):
            await source.set_linger(WEB, True, timeout=60)
        logind.sessions = {"2": (1500, "web", "user")}
        await logind.start(bus_daemon.address)
        await recorder.until(lambda: recorder.facts.get(SESSIONS) == {"2"})
        logind.say("PrepareForShutdown", "b", [True])
        await recorder.until(lambda: recorder.facts.get(SHUTDOWN) is True)


async def test_a_lost_bus_is_a_gap_and_all_is_read_again(
    bus_daemon: BusDaemon, logind: FakeLogind, linger: Path
):
    """The connection is made again, and read from the start."""
    recorder = Recorder()
    async with _source(bus_daemon, linger, recorder):
        bus_daemon.kill()
        await recorder.until_event(KernelEvent.GAP)
        await logind.stop()
        logind.sessions["1"] = (1500, "web", "user")
        bus_daemon.start()
        await logind.start(bus_daemon.address)
        await recorder.until(lambda: recorder.facts.get(SESSIONS) == {"1"})


@pytest.mark.parametrize(
    ("unit", "said", "cure"),
    [
        (
            UnitState("", LoadState.LOADED, ActiveState.ACTIVE),
            "not on the bus",
            "systemctl restart systemd-logind",
        ),
        (UnitState("", LoadState.MASKED), "masked", "systemctl unmask systemd-logind && "),
        (UnitState("", LoadState.LOADED, ActiveState.ACTIVATING), "still starting", "systemctl status"),
        (UnitState("", LoadState.LOADED, ActiveState.FAILED), "", "systemctl status systemd-logind"),
    ],
)
async def test_a_logind_that_cannot_be_had_is_a_trouble_with_its_cure(
    bus_daemon: BusDaemon, linger: Path, unit: UnitState, said: str, cure: str
):
    """What ends it depends on how its unit is, also where that is known only later; once it is there, all is well."""
    recorder, logind, inotify = Recorder(), FakeLogind(linger, {}), Inotify()
    task = asyncio.create_task(inotify.run())
    source = LogindSource(
        recorder, inotify, address=bus_daemon.address, linger_folder=str(linger), facts=recorder.facts
    )
    going = asyncio.create_task(source.run())

    def trouble() -> SourceTrouble | None:
        value = recorder.facts.get(STATE)
        return value if isinstance(value, SourceTrouble) else None

    try:
        await recorder.until(lambda: trouble() is not None)
        recorder(PlatformOrigin.SYSTEMD, KernelEvent.READ, "units", facts=[(LOGIND_UNIT, unit)])
        found = trouble()
        assert found is not None
        assert found.reason == "logind-unavailable"
        assert said in found.message
        assert found.hint.startswith(cure)
        await logind.start(bus_daemon.address)
        await recorder.until(lambda: recorder.facts.get(STATE) is True)
        recorder(PlatformOrigin.SYSTEMD, KernelEvent.READ, "units", facts=[(LOGIND_UNIT, None)])
        assert recorder.facts.get(STATE) is True
        await logind.stop()
        await recorder.until(lambda: trouble() is not None)  # it is asked for again, and does not come
    finally:
        for each in (going, task):
            each.cancel()
            await asyncio.wait({each})
        inotify.close()
        await logind.stop()


async def test_it_waits_for_a_logind_that_cannot_be_started(bus_daemon: BusDaemon, linger: Path):
    """Asked for once over the bus; then it comes by itself, and is noticed by its name."""
    recorder = Recorder()
    logind = FakeLogind(linger, {})

    async def come() -> None:
        await asyncio.sleep(0.05)
        await logind.start(bus_daemon.address)

    task = asyncio.create_task(come())
    async with _source(bus_daemon, linger, recorder):
        assert recorder.facts.get(SHUTDOWN) is False
    await task
    await logind.stop()


async def test_started_again_lingering_is_followed_on(
    bus_daemon: BusDaemon, logind: FakeLogind, linger: Path
):
    """What ended it ended its subscriptions; the next run has its own."""
    recorder, inotify = Recorder(), Inotify()
    linger.mkdir()
    task = asyncio.create_task(inotify.run())
    source = LogindSource(recorder, inotify, address=bus_daemon.address, linger_folder=str(linger))
    try:
        async with running(source.run):
            pass
        async with running(source.run):
            (linger / "web").touch()
            await recorder.until(lambda: recorder.facts.get(LINGER) is True)
    finally:
        task.cancel()
        await asyncio.wait({task})
        inotify.close()


async def test_what_no_signal_told_is_found_by_reading_afresh(
    bus_daemon: BusDaemon, logind: FakeLogind, linger: Path
):
    """Somebody logged in, and a shutdown was called off."""
    logind.shutting_down = True
    recorder = Recorder()
    async with _source(bus_daemon, linger, recorder) as source:
        assert recorder.facts.get(SHUTDOWN) is True
        logind.sessions["1"] = (1500, "web", "user")
        logind.shutting_down = False
        await source.reread()
        assert recorder.facts.get(SESSIONS) == frozenset({"1"})
        assert recorder.facts.get(SHUTDOWN) is False
