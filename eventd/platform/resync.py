"""Makes every source read again, because an operator asked for a run.

Signals normally keep facts current. A signal that was lost silently leaves a wrong fact until its source reads again.
Nothing polls for that: `eventctl sync` makes every source read again before its run is planned.

Owns the deadline of such a read, and the wait for a source that reads in its own loop. What a source finds it emits as
usual.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import anyio

from eventd.kernel.model.errors import EventdError
from eventd.platform.processes.isolated import isolated

TIMEOUT = 5.0
"""Seconds for one source. A user's manager or a disk may never answer, and must not block the run."""
_log = logging.getLogger(__name__)


class ReadCounter:
    """Counts the reads of a source's loop, so that a caller can wait for one that began after its request."""

    def __init__(self) -> None:
        self._requested = self._completed = 0
        self._ended = asyncio.Event()

    def begin(self) -> int:
        """Call before a read; pass the result to `end`."""
        return self._requested

    def end(self, begun: int) -> None:
        """Call when the facts of a read have been emitted."""
        self._completed = begun
        self._ended.set()
        self._ended = asyncio.Event()

    async def next_read(self, wake: Callable[[], None]) -> None:
        """Call `wake`, and return when a read that began after this call has ended."""
        self._requested += 1
        mine = self._requested
        wake()
        while self._completed < mine:
            await self._ended.wait()


async def resync(sources: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    """Make all sources read, concurrently. One that is too slow is logged, and the run uses the facts it has."""

    async def read_one(name: str, read: Callable[[], Awaitable[None]]) -> None:
        with anyio.move_on_after(TIMEOUT) as scope:
            await isolated(f"rereading {name}", read, _ignore)
        if scope.cancelled_caught:
            _log.warning("%s: not reread within %g s; its facts may be out of date", name, TIMEOUT)

    async with anyio.create_task_group() as group:
        for name, read in sources.items():
            group.start_soon(read_one, name, read)


def _ignore(_error: EventdError) -> None:
    """Do nothing: `isolated` has logged the error, and the source reports it."""
