"""The D-Bus adapter and its sources against the real thing: systemd 257, logind, dbus-daemon, user managers.

Each test runs a program in the host with eventd's own Python: the sources as the daemon composes them, and
something done to the host behind their back.
"""

from __future__ import annotations

import json
import textwrap
from typing import Any

import pytest

from tests.host.machine import Machine

UID = 1500
PROGRAM = """
import asyncio, json, os, pathlib, subprocess, time
import anyio
from eventd.platform.dbus.connection import Bus
from eventd.platform.inotify import Inotify
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_facts import Account, PlatformFact
from eventd.workloads.model_events import WorkloadEvent
from eventd.workloads.model_facts import ManagerState, WorkloadFact
from eventd.platform.systemd.ports import Verb
from eventd.kernel.dispatch import Dispatcher
from eventd.platform.systemd.source_logind import LogindSource
from eventd.platform.systemd.source import SystemSource
from eventd.managers.source import UserManagersSource

WEB = Account("web", 1500, 1500, "/home/web")
MANAGER = FactKey(WorkloadFact.MANAGER, "web")
APP = "app.service"

class Host:
    def __init__(self):
        self.dispatcher = Dispatcher()
        self.facts = self.dispatcher.facts
        inotify = Inotify()
        self.system = SystemSource(self.dispatcher.emit)
        self.users = UserManagersSource(self.dispatcher.emit, self.facts, inotify)
        self.logind = LogindSource(self.dispatcher.emit, inotify)
        self.runs = (inotify, self.system, self.users, self.logind)

    def unit(self, name=APP, scope="web"):
        return self.facts.get(FactKey(PlatformFact.UNIT, name, scope))

    def get(self, kind, name=""):
        return self.facts.get(FactKey(kind, name))

    def count(self, kind, scope=None, since=0):
        events = self.dispatcher.since(since)
        return sum(e.kind is kind and scope in (None, e.scope) for e in events)

    def read_by(self, origin, since, scope=""):
        read = (origin, KernelEvent.READ, "org.", scope)
        return any((e.origin, e.kind, e.subject[:4], e.scope) == read for e in self.dispatcher.since(since))

    async def until(self, condition, timeout=120):
        with anyio.fail_after(timeout):
            while not condition():
                await self.dispatcher.more(self.dispatcher.sequence)

    async def user(self):
        await self.logind.set_linger(WEB, True, timeout=120)
        result = await self.system.job(Verb.START, "user@1500.service", timeout=120)
        assert result.done, result
        self.users.watch("web", frozenset({APP}))
        return await self.users.connect(WEB, timeout=120)

async def sh(command, user=False):
    if user:
        command = f"runuser -u web -- env XDG_RUNTIME_DIR=/run/user/1500 {command}"
    process = await asyncio.create_subprocess_shell(command)
    return await process.wait()

async def run():
    host = Host()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(host.runs[0].run)
        for source in host.runs[1:]:
            await tasks.start(source.run)
        answer = await main(host)
        tasks.cancel_scope.cancel()
    return answer
"""


def lab(machine: Machine, body: str, *, timeout: float = 400) -> Any:
    """Run `body`, which defines `async def main(host)`; return what that returns."""
    program = PROGRAM + textwrap.dedent(body) + "\nprint('\\n' + json.dumps(asyncio.run(run())))\n"
    done = machine.run(["/opt/eventd/bin/python", "-"], input=program, timeout=timeout)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", autouse=True)
