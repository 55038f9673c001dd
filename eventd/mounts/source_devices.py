"""The DEVICE facts: the file systems, by UUID, on attached block devices.

Emits `READ` with all of them first, then a `DEVICE` event for each UUID whose fact changed: attached, detached,
formatted, or found on another device (members of one btrfs, a clone of a disk; the fact lists all nodes). Device events
that change no fact are not passed on. After a gap everything is read again. Decides nothing.

A host without udev or libudev has no DEVICE facts. That is logged once, as an error; the source keeps checking for
them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

import anyio
import anyio.to_thread
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.kernel.model import backoff
from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.kernel.model.events import Emit, KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.source_state import SourceState
from eventd.mounts.adapter_udev import Block, BlockMonitor
from eventd.mounts.model_events import MountEvent, MountOrigin
from eventd.mounts.model_facts import DeviceState, MountFact
from eventd.platform.reconnect import retry_delays
from eventd.platform.resync import ReadCounter

_log = logging.getLogger(__name__)


class Monitor(Protocol):
    """The interface of `eventd.mounts.adapter_udev.BlockMonitor`."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there is something to receive."""
        ...

    def receive(self) -> list[tuple[str, Block]]:
        """Return the received events. Raises TemporaryError if some were lost."""
        ...

    def blocks(self) -> list[Block]:
        """Return all block devices."""
        ...


class DeviceTable:
    """The block devices as udev reports them, and the DEVICE facts that result."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._blocks: dict[str, Block] = {}
        self._by_uuid: dict[str, DeviceState] = {}

    def take(self, received: list[tuple[str, Block]]) -> None:
        """Apply events in order."""
        for action, block in received:
            old = self._blocks.pop(block.path, None)
            if action != "remove":
                self._blocks[block.path] = block
            new = self._blocks.get(block.path)
            for uuid in sorted({each.uuid for each in (old, new) if each is not None and each.uuid}):
                state = self._state(uuid)
                if state == self._by_uuid.get(uuid):
                    continue
                self._remember(uuid, state)
                self._emit(
                    MountOrigin.UDEV,
                    MountEvent.DEVICE,
                    uuid,
                    attributes={"action": action, "node": block.node, "attached": state is not None},
                    facts=[(FactKey(MountFact.DEVICE, uuid), state)],
                )

    def read(self, blocks: list[Block]) -> None:
        """Replace the table by a full list of devices."""
        self._blocks = {block.path: block for block in blocks}
        uuids = {block.uuid for block in self._blocks.values() if block.uuid}
        found = {uuid: self._state(uuid) for uuid in uuids | self._by_uuid.keys()}
        for uuid, state in found.items():
            self._remember(uuid, state)
        facts = [(FactKey(MountFact.DEVICE, uuid), state) for uuid, state in found.items()]
        self._emit(MountOrigin.UDEV, KernelEvent.READ, "devices", facts=facts)

    def again(self, blocks: list[Block]) -> None:
        """Compare with a full list of devices, and emit the differences as if udev had reported them."""
        gone = self._blocks.keys() - {block.path for block in blocks}
        self.take([("remove", self._blocks[path]) for path in sorted(gone)])
        self.take([("change", block) for block in blocks])

    def _remember(self, uuid: str, state: DeviceState | None) -> None:
        if state is None:
            self._by_uuid.pop(uuid, None)
        else:
            self._by_uuid[uuid] = state

    def _state(self, uuid: str) -> DeviceState | None:
        """Return the fact of a UUID: all nodes that have it, with label and type of the first."""
        carriers = sorted((b for b in self._blocks.values() if b.uuid == uuid), key=lambda b: b.node)
        if not carriers:
            return None
        usable = [block for block in carriers if block.node]
        return DeviceState(
            uuid,
            tuple(block.node for block in usable),
            carriers[0].label,
            carriers[0].fstype,
            tuple(block.number for block in usable),
            frozenset(link for block in usable for link in block.links),
            tuple(block.member for block in usable),
        )


class DevicesSource:
    """The attached file systems. `monitor`: connects to udev, also after a gap."""

    def __init__(self, emit: Emit, *, monitor: Callable[[], Monitor] = BlockMonitor) -> None:
        self.state = SourceState(emit, MountOrigin.UDEV, "devices")
        self._monitor = monitor
        self._table = DeviceTable(emit)
        self._reads = ReadCounter()
        self._refresh: Callable[[], None] | None = None
        """Requests another read of all devices; None while they are not being read."""
        self._all = False

    async def reread(self) -> None:
        """Read all devices again and return when their facts are set; without udev, return at once."""
        if self._refresh is not None:
            await self._reads.next_read(self._refresh)

    def _read_all(self, told: asyncio.Event) -> None:
        self._all = True
        told.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep the facts current until cancelled; `started` once all devices have been read."""
        lost, missing, said, started = retry_delays(), 0, "", False
        while True:
            try:
                async with self._monitored() as (monitor, told):
                    begun = self._reads.begin()
                    blocks = await anyio.to_thread.run_sync(monitor.blocks)
                    self._table.read(blocks)
                    self._reads.end(begun)
                    self.state.current()
                    if not started:
                        started = True
                        task_status.started()
                    missing, said = 0, ""
                    while True:
                        await told.wait()
                        told.clear()
                        if self._all:
                            self._all, begun = False, self._reads.begin()
                            self._table.again(await anyio.to_thread.run_sync(monitor.blocks))
                            self._reads.end(begun)
                        self._table.take(monitor.receive())
                        lost = retry_delays()
            except TemporaryError as error:
                _log.warning("devices: %s; reading all of them again", error)
                # Lost events only cost a read; they are not a source error unless that fails too.
                self.state.failed(error)
                await anyio.sleep(next(lost))
            except PermanentError as error:
                if said != error.message:
                    said = error.message
                    _log.error("devices: %s", error, extra={"reason": error.reason})
                # A host without udev is fine, unless something waits for a device.
                self.state.trouble(error, optional=not self.state.was_read)
                # No signal announces that udevd is back, for instance after its update.
                missing += 1
                await anyio.sleep(backoff.delay(missing, 0.0))

    @asynccontextmanager
    async def _monitored(self) -> AsyncIterator[tuple[Monitor, asyncio.Event]]:
        """Subscribe; yield the monitor, and an event that is set when there is something to receive."""
        monitor = await anyio.to_thread.run_sync(self._monitor)
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(monitor.fileno(), told.set)
        self._refresh = partial(self._read_all, told)
        try:
            yield monitor, told
        finally:
            self._refresh = None
            loop.remove_reader(monitor.fileno())
