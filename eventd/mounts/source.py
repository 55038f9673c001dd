"""The MOUNT facts: the mounts of the host, kept current by the kernel's signal.

Emits `READ` with all of them first, then a `MOUNT` event for each mount point whose fact changed. Decides nothing. The
daemon runs in a mount namespace of its own, so it reads the table of process 1: the sandbox's own mounts are not facts
about the host.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

import anyio.to_thread
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.kernel.model.errors import TemporaryError
from eventd.kernel.model.events import Emit, KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.source_state import SourceState
from eventd.mounts.adapter_mountinfo import TABLES, MountTable
from eventd.mounts.model_events import MountEvent, MountOrigin
from eventd.mounts.model_facts import MountFact, MountState
from eventd.platform.reconnect import retry_delays
from eventd.platform.resync import ReadCounter

_log = logging.getLogger(__name__)


class MountsSource:
    """The mounts of the host.

    `tables`: paths of mountinfo; the first readable one is used. `changed`: called with the mount points that changed,
    for sources that watch paths: inotify does not report mounts.
    """

    def __init__(
        self,
        emit: Emit,
        *,
        tables: tuple[str, ...] = TABLES,
        changed: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        self._emit = emit
        self.state = SourceState(emit, MountOrigin.KERNEL, "mounts")
        self._tables = tables
        self._changed = changed
        self._known: Mapping[str, MountState] = {}
        self._told = asyncio.Event()
        self._read_counter = ReadCounter()
        self._reading = False

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep the facts current until cancelled; `started` once the table has been read.

        Raises PermanentError(reason="no-mount-table").
        """
        table = MountTable(self._tables)
        if table.path != self._tables[0]:
            _log.warning(
                "reading the mounts from %s, which includes the mounts of eventd's sandbox", table.path
            )
        loop = asyncio.get_running_loop()
        told = self._told = asyncio.Event()
        # Subscribe, then read.
        loop.add_reader(table.fileno(), told.set)
        wait = retry_delays()
        started = False
        self._reading = True
        try:
            while True:
                begun = self._read_counter.begin()
                try:
                    # Not abandoned on cancellation: it ends soon, and the descriptors are closed after it.
                    mounts = await anyio.to_thread.run_sync(table.read)
                except TemporaryError as error:
                    _log.warning("mounts: %s", error)
                    self.state.trouble(error)
                    await anyio.sleep(next(wait))
                    continue
                wait = retry_delays()
                self._emit_changes(mounts, first=not started)
                self.state.current()
                self._read_counter.end(begun)
                if not started:
                    started = True
                    task_status.started()
                await told.wait()
                told.clear()
        finally:
            self._reading = False
            loop.remove_reader(table.fileno())
            table.close()

    def refresh(self) -> None:
        """Request another read: a file system's options can change without a signal (`mounts.source_kernel_errors`)."""
        self._told.set()

    async def reread(self) -> None:
        """Read the table again and return when its facts are set; if `run` is not reading it, return at once."""
        if self._reading:
            await self._read_counter.next_read(self.refresh)

    def _emit_changes(self, mounts: Mapping[str, MountState], *, first: bool) -> None:
        known, self._known = self._known, mounts
        turned = sorted(p for p in known.keys() | mounts.keys() if known.get(p) != mounts.get(p))
        if first:
            facts = [(FactKey(MountFact.MOUNT, point), mounts.get(point)) for point in turned]
            self._emit(MountOrigin.KERNEL, KernelEvent.READ, "mounts", facts=facts)
        for point in () if first else turned:
            state = mounts.get(point)
            self._emit(
                MountOrigin.KERNEL,
                MountEvent.MOUNT,
                point,
                attributes={"mounted": state is not None, "source": state.source if state else ""},
                facts=[(FactKey(MountFact.MOUNT, point), state)],
            )
        if turned and self._changed is not None:
            self._changed(turned)
