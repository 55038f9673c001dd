"""Scope: mounts.source_devices over a made-up monitor; eventd.mounts.adapter_udev where there is nothing to watch.

The real monitor, with real devices, is in tests/host/test_fact_sources.py.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from eventd.kernel.model import backoff
from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import KernelFact, SourceTrouble
from eventd.mounts.adapter_udev import Block, BlockMonitor
from eventd.mounts.model_events import MountEvent, MountOrigin
from eventd.mounts.model_facts import DeviceState, MountFact
from eventd.mounts.source_devices import DevicesSource, Monitor
from tests.unit.kernel.recorder import Recorder

UUID = "11111111-2222-3333-4444-555555555555"


def block(name: str, uuid: str = UUID, *, label: str = "", fstype: str = "ext4") -> Block:
    return Block(f"/devices/virtual/block/{name}", f"/dev/{name}", uuid, label, fstype)


class FakeMonitor:
    """Devices that a test plugs in and out, with a descriptor that becomes readable."""

    def __init__(self, *blocks: Block) -> None:
        self.present = {each.path: each for each in blocks}
        self.queue: list[tuple[str, Block]] = []
        self.lost = False
        self.made = 0
        self.fd = -1

    def connect(self) -> FakeMonitor:
        self.close()
        self.made += 1
        self.fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.queue.clear()
        self.lost = False
        return self

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def fileno(self) -> int:
        return self.fd

    def receive(self) -> list[tuple[str, Block]]:
        with contextlib.suppress(BlockingIOError):  # woken once more than needed, as with a socket
            os.eventfd_read(self.fd)
        if self.lost:
            raise TemporaryError("events were lost", reason="udev-lost")
        received, self.queue = self.queue, []
        return received

    def blocks(self) -> list[Block]:
        return list(self.present.values())

    def tell(self, action: str, *blocks: Block) -> None:
        for each in blocks:
            if action == "remove":
                del self.present[each.path]
            else:
                self.present[each.path] = each
            self.queue.append((action, each))
        os.eventfd_write(self.fd, 1)

    def lose(self, *now: Block) -> None:
        """Overflow: the devices are others now, and no event says so."""
        self.present = {each.path: each for each in now}
        self.lost = True
        os.eventfd_write(self.fd, 1)


@asynccontextmanager
async def running(emit: Recorder, monitor: Callable[[], Monitor]) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        await group.start(DevicesSource(emit, monitor=monitor).run)
        yield
        group.cancel_scope.cancel()


async def test_what_is_attached_is_read_before_it_starts() -> None:
    """When the source has started, a missing fact means that no such file system is attached."""
    emit = Recorder()
    monitor = FakeMonitor(block("sda1", label="photos"), block("sdb", ""))
    async with running(emit, monitor.connect):
        assert emit.kinds() == [KernelEvent.READ, KernelEvent.SOURCE]
        assert emit.fact(MountFact.DEVICE, UUID) == DeviceState(
            UUID, ("/dev/sda1",), "photos", "ext4", numbers=("",), members=("",)
        )
        assert len(emit.facts) == 2, "the device, and that all of them are known"
    monitor.close()


async def test_plugging_in_and_out_is_an_event_each() -> None:
    """A change event with a UUID attaches, one without detaches: that is how loop devices and readers tell."""
    emit, monitor = Recorder(), FakeMonitor(block("loop0", ""))
    async with running(emit, monitor.connect):
        monitor.tell("change", block("loop0"))
        await emit.until(lambda: emit.fact(MountFact.DEVICE, UUID) is not None)
        seen = emit.seen[-1]
        assert (seen.origin, seen.kind, seen.subject) == (MountOrigin.UDEV, MountEvent.DEVICE, UUID)
        assert seen.attributes == {"action": "change", "node": "/dev/loop0", "attached": True}
        monitor.tell("change", block("loop0", ""))
        await emit.until(lambda: emit.fact(MountFact.DEVICE, UUID) is None)
    monitor.close()


async def test_a_removed_device_takes_its_file_system_along() -> None:
    """The kernel's last event of a device may still carry the UUID; the device is gone all the same."""
    emit, monitor = Recorder(), FakeMonitor(block("sda1"))
    async with running(emit, monitor.connect):
        monitor.tell("remove", block("sda1"))
        await emit.until(lambda: emit.fact(MountFact.DEVICE, UUID) is None)
    monitor.close()