def _web(machine: Machine) -> None:
    machine.run(["useradd", "--uid", str(UID), "--create-home", "web"])
    machine.write("/home/web/.config/systemd/user/app.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    machine.run(["chown", "-R", "web:", "/home/web/.config"])


def test_from_nothing_to_a_running_unit(machine: Machine) -> None:
    """Lingering, the manager's job, the user's bus, reload, start: facts are current at each return."""
    answer = lab(
        machine,
        """
        async def main(host):
            manager = await host.user()
            linger = host.get(PlatformFact.LINGER, "web")
            up = host.get(WorkloadFact.MANAGER, "web")
            active = host.unit("user@1500.service", "").active
            await manager.reload(timeout=120)
            result = await manager.job(Verb.START, APP, timeout=120)
            state = host.unit()
            await manager.job(Verb.STOP, APP, timeout=120)
            return [linger, up, active, result.done, state.active, state.main_pid > 1, len(state.invocation),
                    state.fragment_path, host.unit().active, os.getresuid()]
        """,
    )
    path = "/home/web/.config/systemd/user/app.service"
    assert answer == [True, "up", "active", True, "active", True, 32, path, "inactive", [0, 0, 0]]


def test_refusals_have_systemds_reasons(machine: Machine) -> None:
    """No such unit, masked, not applicable: what the real manager answers is known to us."""
    answer = lab(
        machine,
        """
        async def main(host):
            await sh("ln -sf /dev/null /etc/systemd/system/masked.service")
            await host.system.reload(timeout=120)
            reasons = []
            cases = [(Verb.START, "missing.service"), (Verb.START, "masked.service"),
                     (Verb.RESTART, "-.mount"), (Verb.START, "not a name")]
            for verb, unit in cases:
                try:
                    await host.system.job(verb, unit, timeout=120)
                except EventdError as error:
                    reasons.append(error.reason)
            await host.system.reset_failed("missing.service")
            return reasons
        """,
    )
    assert answer == ["no-such-unit", "unit-masked", "job-type-not-applicable", "invalid-args"]


def test_a_unit_that_dies_is_seen_dying(machine: Machine) -> None:
    """Result and exit status come with the same fact as the state."""
    answer = lab(
        machine,
        """
        async def main(host):
            manager = await host.user()
            await manager.job(Verb.START, APP, timeout=120)
            os.kill(host.unit().main_pid, 9)
            await host.until(lambda: host.unit().active == "failed")
            state = host.unit()
            await manager.reset_failed(APP)
            return [state.result, state.exec_status, state.main_pid]
        """,
    )
    assert answer == ["signal", 9, 0]


def test_a_missing_unit_is_read_once(machine: Machine) -> None:
    """Reading it makes systemd announce it as new and as removed; that wakes nobody for ever."""
    answer = lab(
        machine,
        """
        async def main(host):
            await host.user()
            host.users.watch("web", frozenset({"nope.service"}))
            host.system.watch(frozenset({"nope.service"}))
            await host.until(lambda: host.unit("nope.service") and host.unit("nope.service", ""))
            for _ in range(20):  # the last of what the reading itself brought may take its time
                before = host.dispatcher.sequence
                await anyio.sleep(1.5)
                if host.dispatcher.sequence == before:
                    break
            return host.dispatcher.sequence - before
        """,
    )
    assert answer == 0


def test_a_restarted_user_bus_is_connected_to_again(machine: Machine) -> None:
    """`systemctl --user restart dbus`: a gap, and the facts are right again, and follow."""
    answer = lab(
        machine,
        """
        async def main(host):
            manager = await host.user()
            await manager.job(Verb.START, APP, timeout=120)
            mark = host.dispatcher.sequence
            await sh("systemctl --user restart dbus", user=True)
            await host.until(lambda: host.count(WorkloadEvent.CONNECTED, "web", mark))
            manager = await host.users.connect(WEB, timeout=120)
            before = host.unit().active
            await manager.job(Verb.STOP, APP, timeout=120)
            gaps = host.count(KernelEvent.GAP, "web", mark)  # the manager left the bus, and the bus was lost
            return [gaps > 0, before, host.unit().active, host.get(WorkloadFact.MANAGER, "web")]
        """,
    )
    assert answer == [True, "active", "inactive", "up"]


def test_a_stopped_user_bus_is_unreachable_until_its_socket_is_back(machine: Machine) -> None:
    """The manager is active and its bus is not: that is a state of its own, and it ends by itself."""
    answer = lab(
        machine,
        """
        async def main(host):
            await host.user()
            await sh("systemctl --user stop dbus.socket dbus.service", user=True)
            await host.until(lambda: host.get(WorkloadFact.MANAGER, "web") == "unreachable")
            try:
                await host.users.connect(WEB, timeout=0.5)
            except EventdError as error:
                reason = error.reason
            await sh("systemctl --user start dbus.socket", user=True)
            await host.until(lambda: host.get(WorkloadFact.MANAGER, "web") == "up")
            return reason
        """,
    )
    assert answer == "user-manager-unavailable"


@pytest.mark.parametrize("what", ["daemon-reexec", "daemon-reload"])
@pytest.mark.parametrize("user", [False, True])
def test_all_is_read_again_after(machine: Machine, what: str, *, user: bool) -> None:
    """Of the system's manager and of a user's; signals of the new process are taken."""
    answer = lab(
        machine,
        f"""
        async def main(host):
            manager = await host.user()
            scope, origin = ("web", "user-manager") if {user} else ("", "systemd")
            mark = host.dispatcher.sequence
            assert await sh("systemctl {"--user " if user else ""}{what}", user={user}) == 0
            await host.until(lambda: host.read_by(origin, mark, scope))
            await anyio.sleep(0.2)
            detached = host.unit("user@1500.service", "") is None or host.unit() is None
            manager = await host.users.connect(WEB, timeout=120) if {user} else host.system
            unit = APP if {user} else "network-online.target"
            first = await manager.job(Verb.START, unit, timeout=120)
            up = host.unit(unit, scope).up
            await manager.job(Verb.STOP, unit, timeout=120)
            after = host.unit(unit, scope)  # a target that nothing refers to is forgotten
            return [detached, first.done, up, after is not None and after.up]
        """,
    )
    assert answer == [False, True, True, False]


def test_a_manager_that_is_stopped_takes_its_facts_with_it(machine: Machine) -> None:
    """And once it is started again by somebody else, it is connected to by itself."""
    answer = lab(
        machine,
        """
        async def main(host):
            await host.user()
            await sh("systemctl stop user@1500.service")
            await host.until(lambda: host.get(WorkloadFact.MANAGER, "web") == "down")
            gone = host.unit()
            began = time.monotonic()
            try:
                await host.users.connect(WEB, timeout=300)
            except EventdError as error:
                reason = error.reason
            quick = time.monotonic() - began < 60  # not at the deadline
            await sh("systemctl start user@1500.service")
            await host.until(lambda: host.get(WorkloadFact.MANAGER, "web") == "up")
            return [gone, reason, quick, host.unit() is not None]
        """,
    )
    assert answer == [None, "user-manager-unavailable", True, True]


def test_sessions_with_a_person_behind_them(machine: Machine) -> None:
    """A login counts, the manager's own session does not; lingering set by loginctl is seen."""
    answer = lab(
        machine,
        """
        async def main(host):
            await host.user()
            before = host.get(PlatformFact.SESSIONS, "web")
            await sh("systemd-run -q -p PAMName=login -p User=web -p Environment=XDG_SESSION_CLASS=user "
                     "-p Type=exec --unit=person sleep infinity")
            await host.until(lambda: host.get(PlatformFact.SESSIONS, "web"))
            during = len(host.get(PlatformFact.SESSIONS, "web"))
            await sh("systemctl stop person")
            await host.until(lambda: host.get(PlatformFact.SESSIONS, "web") is None)
            await sh("loginctl disable-linger web")
            await host.until(lambda: host.get(PlatformFact.LINGER, "web") is None)
            await sh("loginctl enable-linger web")
            await host.until(lambda: host.get(PlatformFact.LINGER, "web"))
            return [before, during]
        """,
    )
    assert answer == [None, 1]


def test_a_restarted_logind_is_read_again(machine: Machine) -> None:
    """The name changes hands; the port works with the new one."""
    answer = lab(
        machine,
        """
        async def main(host):
            mark = host.dispatcher.sequence
            await sh("systemctl restart systemd-logind")
            await host.until(lambda: host.read_by("logind", mark))
            await host.logind.set_linger(WEB, True, timeout=120)
            return [host.count(KernelEvent.GAP, None, mark), host.get(PlatformFact.LINGER, "web")]
        """,
    )
    assert answer == [1, True]


def test_a_restart_of_the_systems_bus_is_survived(machine: Machine) -> None:
    """Systemd is back at once and read again; logind (257) only when it is restarted, and is waited for."""
    answer = lab(
        machine,
        """
        async def main(host):
            mark = host.dispatcher.sequence
            await sh("systemctl restart dbus")
            await host.until(lambda: host.read_by("systemd", mark))
            result = await host.system.job(Verb.START, "network-online.target", timeout=120)
            await host.system.job(Verb.STOP, "network-online.target", timeout=120)
            mark = host.dispatcher.sequence
            await sh("systemctl restart systemd-logind")
            await host.until(lambda: host.read_by("logind", mark))
            await host.logind.set_linger(WEB, True, timeout=120)
            return result.done
        """,
    )
    assert answer is True


def test_a_shutdown_is_announced(machine: Machine) -> None:
    """PrepareForShutdown comes while delay inhibitors hold the shutdown up. Last: the host goes down."""
    # Held up until the answer is out, on any machine; five seconds are the default.
    machine.write("/etc/systemd/logind.conf.d/held.conf", "[Login]\nInhibitDelayMaxSec=10min\n")
    machine.run(["systemctl", "restart", "systemd-logind"])
    answer = lab(
        machine,
        """
        async def main(host):
            assert host.get(PlatformFact.SHUTDOWN) is False
            held = subprocess.Popen(
                ["systemd-inhibit", "--what=shutdown", "--mode=delay", "--who=test", "--why=test",
                 "sh", "-c", "echo held; exec sleep infinity"], stdout=subprocess.PIPE)
            await anyio.to_thread.run_sync(held.stdout.readline)
            await sh("systemctl --no-block poweroff")
            await host.until(lambda: host.get(PlatformFact.SHUTDOWN) is True)
            return True
        """,
    )
    assert answer is True
