"""Scope: a workload's own bus in the place of its user's, by all attacks of `eventd_simulators.hostile`.

The hostile bus is a process of its own, as on a host; the daemon's source is here, beside that of an honest neighbour.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.model.errors import EventdError, TemporaryError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.managers import source_link as manager_link
from eventd.managers.source import UserManagersSource
from eventd.platform.inotify import Inotify
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import Account, ActiveState, LoadState, PlatformFact, UnitState
from eventd.platform.systemd.ports import Verb
from eventd.workloads.model_facts import ManagerState, WorkloadFact
from eventd_simulators.hostile.attacks import ATTACKS
from tests.processes import open_descriptors
from tests.unit.kernel.recorder import Recorder
from tests.wire.running import running

EVIL, GOOD = Account("evil", 7001, 7001, "/home/evil"), Account("good", 7002, 7002, "/home/good")
UNIT = "web.service"
ENDED = {
    "job-flood": "signal-flood",
    "state-flood": "signal-flood",
    "property-flood": "signal-flood",
    "owner-flood": "signal-flood",
    "reowner": "signal-flood",
    "reloads": "signal-flood",
    "reply-flood": "signal-flood",
    "call-flood": "signal-flood",
    "other-places": "signal-flood",
    "long-names": "message-too-large",
    "huge-message": "message-too-large",
    "endless-header": "message-too-large",
    "error-text": "message-too-large",
    "hello-error": "message-too-large",
    "many-signatures": "bad-message",
    "deep-variants": "bad-message",
    "many-variants": "bad-message",
    "no-body": "bad-message",
    "no-rows": "bad-reply",
    "wrong-signature": "bad-reply",
    "noise": "bad-message",
    "huge-values": "bad-reply",
    "wrong-types": "bad-reply",
}
"""Attacks for which the connection is ended, and the reason."""


def resident() -> int:
    """Return the memory of this process, in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Host:
    """Two users' runtime folders, and the source over them."""

    def __init__(self, folder: Path, emit: Recorder | Dispatcher) -> None:
        self.folder = folder
        self.emit = emit.emit if isinstance(emit, Dispatcher) else emit
        self.facts = emit.facts
        self.inotify = Inotify()
        self.source = UserManagersSource(
            self.emit, self.facts, self.inotify, address=f"unix:path={folder}/{{uid}}/bus", as_user=False
        )
        for account in (EVIL, GOOD):
            (folder / str(account.uid)).mkdir()
            self.source.watch(account.name, frozenset({UNIT}))
            name = f"user@{account.uid}.service"
            state = UnitState(name, LoadState.LOADED, ActiveState.ACTIVE)
            self.emit(
                PlatformOrigin.SYSTEMD,
                PlatformEvent.UNIT_CHANGED,
                name,
                facts=[(FactKey(PlatformFact.UNIT, name), state)],
            )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the source."""
        task = asyncio.create_task(self.inotify.run())
        try:
            async with running(self.source.run):
                yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            self.inotify.close()

    @contextmanager
    def bus(self, account: Account, attack: str, *options: str) -> Iterator[subprocess.Popen[str]]:
        """Have a user's bus served by a hostile program, or an honest one (`none`)."""
        argv = [sys.executable, "-m", "eventd_simulators.hostile.bus", f"{self.folder}/{account.uid}/bus"]
        with subprocess.Popen([*argv, attack, UNIT, *options], stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "listening\n"
                yield process
            finally:
                process.kill()

    def manager(self, account: Account) -> ManagerState | None:
        """Return the MANAGER fact."""
        value = self.facts.get(FactKey(WorkloadFact.MANAGER, account.name))
        assert value is None or isinstance(value, ManagerState)
        return value

    async def good_works(self) -> None:
        """The neighbour's manager takes a job and tells of its end."""
        manager = await self.source.connect(GOOD, timeout=60)
        assert (await manager.job(Verb.RESTART, UNIT, timeout=60)).done
        assert self.manager(GOOD) is ManagerState.UP


@pytest.fixture
async def host(tmp_path: Path, monkeypatch) -> AsyncIterator[Host]:
    monkeypatch.setattr(manager_link, "CONNECT_TIMEOUT", 2.0)
    made = Host(tmp_path, Recorder())
    with made.bus(GOOD, "none"):
        async with made.running():
            await made.source.connect(GOOD, timeout=60)
            yield made


async def refused(source: UserManagersSource, connecting: asyncio.Task[object]) -> None:
    """Return when a connection is not to be had any more, with the error: it may have been up before."""
    await connecting
    while True:
        await source.connect(EVIL, timeout=60)
        await asyncio.sleep(0)


def gaps(recorder: Recorder) -> list[str]:
    """Return the reasons for which the connection to the hostile bus was ended."""
    return [
        str(e.attributes["reason"]) for e in recorder.seen if e.kind is KernelEvent.GAP and e.scope == "evil"
    ]


@pytest.mark.parametrize(("attack", "reason"), sorted(ENDED.items()))
async def test_a_bus_that_is_none_loses_its_connection_and_nobody_else_theirs(
    host: Host, attack: str, reason: str
):
    """It is ended for what was wrong, which is told; the neighbour is as before; and little memory is gone."""
    before = resident()
    with host.bus(EVIL, attack):
        connecting = asyncio.create_task(host.source.connect(EVIL, timeout=60))
        await host.emit.until(lambda: reason in gaps(host.emit))
        await host.good_works()
        with pytest.raises(TemporaryError) as raised:
            await refused(host.source, connecting)
        assert raised.value.reason == "bus-misbehaves"
        assert "left alone for" in raised.value.message
        assert len(raised.value.message) < 1000
        assert raised.value.message.isprintable()
    assert resident() - before < 32 << 20
    assert {e.scope for e in host.emit.seen if e.kind is KernelEvent.GAP} == {"evil"}


@pytest.mark.parametrize("attack", sorted(ATTACKS.keys() - ENDED.keys()))
async def test_a_bus_that_is_of_no_use_holds_up_nobody(host: Host, attack: str):
    """Silent ones, half ones, ones that hang up: the neighbour is as before, and little is kept of them."""
    before, open_files = resident(), open_descriptors()
    with host.bus(EVIL, attack) as bus:
        connecting = asyncio.create_task(host.source.connect(EVIL, timeout=3))
        assert bus.stdout is not None
        assert await asyncio.to_thread(bus.stdout.readline) == "connected\n"
        await host.good_works()
        try:
            manager = await connecting
            await manager.job(Verb.START, UNIT, timeout=1)
        except EventdError as error:
            assert error.message.isprintable()  # noqa: PT017 - of those that are no use
        await host.good_works()
        assert open_descriptors() < open_files + 10
    assert resident() - before < 32 << 20