async def test_two_devices_with_one_uuid_are_both_there() -> None:
    """A clone, or the members of one btrfs: the fact has all nodes, and lives as long as the last of them."""
    emit, monitor = Recorder(), FakeMonitor(block("sdb1"))

    def nodes() -> tuple[str, ...]:
        state = emit.fact(MountFact.DEVICE, UUID)
        return state.nodes if isinstance(state, DeviceState) else ()

    async with running(emit, monitor.connect):
        monitor.tell("add", block("sda1"))
        await emit.until(lambda: nodes() == ("/dev/sda1", "/dev/sdb1"))
        monitor.tell("remove", block("sdb1"))
        await emit.until(lambda: nodes() == ("/dev/sda1",))
        monitor.tell("remove", block("sda1"))
        await emit.until(lambda: nodes() == ())
    monitor.close()


async def test_a_new_file_system_on_the_same_device_replaces_the_old() -> None:
    """After mkfs the old UUID is gone and the new one there, by one event of udev."""
    emit, monitor = Recorder(), FakeMonitor(block("sda1"))
    async with running(emit, monitor.connect):
        monitor.tell("change", block("sda1", "other"))
        await emit.until(lambda: emit.fact(MountFact.DEVICE, "other") is not None)
        await emit.until(lambda: emit.fact(MountFact.DEVICE, UUID) is None)
    monitor.close()


async def test_events_that_change_no_fact_are_not_passed_on() -> None:
    """`udevadm trigger` tells of every device again, and nobody has to hear it."""
    emit, monitor = Recorder(), FakeMonitor(block("sda1"), block("sdb", ""))
    async with running(emit, monitor.connect):
        monitor.tell("change", block("sda1"), block("sdb", ""))
        monitor.tell("change", block("sdc", "last"))
        await emit.until(lambda: emit.fact(MountFact.DEVICE, "last") is not None)
        assert emit.kinds() == [KernelEvent.READ, KernelEvent.SOURCE, MountEvent.DEVICE]
    monitor.close()


async def test_after_lost_events_all_is_read_afresh() -> None:
    """ENOBUFS: a gap is told, a new monitor is made, and what went meanwhile is gone."""
    emit, monitor = Recorder(), FakeMonitor(block("sda1"))
    async with running(emit, monitor.connect):
        monitor.lose(block("sdb1", "new"))
        await emit.until(lambda: emit.fact(MountFact.DEVICE, "new") is not None)
        assert emit.fact(MountFact.DEVICE, UUID) is None
        await emit.until(lambda: emit.fact(KernelFact.SOURCE, "devices") is True)
        read = [KernelEvent.READ, KernelEvent.SOURCE]
        assert emit.kinds() == [*read, KernelEvent.GAP, *read]
        assert monitor.made == 2
        monitor.tell("add", block("sdc", "later"))
        await emit.until(lambda: emit.fact(MountFact.DEVICE, "later") is not None)
    monitor.close()


async def test_a_host_without_udev_runs_without_devices(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says once and loudly that device predicates never hold, however often it looks for udev again."""
    monkeypatch.setattr(backoff, "FIRST", 0.01)

    def no_monitor() -> Monitor:
        return BlockMonitor(control="/nonexistent/control")

    emit = Recorder()
    async with anyio.create_task_group() as group:
        group.start_soon(DevicesSource(emit, monitor=no_monitor).run)
        await emit.until(lambda: len(emit.seen) > 3)
        group.cancel_scope.cancel()
        assert set(emit.kinds()) == {KernelEvent.GAP}
        trouble = emit.fact(KernelFact.SOURCE, "devices")
        assert isinstance(trouble, SourceTrouble)
        assert trouble.optional, "only who waits for a device needs to know"
        assert emit.seen[0].attributes["reason"] in ("no-udev", "no-libudev")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "device: predicates never hold" in caplog.text


async def test_udev_that_comes_back_is_found_and_meanwhile_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without udevd for a moment, as in an update of it, a host that had devices is in trouble, and then well again."""
    monkeypatch.setattr(backoff, "FIRST", 0.01)
    emit, monitor, away = Recorder(), FakeMonitor(block("sda1")), [True, True]

    def connect() -> Monitor:
        if monitor.made and away:
            away.pop()
            raise PermanentError("udevd does not run here", reason="no-udev")
        return monitor.connect()

    async with running(emit, connect):
        monitor.lose(block("sdb1", "new"))
        await emit.until(lambda: isinstance(emit.fact(KernelFact.SOURCE, "devices"), SourceTrouble))
        trouble = emit.fact(KernelFact.SOURCE, "devices")
        assert isinstance(trouble, SourceTrouble)
        assert not trouble.optional, "so that the status says it"
        await emit.until(lambda: emit.fact(KernelFact.SOURCE, "devices") is True)
        assert emit.fact(MountFact.DEVICE, "new") is not None
        assert not away
    monitor.close()


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pyudev or its libudev missing is an error with a name, raised when a monitor is made and not before."""
    monkeypatch.setitem(sys.modules, "pyudev", None)
    with pytest.raises(PermanentError) as caught:
        BlockMonitor()
    assert caught.value.reason == "no-libudev"
