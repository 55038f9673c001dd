"""Scope: `eventd.platform.systemd.adapter_systemd1` against a scripted manager: jobs, reads, and their races."""

from __future__ import annotations

import asyncio

import pytest

from eventd.kernel.model.errors import DeadlineError, DisconnectedError, PermanentError
from eventd.platform.dbus.connection import Bus
from eventd.platform.model_facts import ActiveState, LoadState, UnitState
from eventd.platform.systemd.adapter_systemd1 import SystemdManager
from eventd.platform.systemd.adapter_unit_values import type_interface, unit_name, unit_path
from eventd.platform.systemd.ports import JobResult, Verb
from tests.wire.bus_daemon import BusDaemon
from tests.wire.fakes.manager import FakeManager
from tests.wire.fakes.peer import Peer

UNIT = "web.service"


@pytest.mark.parametrize(
    ("name", "tail"),
    [
        ("web.service", "web_2eservice"),
        ("9p.mount", "_39p_2emount"),
        ("user@1000.service", "user_401000_2eservice"),
        ("dev-disk-by\\x2duuid-a_b.device", "dev_2ddisk_2dby_5cx2duuid_2da_5fb_2edevice"),
    ],
)
def test_unit_names_and_paths_are_inverse(name: str, tail: str):
    """Paths are as sd_bus_path_encode(3) makes them."""
    assert unit_path(name) == f"/org/freedesktop/systemd1/unit/{tail}"
    assert unit_name(unit_path(name)) == name


def test_other_paths_are_no_units():
    """A job's path names no unit."""
    assert unit_name("/org/freedesktop/systemd1/job/17") == ""


def test_types_without_a_result_are_not_asked_for_one():
    """A target's interface has no `Result`; a service's has."""
    assert type_interface("basic.target") is None
    assert type_interface(UNIT) == "org.freedesktop.systemd1.Service"


@pytest.fixture
async def systemd(bus: Bus, manager: FakeManager) -> SystemdManager:  # noqa: ARG001  it is on the bus first
    adapter = SystemdManager(bus)
    await adapter.attach()
    return adapter


async def test_a_job_is_awaited_through_its_own_job_removed(systemd: SystemdManager, manager: FakeManager):
    """Other jobs' ends, of this unit too, are not taken for it."""
    manager.unit(UNIT)
    task = asyncio.create_task(systemd.job(Verb.START, UNIT, timeout=60))
    await manager.until_called("StartUnit")
    manager.end_job(7, UNIT, "failed")
    manager.end_job(8, "other.service")
    manager.end_job(manager.next_job, UNIT)
    assert await task == JobResult(UNIT, "done")
    assert manager.calls[-1] == ("StartUnit", [UNIT, "replace"])


async def test_a_job_that_ends_before_its_reply_is_not_missed(systemd: SystemdManager, manager: FakeManager):
    """JobRemoved may overtake the reply that names the job; it is remembered until then."""
    manager.unit(UNIT)
    manager.before_reply.append(UNIT)
    assert await systemd.job(Verb.START, UNIT, timeout=60) == JobResult(UNIT, "done")


async def test_a_failed_job_is_a_result_and_no_error(systemd: SystemdManager, manager: FakeManager):
    """The judgement is the caller's."""
    task = asyncio.create_task(systemd.job(Verb.RESTART, UNIT, timeout=60))
    await manager.until_called("RestartUnit")
    manager.end_job(manager.next_job, UNIT, "dependency")
    result = await task
    assert (result.result, result.done) == ("dependency", False)


async def test_a_job_ends_at_its_deadline(systemd: SystemdManager, manager: FakeManager):
    """DeadlineError names verb, unit and seconds; nothing is left registered."""
    with pytest.raises(DeadlineError, match=r"StartUnit web\.service.*0\.05 s"):
        await systemd.job(Verb.START, UNIT, timeout=0.05)
    assert not systemd._ended
    assert not any(systemd.bus._signals._routes.values())
    await manager.until_called("StartUnit")  # it may come after the deadline
    assert manager.count("StartUnit") == 1


async def test_a_reply_that_does_not_come_counts_into_the_deadline(
    systemd: SystemdManager, manager: FakeManager
):
    """The deadline is for call and job together."""
    manager.held["StartUnit"] = []
    async with asyncio.timeout(60):
        with pytest.raises(DeadlineError, match=r"0\.1 s"):
            await systemd.job(Verb.START, UNIT, timeout=0.1)


async def test_a_job_ends_when_the_bus_is_lost(
    systemd: SystemdManager, manager: FakeManager, bus_daemon: BusDaemon
):
    """Nobody waits out a deadline for a signal that cannot come."""
    task = asyncio.create_task(systemd.job(Verb.START, UNIT, timeout=60))
    await manager.until_called("StartUnit")
    bus_daemon.kill()
    with pytest.raises(DisconnectedError):
        await task  # at its deadline it would be another error


async def test_a_job_ends_when_the_manager_is_re_executed(systemd: SystemdManager, manager: FakeManager):
    """The name changes hands: a JobRemoved in between was sent to nobody."""
    task = asyncio.create_task(systemd.job(Verb.START, UNIT, timeout=60))
    await manager.until_called("StartUnit")
    await manager.stop()
    with pytest.raises(DisconnectedError):
        await task


@pytest.mark.parametrize(
    ("error", "reason"),
    [("NoSuchUnit", "no-such-unit"), ("UnitMasked", "unit-masked"), ("LoadFailed", "load-failed")],
)
async def test_a_refused_job_says_why(systemd: SystemdManager, manager: FakeManager, error: str, reason: str):
    """Systemd's own refusals are permanent, each with its reason."""
    manager.refuse["StartUnit"] = (f"org.freedesktop.systemd1.{error}", "no")
    with pytest.raises(PermanentError) as raised:
        await systemd.job(Verb.START, UNIT, timeout=60)
    assert raised.value.reason == reason


async def test_a_unit_is_read_from_both_of_its_interfaces(systemd: SystemdManager, manager: FakeManager):
    """`UnitState` has what Unit says and what Service says."""
    manager.unit(
        UNIT,
        ActiveState="failed",
        SubState="failed",
        FragmentPath="/run/web.service",
        SourcePath="/etc/web.container",
        DropInPaths=["/etc/a.conf"],
        NeedDaemonReload=True,
        UnitFileState="generated",
        InvocationID=bytes(range(16)),
        Job=[5, "/org/freedesktop/systemd1/job/5"],
        StateChangeTimestampMonotonic=1234,
        Result="exit-code",
        NRestarts=3,
        MainPID=42,
        ExecMainStatus=1,
    )
    assert await systemd.read_unit(UNIT) == UnitState(
        UNIT,
        LoadState.LOADED,
        ActiveState.FAILED,
        "failed",
        "exit-code",
        "/run/web.service",
        "/etc/web.container",
        ("/etc/a.conf",),
        needs_reload=True,
        file_state="generated",
        invocation="000102030405060708090a0b0c0d0e0f",
        restarts=3,
        main_pid=42,
        job=5,
        since=1234,
        exec_status=1,
    )


async def test_what_a_service_says_of_itself_is_kept_short_and_is_no_change(
    systemd: SystemdManager, manager: FakeManager
):
    """`StatusText` is on one line, and two states that differ in it alone are the same."""
    manager.unit(UNIT, StatusText="pull failed:\n  no such image\n" + "x" * 5000)
    state = await systemd.read_unit(UNIT)
    assert state.status_text.startswith("pull failed: no such image x")
    assert len(state.status_text) == 300
    assert state.status_suffix == f"; it said: {state.status_text}"
    assert state == await systemd.read_unit(UNIT)
    manager.units[UNIT]["StatusText"] = ""
    assert state == (now := await systemd.read_unit(UNIT))
    assert now.status_suffix == ""


async def test_a_unit_that_is_not_there_is_a_value(systemd: SystemdManager):
    """`not-found` is a load state, not an error."""
    assert await systemd.read_unit("nope.service") == UnitState("nope.service")


async def test_states_of_a_newer_systemd_are_neither_up_nor_down(
    systemd: SystemdManager, manager: FakeManager
):
    """An unknown ActiveState does not break the reading."""
    manager.unit(UNIT, ActiveState="levitating")
    state = await systemd.read_unit(UNIT)
    assert (state.active, state.up) == (ActiveState.MAINTENANCE, False)


async def test_subscribing_twice_is_no_error(systemd: SystemdManager, manager: FakeManager):
    """A connection that is subscribed already is what we want."""
    manager.refuse["Subscribe"] = ("org.freedesktop.systemd1.AlreadySubscribed", "again?")
    await systemd.subscribe()


async def test_forgetting_the_failure_of_an_unloaded_unit_is_no_error(
    systemd: SystemdManager, manager: FakeManager
):
    """What is not loaded has no failure to forget; other refusals are told."""
    manager.refuse["ResetFailedUnit"] = ("org.freedesktop.systemd1.NoSuchUnit", "not loaded")
    await systemd.reset_failed(UNIT)
    manager.refuse["ResetFailedUnit"] = ("org.freedesktop.DBus.Error.AccessDenied", "no")
    with pytest.raises(PermanentError):
        await systemd.reset_failed(UNIT)


async def test_a_reload_returns_with_the_managers_answer(systemd: SystemdManager, manager: FakeManager):
    """Systemd answers Reload when it has finished; the deadline is the caller's."""
    manager.held["Reload"] = []
    task = asyncio.create_task(systemd.reload(timeout=60))
    await manager.until_called("Reload")
    assert not task.done()
    manager.release("Reload")
    await task
    manager.held["Reload"] = []
    with pytest.raises(DeadlineError):
        await systemd.reload(timeout=0.05)


async def test_a_peer_that_is_not_systemd_cannot_end_a_job(
    systemd: SystemdManager, manager: FakeManager, bus_daemon: BusDaemon
):
    """A JobRemoved that somebody sends us directly is not believed."""
    stranger = Peer()
    await stranger.start(bus_daemon.address)
    task = asyncio.create_task(systemd.job(Verb.START, UNIT, timeout=0.3))
    await manager.until_called("StartUnit")
    path = f"/org/freedesktop/systemd1/job/{manager.next_job}"
    stranger.signal(
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
        "JobRemoved",
        "uoss",
        [manager.next_job, path, UNIT, "done"],
        to=systemd.bus._connection.unique_name,
    )
    with pytest.raises(DeadlineError):
        await task
    await stranger.stop()
